/** `with-lease`: real programs under a lease, against a real daemon. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Client, connect } from "../../src/client/mod.ts";
import { postern, RUN } from "../support/cli.ts";
import { CliProcess } from "../support/cli_process.ts";
import { eventually } from "../support/eventually.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { Terminal, whyNoTerminal } from "../support/terminal.ts";

const WAIT_FOREVER = "echo up $$; while :; do sleep 0.05; done";

/** Ends with 8 on SIGINT. */
const SAYS_INT = `trap 'exit 8' INT; ${WAIT_FOREVER}`;
/** The same, of which it sends one to the command that runs it, and with 9 if that never comes back. */
const SAYS_INT_ITSELF =
  "trap 'exit 8' INT; kill -INT $PPID; for n in $(seq 200); do sleep 0.05; done; exit 9";

const missing = whyNoTerminal();
if (missing !== null) console.log(`ignored: what needs a terminal, for ${missing}`);

function leaseArgs(daemon: TestDaemon, options: readonly string[], script: string): string[] {
  const args = ["with-lease", "build", "--dir", daemon.directory, ...options];
  return [...args, "--", "sh", "-c", script];
}

function holding(daemon: TestDaemon, options: readonly string[], script: string): CliProcess {
  return new CliProcess(leaseArgs(daemon, options, script));
}

/** The same, once the script has said something. */
async function held(daemon: TestDaemon, options: readonly string[] = [], script = WAIT_FOREVER) {
  const process = holding(daemon, options, script);
  await process.until(({ stdout }) => stdout.includes("\n"));
  return process;
}

function once(daemon: TestDaemon, options: readonly string[], ...program: string[]) {
  return postern(["with-lease", "build", "--dir", daemon.directory, ...options, "--", ...program]);
}

async function leases(client: Client) {
  return (await client.call("lease.list")).leases;
}

/** How many times somebody was told that a lease is held. */
async function refusals(daemon: TestDaemon): Promise<number> {
  const { stdout } = await postern(["metrics", "--dir", daemon.directory]);
  const line = /operation="lease.acquire",outcome="conflict"\} (\d+)/.exec(stdout);
  assert(line !== null, stdout);
  return Number(line[1]);
}

function clientOf(daemon: TestDaemon): Promise<Client> {
  return connect({ dir: daemon.directory, clientKind: "tester" });
}

Deno.test("a program runs under the lease with its fence, and its exit code is the command's", async () => {
  await using daemon = await startTestDaemon();
  const first = await once(daemon, [], "sh", "-c", "echo $POSTERN_LEASE_FENCE; cat; exit 7");
  assertEquals([first.code, first.stdout, first.stderr], [7, "1\n", ""]);
  const second = await once(daemon, [], "sh", "-c", "echo $POSTERN_LEASE_FENCE; kill -KILL $$");
  assertEquals([second.code, second.stdout], [137, "2\n"]);
  await using client = await clientOf(daemon);
  assertEquals(await leases(client), []);
});

Deno.test("stdin is the program's own", async () => {
  await using daemon = await startTestDaemon();
  const args = ["with-lease", "build", "--dir", daemon.directory, "--", "cat"];
  assertEquals((await postern(args, { stdin: "in" })).stdout, "in");
});

Deno.test("while it is held another one ends at once with 75, and names the holder", async () => {
  await using daemon = await startTestDaemon();
  await using _held = await held(daemon);
  await using client = await clientOf(daemon);
  const [lease] = await leases(client);
  const other = await once(daemon, [], "echo", "never");
  assertEquals([other.code, other.stdout], [75, ""]);
  assertStringIncludes(other.stderr, `"build" is held by ${lease!.originator}`);
  const json = await once(daemon, ["--json"], "echo", "never");
  assertEquals(JSON.parse(json.stderr).error.code, "conflict");
});

Deno.test("with --wait the next one runs when the lease is released", async () => {
  await using daemon = await startTestDaemon();
  const first = await held(daemon, [], "echo up; read line");
  await using next = holding(daemon, ["--wait"], "echo next $POSTERN_LEASE_FENCE");
  await next.until(({ stderr }) => stderr.includes("-- waiting: "));
  assertEquals(next.stdout, "");
  await first.write("go\n");
  assertEquals(await first.ended(), 0);
  assertEquals([await next.ended(), next.stdout], [0, "next 2\n"]);
});

