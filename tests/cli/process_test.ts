/** The daemon's process as `start`, `stop` and `restart` handle it: real ones, each in a directory of its own. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { daemonCommand } from "../../src/client/spawn.ts";
import { type Finished, jsonLines, postern, posternCommand } from "../support/cli.ts";
import { RawClient } from "../support/raw_client.ts";

/** A place for a daemon; whatever runs there in the end is stopped. */
class Place implements AsyncDisposable {
  readonly base = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "postern_" }));
  readonly directory: string;

  constructor(name = "state") {
    this.directory = `${this.base}/${name}`;
  }

  run(...args: string[]): Promise<Finished> {
    return postern([...args, "--dir", this.directory]);
  }

  async json(...args: string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await this.run(...args, "--json");
    assertEquals([code, stderr], [0, ""]);
    return JSON.parse(stdout);
  }

  write(name: string, text: string): void {
    Deno.mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(`${this.directory}/${name}`, text, { mode: 0o600 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run("stop");
    await Deno.remove(this.base, { recursive: true });
  }
}

Deno.test("start, status, restart and stop: what was sent is there after each", async () => {
  await using place = new Place();
  const started = await place.json("start");
  assertEquals([started.started, started.directory], [true, place.directory]);
  assertEquals((await place.json("status")).pid, started.pid);
  assertEquals((await place.run("send", "notify", "1")).code, 0);
  const again = await place.json("daemon", "start");
  assertEquals([again.started, again.pid], [false, started.pid]);
  const restarted = await place.json("restart");
  assert(restarted.started && restarted.pid !== started.pid);
  assertEquals(((await place.json("inbox")).messages as unknown[]).length, 1);
  assertEquals((await place.run("stop")).stdout, "stopped\n");
  assertEquals((await place.run("stop")).code, 3);
  assertEquals((await place.run("status")).code, 3);
  assertEquals((await place.json("restart")).started, true);
});

Deno.test("restart tells of a configuration that cannot be read before it stops anything", async () => {
  await using place = new Place();
  const { pid } = await place.json("start");
  Deno.writeTextFileSync(`${place.directory}/config.jsonc`, '{"limits":{"no_such":1}}', {
    mode: 0o600,
  });
  const refused = await place.run("restart");
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assert(/nothing is stopped: .*no_such/.test(refused.stderr), refused.stderr);
  assertEquals((await place.json("status")).pid, pid);
  Deno.removeSync(`${place.directory}/config.jsonc`);
  assertEquals((await place.json("restart")).started, true);
});

Deno.test("of many starters at once all succeed, and one daemon runs", async () => {
  await using place = new Place();
  const outcomes = await Promise.all([1, 2, 3, 4].map(() => place.run("start", "--json")));
  assertEquals(outcomes.map(({ code, stderr }) => [code, stderr]), Array(4).fill([0, ""]));
  const said = outcomes.flatMap(({ stdout }) => jsonLines(stdout));
  assertEquals(new Set(said.map(({ pid }) => pid)).size, 1);
  assertEquals(said.filter(({ started }) => started).length, 1);
});

Deno.test("a daemon that cannot start is told with its own reason", async () => {
  await using place = new Place();
  place.write("config.jsonc", '{ "colour": "red" }');
  const { code, stdout, stderr } = await place.run("start");
  assertEquals([code, stdout], [1, ""]);
  assert(stderr.includes("colour"), stderr);
  assert(!stderr.includes("\x1b"), stderr);
});

Deno.test("a daemon that is switched off is not started, and start says why", async () => {
  await using place = new Place();
  place.write("config.jsonc", '{ "daemon": { "enabled": false } }');
  const { code, stdout, stderr } = await place.run("start");
  assertEquals([code, stdout], [1, ""]);
  assert(stderr.includes("switched off here, by daemon.enabled"), stderr);
  const env = { POSTERN_DAEMON_ENABLED: "0" };
  const other = await postern(["start", "--dir", `${place.base}/other`], { env });
  assertEquals([other.code, other.stdout], [1, ""]);
  assert(other.stderr.includes("switched off here, by daemon.enabled"), other.stderr);
});

Deno.test("a link in the directory's place is refused at the start", async () => {
  await using place = new Place();
  Deno.mkdirSync(`${place.base}/elsewhere`, { mode: 0o700 });
  Deno.symlinkSync(`${place.base}/elsewhere`, place.directory);
  const { code, stderr } = await place.run("start");
  assertEquals(code, 1);
  assert(stderr.includes(place.directory), stderr);
  assertEquals([...Deno.readDirSync(`${place.base}/elsewhere`)], []);
});

for (const name of ["with space", "with,comma", "o'quote", "ä€"]) {
  Deno.test(`a daemon starts in a directory called ${name}`, async () => {
    await using place = new Place(name);
    assertEquals((await place.json("start")).started, true);
    assertEquals((await place.json("status")).directory, place.directory);
  });
}

Deno.test("a directory too long for a socket works, and clients find the daemon", async () => {
  await using place = new Place("long".repeat(30));
  const { code, stderr } = await place.run("start");
  assertEquals(code, 0, stderr);
  assert(stderr.includes("more than 103 bytes"), stderr);
  const { socket } = await place.json("status");
  assert(String(socket).length <= 103);
});

Deno.test("a daemon in the background outlives its starter's pipes and stops in order", async () => {
  await using place = new Place();
  await place.run("start");
  assertEquals((await place.run("stop")).code, 0);
  const log = Deno.readTextFileSync(`${place.directory}/log/daemon.log`);
  assert(log.trimEnd().split("\n").at(-1)?.includes("stopped"), log);
});

Deno.test("the daemon's command line allows its directory and nothing beside, and holds no token", () => {
  const runtime = { standalone: false, execPath: "/x/deno", root: "/x/program" };
  const { path, args } = daemonCommand("/x/a b", runtime);
  assertEquals(path, "/x/deno");
  for (
    const wanted of [
      "--no-prompt",
      "--no-remote",
      "--cached-only",
      "--allow-read=/x/a b,/x/program",
      "--allow-write=/x/a b",
      "--allow-net=unix:/x/a b/postern.sock,unix:/x/a b/http.sock",
    ]
  ) assert(args.includes(wanted), `${wanted} in ${args.join(" ")}`);
  const all = ["-A", "--allow-all", "--allow-run", "--allow-ffi", "--allow-import", "--allow-read"];
  for (const right of all) assert(!args.includes(right), right);
  assertEquals(args.slice(-6), [
    "/x/program/main.ts",
    "daemon",
    "--dir",
    "/x/a b",
    "--mode",
    "background",
  ]);
});

Deno.test("a directory that a permission flag cannot name gets the whole right, until the daemon narrows it", () => {
  const { args } = daemonCommand("/x/a,b", {
    standalone: false,
    execPath: "/d",
    root: "/x/program",
  });
  for (const right of ["read", "write", "net"]) assert(args.includes(`--allow-${right}`), right);
});

Deno.test("the compiled program starts itself", () => {
  const runtime = { standalone: true, execPath: "/x/postern", root: "" };
  assertEquals(daemonCommand("/x/d", runtime), {
    path: "/x/postern",
    args: ["daemon", "--dir", "/x/d", "--mode", "background"],
  });
});

Deno.test("start says what a crash left", async () => {
  await using place = new Place();
  const { pid } = await place.json("start");
  Deno.kill(Number(pid), "SIGKILL");
  const { code, stdout, stderr } = await place.run("start");
  assertEquals(code, 0, stderr);
  assert(stdout.startsWith("started: "), stdout);
  assert(stderr.includes(`(pid ${pid}`) && stderr.includes("did not stop in order"), stderr);
});

Deno.test("status says that the last daemon did not stop in order, and only then", async () => {
  await using place = new Place();
  const { pid } = await place.json("start");
  Deno.kill(Number(pid), "SIGKILL");
  const killed = await place.run("status");
  assertEquals(killed.code, 3);
  assertMatch(
    killed.stderr,
    new RegExp(`the last one \\(pid ${pid}, started \\S+\\) did not stop`),
  );
  assert(killed.stderr.includes(`logs --dir ${place.directory}`), killed.stderr);
  await place.run("start");
  await place.run("stop");
  const stopped = await place.run("status");
  assertEquals(stopped.code, 3);
  assert(!stopped.stderr.includes("in order"), stopped.stderr);
});

Deno.test("while a daemon starts or stops, status does not say that it has died", async () => {
  await using place = new Place();
  const { pid } = await place.json("start");
  Deno.kill(Number(pid), "SIGKILL");
  using lock = Deno.openSync(`${place.directory}/daemon.lock`, { read: true, write: true });
  while (!lock.tryLockSync(true));
  const { code, stderr } = await place.run("status");
  assertEquals(code, 3);
  assert(!stderr.includes("in order"), stderr);
  lock.unlockSync();
});

Deno.test("a stop does not wait for a subscriber that does not read", async () => {
  await using place = new Place();
  await place.json("start");
  using reader = await RawClient.connect(`${place.directory}/postern.sock`);
  const token = Deno.readTextFileSync(`${place.directory}/ipc-token`);
  await reader.hello();
  await reader.ask({ cmd: "auth", token });
  const message = {
    cmd: "send",
    req_id: "s",
    to: "self",
    kind: "notify",
    payload: "x".repeat(900_000),
  };
  for (let i = 0; i < 6; i++) assertEquals((await reader.ask(message)).ok, true);
  await reader.send({ cmd: "subscribe", req_id: "r" });
  const { code, stdout, stderr } = await place.run("stop", "--timeout", "20");
  assertEquals([code, stdout], [0, "stopped\n"], stderr);
});

Deno.test("send ends with 1 and names the first unsent line when nobody reads its results", async () => {
  await using place = new Place();
  await place.json("start");
  const child = posternCommand(["send", "--stdin", "--json", "--dir", place.directory], {
    piped: true,
  }).spawn();
  await child.stdout.cancel();
  const writer = child.stdin.getWriter();
  const feeding = writer.write(new TextEncoder().encode(`{"payload":1}\n`.repeat(200_000)));
  feeding.then(() => writer.close()).catch(() => {});
  const stderr = await new Response(child.stderr).text();
  assertEquals((await child.status).code, 1, stderr);
  assert(/not sent from line \d+ on/.test(stderr), stderr);
});
