/** `consumers`, `ps`, `tail --pretty` and suggestions, by the real program. */

import { assert, assertEquals } from "@std/assert";
import { suggestion } from "../../src/cli/suggestion.ts";
import { LinesOf, postern, posternCommand } from "../support/cli.ts";
import { FakeDaemon } from "../support/fake_axon.ts";
import { startTestDaemon } from "../support/in_process.ts";

Deno.test("consumers tells each one's lag, and rm forgets one", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(5);
  const run = (...args: string[]) => postern([...args, "--dir", daemon.directory]);
  await run("inbox", "--consumer", "ci");
  await run("ack", "2", "--consumer", "ci");
  const { code, stdout } = await run("consumers");
  assertEquals(code, 0);
  assert(/^NAME +LAG +ACKED +DELIVERED +LAST SEEN\n/.test(stdout), stdout);
  assert(/^ci +3 +2 +5 +\d+ s ago$/m.test(stdout), stdout);
  const listed = JSON.parse((await run("consumers", "--json")).stdout);
  const ci = listed.consumers.find(({ name }: { name: string }) => name === "ci");
  assertEquals([ci.lag, ci.acked_seq], [3, 2]);
  assertEquals((await run("consumers", "rm", "ci")).stdout, "removed ci\n");
  assert(!(await run("consumers")).stdout.includes("ci "));
  const again = await run("consumers", "rm", "ci");
  assertEquals([again.code, again.stdout], [1, ""]);
  assert(again.stderr.includes("ci"), again.stderr);
});

/** A place for state with the directories of several daemons. */
function stateHome(instances: Record<string, string>): AsyncDisposable & { path: string } {
  const path = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "postern_" }));
  Deno.mkdirSync(`${path}/postern`);
  for (const [name, discovery] of Object.entries(instances)) {
    Deno.mkdirSync(`${path}/postern/${name}`, { mode: 0o700 });
    if (discovery !== "") Deno.writeTextFileSync(`${path}/postern/${name}/daemon.json`, discovery);
  }
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

Deno.test("ps calls a daemon running only when its socket answers, whatever a pid says", async () => {
  await using daemon = await startTestDaemon();
  const crashed = { pid: Deno.pid, version: "0.0.9", started_at: new Date().toISOString() };
  const running = { pid: 4711, version: "0.1.0", sockets: { ndjson: daemon.socketPath } };
  await using home = stateHome({
    crashed: JSON.stringify(crashed),
    empty: "",
    other: JSON.stringify(running),
  });
  const env = { XDG_STATE_HOME: home.path, POSTERN_DIR: daemon.directory };
  const { code, stdout } = await postern(["ps", "--json"], { env });
  const { daemons } = JSON.parse(stdout);
  const told = daemons.map(({ directory, state, pid }: Record<string, unknown>) => [
    directory,
    state,
    pid,
  ]);
  assertEquals([code, told], [0, [
    [daemon.directory, "running", Deno.pid],
    [`${home.path}/postern/crashed`, "not running", null],
    [`${home.path}/postern/other`, "running", 4711],
  ]]);
  const text = await postern(["ps", "--dir", daemon.directory], { env });
  const rows = text.stdout.trimEnd().split("\n").map((row) => row.split(/ {2,}/));
  assertEquals(rows.map((row) => row[1]), ["STATE", "running", "not running", "running"]);
});

Deno.test("ps does not call a daemon stopped that is slow to answer", async () => {
  await using daemon = new FakeDaemon(() => "");
  await using home = stateHome({});
  const env = { XDG_STATE_HOME: home.path };
  const { code, stdout } = await postern(["ps", "--json", "--dir", daemon.directory], { env });
  assertEquals([code, JSON.parse(stdout).daemons[0].state], [3, "not answering"]);
});

Deno.test("ps without any daemon says so, with exit code 3", async () => {
  await using home = stateHome({});
  const { code, stdout } = await postern(["ps"], { env: { XDG_STATE_HOME: home.path } });
  assertEquals([code, stdout], [3, "-- no daemons\n"]);
});

Deno.test("tail --pretty puts payloads on lines of their own", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(1, { topic: "a.b", payload: { n: [1], text: "x\u009by" } });
  const args = ["tail", "--since", "0", "--pretty", "--dir", daemon.directory];
  const child = posternCommand(args).spawn();
  const lines = new LinesOf(child);
  assert(/^1 {2}\S+ {2}notify {2}a\.b$/.test(await lines.next() ?? ""));
  const rest: (string | null)[] = [];
  for (let n = 0; n < 6; n++) rest.push(await lines.next());
  assertEquals(rest.map((line) => line?.slice(4)), [
    "{",
    '  "n": [',
    "    1",
    "  ],",
    '  "text": "x\\u009by"',
    "}",
  ]);
  child.kill("SIGINT");
  assertEquals((await child.status).code, 0);
  await lines.hangUp();
  await child.stderr.cancel();
});

for (
  const [args, meant] of [
    [["stauts"], "status"],
    [["consumer"], "consumers"],
    [["Tial"], "tail"],
    [["hlep"], "help"],
    [["help", "sned"], "send"],
    [["tail", "--pretyt"], "--pretty"],
    [["inbox", "--consmuer=x"], "--consumer"],
    [["status", "--jsn"], "--json"],
  ] as [string[], string][]
) {
  Deno.test(`postern ${args.join(" ")} asks whether ${meant} was meant`, async () => {
    const { code, stderr } = await postern(args);
    assertEquals(code, 2);
    assert(stderr.includes(`(did you mean ${meant}?)`), stderr);
  });
}

Deno.test("nothing is suggested for what is like nothing", () => {
  for (const wrong of ["x", "nonsense", "--colour", "s".repeat(10_000)]) {
    assertEquals(suggestion(wrong, ["start", "stop", "status", "--json", "--topic"]), "");
  }
});