Deno.test("of two who wait the second goes on waiting, and asks only when a lease has ended", async () => {
  await using daemon = await startTestDaemon();
  const first = await held(daemon, [], "echo up; read line");
  const waiting = ({ stderr }: CliProcess) => stderr.includes("-- waiting: ");
  await using some = holding(daemon, ["--wait"], "echo some; read line");
  await using other = holding(daemon, ["--wait"], "echo other; read line");
  await Promise.all([some.until(waiting), other.until(waiting)]);
  await first.write("go\n");
  assertEquals(await first.ended(), 0);
  const runs = ({ stdout }: CliProcess) => stdout !== "";
  const next = await Promise.any([some, other].map((each) => each.until(runs).then(() => each)));
  const last = next === some ? other : some;
  // It is told of the new holder, and then has nothing to ask.
  await last.until(({ stderr }) => stderr.split("-- waiting: ").length === 3);
  assertEquals((await once(daemon, [], "true")).code, 75);
  assert(await refusals(daemon) <= 10, `${await refusals(daemon)} refusals`);
  await next.write("go\n");
  await last.until(runs);
  await last.write("go\n");
  assertEquals([await next.ended(), await last.ended()], [0, 0]);
});

Deno.test("who waits goes on waiting after a restart of the daemon", async () => {
  await using daemon = await startTestDaemon();
  const first = await held(daemon, [], "echo up; read line");
  await using next = holding(daemon, ["--wait"], "echo next");
  await next.until(({ stderr }) => stderr.includes("-- waiting: "));
  await daemon.restart();
  await first.write("go\n");
  assertEquals(await first.ended(), 0);
  assertEquals([await next.ended(), next.stdout], [0, "next\n"]);
});

Deno.test("with --wait it runs as well when the lease of a client that is gone has expired", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  await client.call("lease.acquire", { name: "build", ttl_secs: 1 });
  const { code, stdout } = await once(daemon, ["--wait"], "echo", "mine");
  assertEquals([code, stdout], [0, "mine\n"]);
});

Deno.test("--timeout ends the waiting with 75, and Ctrl-C with 130", async () => {
  await using daemon = await startTestDaemon();
  await using _held = await held(daemon);
  const late = await once(daemon, ["--wait", "--timeout", "1s"], "echo", "never");
  assertEquals([late.code, late.stdout], [75, ""]);
  assertStringIncludes(late.stderr, "is held by ");
  await using waiting = holding(daemon, ["--wait"], "echo never");
  await waiting.until(({ stderr }) => stderr.includes("-- waiting: "));
  waiting.kill("SIGINT");
  assertEquals([await waiting.ended(), waiting.stdout], [130, ""]);
});

Deno.test("with --json what it waits for is an object on stderr", async () => {
  await using daemon = await startTestDaemon();
  await using _held = await held(daemon);
  await using client = await clientOf(daemon);
  const [{ originator, fence } = { originator: "", fence: 0 }] = await leases(client);
  await using waiting = holding(daemon, ["--wait", "--json"], "echo never");
  await waiting.until(({ stderr }) => stderr.includes("\n"));
  const [line, ...rest] = waiting.stderr.split("\n");
  const { expires_at, ...told } = JSON.parse(line!).waiting;
  assertEquals([told, typeof expires_at, rest], [{ name: "build", originator, fence }, "number", [
    "",
  ]]);
});

Deno.test({
  name: "in the foreground of a terminal the program has Ctrl-C from the terminal",
  ignore: missing !== null,
  async fn() {
    await using daemon = await startTestDaemon();
    await using terminal = new Terminal(leaseArgs(daemon, [], SAYS_INT));
    await terminal.until(({ text }) => text.includes("up"));
    await terminal.type("\x03");
    assertEquals(await terminal.ended(), 8);
  },
});

Deno.test({
  name: "in the background of a terminal SIGINT is passed on",
  ignore: missing !== null || Deno.build.os !== "linux",
  async fn() {
    await using daemon = await startTestDaemon();
    // A shell with jobs, which has a terminal because a lease's program has ours.
    const quoted = [Deno.execPath(), ...RUN, ...leaseArgs(daemon, [], SAYS_INT_ITSELF)]
      .map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const args = ["with-lease", "shell", "--dir", daemon.directory, "--", "sh", "-mc"];
    await using terminal = new Terminal([...args, `${quoted} & wait $!`]);
    assertEquals(await terminal.ended(), 8);
  },
});

