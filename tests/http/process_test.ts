/** The HTTP socket of a real daemon process: in its sandbox, over a kill, and when descriptors run out. */

import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { guarded, HttpClient } from "../support/http_client.ts";
import { startProcess, TestDirectory } from "../support/process.ts";

Deno.test("requests, events and WebSockets work in the sandbox, and go on behind a kill", async () => {
  await using directory = new TestDirectory();
  const path = directory.at("http.sock");
  let id = "";
  {
    await using daemon = startProcess(directory.path);
    await daemon.ready();
    using http = new HttpClient(path, directory.read("ipc-token").trim());
    assertEquals((await http.ask("/readyz")).status, 200);
    const { headers } = await http.rpc("system.ping", {}, { headers: { "x-client-kind": "t" } });
    id = headers.get("x-client-id")!;
    const socket = await http.socket("/ws", {
      headers: { "x-client-kind": "t", "x-client-id": id },
    });
    const events = await http.events();
    assertEquals((await socket.ask("event.send", { kind: "notify", payload: 1 })).result.seq, 1);
    assertEquals((await events.next()).data.seq, 1);
    await daemon.crash();
    await socket.closed;
  }
  await using daemon = startProcess(directory.path);
  await daemon.ready();
  using http = new HttpClient(path, directory.read("ipc-token").trim());
  const headers = { "x-client-kind": "t", "x-client-id": id };
  await http.rpc("event.send", { kind: "notify", payload: 2 }, { headers });
  const [before, after] = await (await http.events("?follow=0")).rest();
  assertMatch(before!.data.envelope.originator, /^o-/);
  assertEquals(after!.data.envelope.originator, before!.data.envelope.originator);
  assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
});

Deno.test("a stop ends streams, and closes WebSockets with 1001", async () => {
  await using directory = new TestDirectory();
  await using daemon = startProcess(directory.path);
  await daemon.ready();
  using http = new HttpClient(directory.at("http.sock"), directory.read("ipc-token").trim());
  const socket = await http.socket();
  const events = await http.events();
  await http.call("event.send", { kind: "notify", payload: 1 });
  await events.next();
  daemon.signal("SIGTERM");
  assertEquals(await events.nextOrEnd(), null);
  assertEquals((await socket.closed).code, 1001);
  assertEquals(await daemon.end(), 0);
});

Deno.test("when descriptors run out the HTTP socket is opened again, with its mode", () =>
  withFewDescriptors(async (directory) => {
    const path = directory.at("http.sock");
    const conns = await connected(path);
    await logged(directory, "cannot accept an HTTP connection");
    for (const conn of conns) conn.close();
    await isServedAgain(directory);
  }));

Deno.test("when others take the descriptors that it freed, the HTTP socket is opened later", () =>
  withFewDescriptors(async (directory) => {
    const conns = await connected(directory.at("http.sock"));
    await logged(directory, "cannot accept an HTTP connection");
    const others = await connected(directory.at("postern.sock"));
    for (const conn of conns) conn.close();
    await logged(directory, "cannot open the HTTP socket");
    for (const conn of others) conn.close();
    await isServedAgain(directory);
  }));

Deno.test("while descriptors run out the log has a line at the beginning and one at the end", () =>
  withFewDescriptors(async (directory) => {
    const conns = await connected(directory.at("postern.sock"));
    const failed = () =>
      directory.log.split("\n").filter((line) => line.includes("cannot accept a"));
    await logged(directory, "cannot accept a connection");
    for (const conn of conns) conn.close();
    await logged(directory, "connections are accepted again");
    const [line, ...more] = failed();
    assertEquals(more, []);
    assertEquals(line!.includes("| at "), false, line);
    assertMatch(directory.log, /connections are accepted again failures=\d+/);
  }));

/** More connections than the daemon may have descriptors. */
async function connected(path: string): Promise<Deno.Conn[]> {
  const conns: Deno.Conn[] = [];
  try {
    while (conns.length < 300) conns.push(await Deno.connect({ transport: "unix", path }));
  } catch { /* it is gone already */ }
  return conns;
}

async function logged(directory: TestDirectory, message: string): Promise<void> {
  await eventually(() => Promise.resolve(directory.log.includes(message)));
}

async function isServedAgain(directory: TestDirectory): Promise<void> {
  const path = directory.at("http.sock");
  using http = new HttpClient(path, directory.read("ipc-token").trim());
  await eventually(async () => (await http.ask("/readyz")).status === 200);
  await eventually(async () => ((await Deno.stat(path)).mode! & 0o777) === 0o600);
}

/** Plays with a daemon in a process that may have 200 descriptors. */
async function withFewDescriptors(play: (directory: TestDirectory) => Promise<void>) {
  await using directory = new TestDirectory();
  const args = ["run", "-A", "--no-prompt", "--no-remote", "--cached-only", "main.ts", "daemon"];
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      'ulimit -n 200; exec "$0" "$@"',
      Deno.execPath(),
      ...args,
      "--dir",
      directory.path,
    ],
    cwd: fromFileUrl(new URL("../../", import.meta.url)),
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const said = linesOf(child.stderr);
  try {
    await said.until(/ready:/);
    await play(directory);
  } finally {
    try {
      child.kill("SIGKILL");
    } catch { /* it has ended, and the test failed for that */ }
    await child.status;
    await said.ended;
  }
}

/** Tries again until it is so; a failure counts as not yet. */
async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  const trying = async () => {
    while (!await isSo().catch(() => false)) await new Promise((turn) => setTimeout(turn, 0));
  };
  await guarded(trying(), "awaited condition");
}

/** Waits for lines of what a process says. */
function linesOf(stream: ReadableStream<Uint8Array>) {
  let text = "";
  let wake = () => {};
  const ended = (async () => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      text += part;
      wake();
    }
  })();
  const until = async (pattern: RegExp) => {
    while (!pattern.test(text)) {
      await guarded(
        new Promise<void>((resolve) => wake = resolve),
        `line like ${pattern}: ${text}`,
      );
    }
  };
  return { ended, until };
}