Deno.test("the lease is renewed for as long as the program runs", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  const process = await held(daemon, ["--ttl", "1s"]);
  const [{ expires_at: first, fence } = { expires_at: 0, fence: 0 }] = await leases(client);
  await eventually(async () => {
    const [lease] = await leases(client);
    assertEquals(lease?.fence, fence);
    return lease!.expires_at > first + 1500;
  }, "renewals");
  process.kill("SIGTERM");
  assertEquals(await process.ended(), 143);
  assertEquals(await leases(client), []);
});

Deno.test("SIGTERM and SIGINT are passed on, and the program has the last word", async () => {
  await using daemon = await startTestDaemon();
  for (const [signal, code] of [["SIGTERM", 9], ["SIGINT", 8]] as const) {
    const script = "trap 'exit 9' TERM; trap 'exit 8' INT; echo up; while :; do sleep 0.05; done";
    const process = await held(daemon, [], script);
    process.kill(signal);
    assertEquals(await process.ended(), code);
  }
});

Deno.test("a short restart of the daemon loses nothing", async () => {
  await using daemon = await startTestDaemon();
  const process = await held(daemon, ["--ttl", "10s"], "echo up; read line; exit 5");
  await daemon.restart();
  await using client = await clientOf(daemon);
  const [before] = await leases(client);
  await eventually(
    async () => (await leases(client))[0]!.expires_at > before!.expires_at,
    "renewal",
  );
  await process.write("go\n");
  assertEquals(await process.ended(), 5);
  assertEquals(await leases(client), []);
});

Deno.test("when the lease cannot be renewed in time the program is ended, with 76", async () => {
  await using daemon = await startTestDaemon();
  const process = await held(
    daemon,
    ["--ttl", "1s"],
    `trap 'echo asked; exit 0' TERM; ${WAIT_FOREVER}`,
  );
  await daemon.stop();
  assertEquals(await process.ended(), 76);
  assertMatch(process.stdout, /asked/);
  assertStringIncludes(process.stderr, "the lease is lost");
  await daemon.start();
});

Deno.test("when the daemon knows nothing of the lease any more the program is ended at the next renewal", async () => {
  await using daemon = await startTestDaemon();
  const process = await held(daemon, ["--ttl", "6s"]);
  await daemon.stop();
  for (const { name } of [...Deno.readDirSync(daemon.directory)]) {
    if (name.startsWith("events.kv")) Deno.removeSync(`${daemon.directory}/${name}`);
  }
  await daemon.start();
  assertEquals(await process.ended(), 76);
  assertStringIncludes(process.stderr, "there is no lease of this lease_id");
});

Deno.test("who slept through the end of the lease ends the program, even if that ignores SIGTERM", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  const process = await held(daemon, ["--ttl", "2s"], `trap '' TERM; ${WAIT_FOREVER}`);
  const ends = client.subscribe({ topics: ["lease.expired"], replay: false, consumer: null });
  await ends.started;
  process.kill("SIGSTOP");
  await ends.next();
  await client.call("lease.acquire", { name: "build", ttl_secs: 60 });
  process.kill("SIGCONT");
  assertEquals(await process.ended(), 76);
  assertStringIncludes(process.stderr, "the lease is lost");
  assertEquals((await leases(client)).length, 1);
});

Deno.test("a program that is not there is 127, one that cannot be run 126, bad times and names are told", async () => {
  await using daemon = await startTestDaemon();
  const missing = await once(daemon, [], "no-such-program");
  assertEquals(missing.code, 127);
  const place = await Deno.makeTempDir();
  await Deno.writeTextFile(`${place}/noexec.sh`, "#!/bin/sh\n", { mode: 0o644 });
  for (const [program, code] of [["noexec.sh", 126], [".", 126], ["none.sh", 127]] as const) {
    const found = await once(daemon, [], `${place}/${program}`);
    assertEquals([found.code, found.stdout], [code, ""], found.stderr);
  }
  await Deno.remove(place, { recursive: true });
  for (const bad of [["--ttl", "never"], ["--ttl", "2d"], ["--timeout", "1s"]]) {
    const { code, stderr } = await once(daemon, bad, "true");
    assertEquals(code, 2);
    assert(stderr.includes(bad[0]!), stderr);
  }
  const tooLong = await once(daemon, ["--wait", "--timeout", "25d"], "true");
  assertEquals([tooLong.code, tooLong.stdout], [2, ""]);
  assertStringIncludes(tooLong.stderr, "--timeout is 24 days at most");
  const name = await postern(["with-lease", "a b", "--dir", daemon.directory, "--", "true"]);
  assertEquals(name.code, 1);
  assertStringIncludes(name.stderr, "lease's name");
});
