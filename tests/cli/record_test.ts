/** `record` and what can be done with it, by the real program. */

import { assert, assertEquals } from "@std/assert";
import { type Finished, jsonLines, LinesOf, postern, posternCommand } from "../support/cli.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

function run(daemon: TestDaemon, ...args: string[]): Promise<Finished> {
  return postern(["record", "--dir", daemon.directory, ...args]);
}

async function told(daemon: TestDaemon, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(daemon, ...args);
  assertEquals([code, stderr], [0, ""], args.join(" "));
  return stdout;
}

async function json(daemon: TestDaemon, ...args: string[]): Promise<Record<string, unknown>> {
  const [line, ...more] = jsonLines(await told(daemon, ...args, "--json"));
  assertEquals(more, []);
  return line!;
}

Deno.test("a record is defined, set, read and removed from the command line", async () => {
  await using daemon = await startTestDaemon();
  assertEquals(
    await told(daemon, "define", "sensor.temp", "--type", "spmc_ring", "--capacity", "3"),
    "sensor.temp is defined: spmc_ring of 3\n",
  );
  assertEquals(
    await told(daemon, "set", "sensor.temp", '{"c": 12345678901234567890}'),
    "set as 1\n",
  );
  assertEquals(await told(daemon, "get", "sensor.temp"), '{"c":12345678901234567890}\n');
  assertEquals((await json(daemon, "set", "sensor.temp", "2", "--if-sequence", "1")).sequence, 2);
  const { value, sequence, timestamp } = await json(daemon, "get", "sensor.temp");
  assertEquals([value, sequence], [2, 2]);
  assert(/^\d+\.\d{9}$/.test(String(timestamp)));
  assertEquals(await told(daemon, "rm", "sensor.temp"), "removed sensor.temp\n");
  assertEquals(await told(daemon, "list", "sensor.>"), "-- no records\n");
});

Deno.test("record set reads a pipe, and takes a negative number with or without dashes", async () => {
  await using daemon = await startTestDaemon();
  await told(daemon, "define", "a");
  for (
    const [args, stdin] of [[[], '{\n"x": 1}\n'], [["-"], "[2]"], [["--", "-5"], ""], [
      ["-5"],
      "",
    ]] as const
  ) {
    const all = ["record", "set", "a", "--dir", daemon.directory, ...args];
    assertEquals((await postern(all, { stdin })).code, 0);
    const seen = (await json(daemon, "get", "a")).value;
    assertEquals(seen, stdin === "" ? -5 : JSON.parse(stdin));
  }
});

Deno.test("record list is a table of the records that a pattern matches", async () => {
  await using daemon = await startTestDaemon();
  await told(daemon, "define", "a.one", "--writable");
  await told(daemon, "define", "a.two", "--type", "mailbox", "--volatile");
  await told(daemon, "define", "a.two.deep", "--type", "spmc_ring", "--capacity", "7");
  await told(daemon, "set", "a.one", "1");
  const rows = (await told(daemon, "list", "a.*")).trimEnd().split("\n");
  assertEquals(rows.map((row) => row.split(/ {2,}/)).map((row) => row.slice(0, 6)), [
    ["NAME", "TYPE", "SEQ", "PRODUCERS", "CONSUMERS", "WRITABLE"],
    ["a.one", "single_latest", "1", "0", "0", "yes"],
    ["a.two", "mailbox", "0", "0", "0", "no"],
  ]);
  assert(/ {2}\d+ s ago$/.test(rows[1]!), rows[1]);
  assert(/ {2}never$/.test(rows[2]!), rows[2]);
  const names = async (...args: string[]) =>
    ((await json(daemon, "list", ...args)).records as { name: string }[]).map(({ name }) => name);
  assertEquals(await names("a.>"), ["a.one", "a.two", "a.two.deep"]);
  assertEquals(await names("*.two"), ["a.two"]);
  assertEquals(await names("a.two"), ["a.two"]);
  assertEquals(await names(), ["a.one", "a.two", "a.two.deep", "aimx.metrics"]);
});

Deno.test("record history shows the last values, and says when there are older ones", async () => {
  await using daemon = await startTestDaemon();
  await told(daemon, "define", "ring", "--type", "spmc_ring");
  assertEquals(await told(daemon, "history", "ring"), "-- no values yet\n");
  for (const value of ['"a\\u009bb"', "2", "3"]) await told(daemon, "set", "ring", value);
  const lines = (await told(daemon, "history", "ring")).trimEnd().split("\n");
  assertEquals(lines.map((line) => line.replace(/ {2}\S+Z {2}/, " ")), [
    '1 "a\\u009bb"',
    "2 2",
    "3 3",
  ]);
  const fewer = await told(daemon, "history", "ring", "-n", "1");
  assert(/^-- there are older ones.*\n3 {2}\S+Z {2}3\n$/.test(fewer), fewer);
  assertEquals((await json(daemon, "history", "ring", "--limit", "2")).has_more, true);
});

Deno.test("a schema comes from the command line or a file, and bad values name their path", async () => {
  await using daemon = await startTestDaemon();
  const path = `${daemon.directory}/schema.json`;
  Deno.writeTextFileSync(path, '{"type": "object", "properties": {"c": {"type": "number"}}}');
  assert((await told(daemon, "define", "a", "--schema", path)).includes("with a schema"));
  await told(daemon, "define", "b", "--schema", '{"type": "number"}');
  const bad = await run(daemon, "set", "a", '{"c": "x"}');
  assertEquals([bad.code, bad.stdout], [1, ""]);
  assert(bad.stderr.includes("/c"), bad.stderr);
  assertEquals(await told(daemon, "set", "b", "12345678901234567890123"), "set as 1\n");
});

Deno.test("record rm removes all it can, tells which, and fails for the others", async () => {
  await using daemon = await startTestDaemon();
  for (const name of ["sensor", "b", "c"]) await told(daemon, "define", name);
  const { code, stdout, stderr } = await run(daemon, "rm", "b", "sensro", "nothing", "c");
  assertEquals([code, stdout], [1, "removed b\nremoved c\n"]);
  assert(stderr.includes('"sensro" (did you mean sensor?)\n'), stderr);
  assert(stderr.includes('"nothing"\n'), stderr);
  assertEquals(await json(daemon, "rm", "sensor"), { removed: "sensor" });
});

/** What the README's section on records tells a reader to type, without what starts the program. */
function readmeCommands(): string[][] {
  const page = Deno.readTextFileSync(new URL("../../README.md", import.meta.url));
  const block = /^## Live records\n.*?^```sh\n(.*?)^```$/ms.exec(page)?.[1] ?? "";
  const lines = block.trimEnd().split("\n").map((line) => line.replace("deno task postern ", ""));
  return lines.map((line) => [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, a, b]) => a ?? b!));
}

Deno.test("the commands of the README's section on records do what it says", async () => {
  await using daemon = await startTestDaemon();
  const commands = readmeCommands();
  const [watch, ...others] = commands.toReversed();
  const said: string[] = [];
  for (const [name, ...args] of others.reverse()) {
    assertEquals(name, "record");
    said.push(await told(daemon, ...args));
  }
  assertEquals(said.slice(0, 3), [
    "sensor.temp is defined: spmc_ring of 100, with a schema\n",
    "set as 1\n",
    "21.5\n",
  ]);
  assert(/^1 {2}\S+ {2}21.5\n$/.test(said[3]!), said[3]);
  assert(said[4]!.includes("\nsensor.temp  spmc_ring of 100  1 "), said[4]);
  const child = posternCommand([...watch!, "--dir", daemon.directory]).spawn();
  const lines = new LinesOf(child);
  assertEquals(JSON.parse(await lines.next() ?? "").value, 21.5);
  child.kill("SIGINT");
  assertEquals((await child.status).code, 0);
  await lines.hangUp();
  await child.stderr.cancel();
});

for (
  const [args, code, says] of [
    [["get", "sensor.tmp"], 1, "(did you mean sensor.temp?)"],
    [["set", "sensor.tmp", "1"], 1, "(did you mean sensor.temp?)"],
    [["history", "Sensor.temp"], 1, "(did you mean sensor.temp?)"],
    [["watch", "sensor.tmp"], 1, "(did you mean sensor.temp?)"],
    [["get", "like.nothing"], 1, '"like.nothing"'],
    [["get", "sensor.temp"], 1, "no value"],
    [["history", "sensor.temp"], 1, "single_latest"],
    [["set", "sensor.temp", "1", "--if-sequence", "4"], 1, "4"],
    [["set", "aimx.metrics", "1"], 4, "the daemon's own"],
    [["define", "sensor.temp", "--type", "mailbox"], 1, "remove it first"],
    [["define", "x", "--type", "heap"], 1, "heap"],
    [["define", "x", "--schema", '{"type": "nubmer"}'], 1, "nubmer"],
  ] as [string[], number, string][]
) {
  Deno.test(`postern record ${args.join(" ")} fails with ${code} and says ${says}`, async () => {
    await using daemon = await startTestDaemon();
    await told(daemon, "define", "sensor.temp");
    const finished = await run(daemon, ...args);
    assertEquals([finished.code, finished.stdout], [code, ""]);
    assert(finished.stderr.includes(says), finished.stderr);
  });
}

for (
  const [args, says] of [
    [[], "an argument is missing"],
    [["wacth"], "(did you mean watch?)"],
    [["get"], "get needs <name>; usage: postern record get <name>"],
    [["get", "a", "b"], '"b"'],
    [["get", "a", "--limit", "3"], "get has no option --limit"],
    [["list", "--volatile"], "list has no option --volatile"],
    [["list", "a..b"], '"a..b"'],
    [["list", "a.>.b"], '"a.>.b"'],
    [["set", "a", "hello"], `as in '"hello"'`],
    [["set", "a"], "nothing"],
    [["set", "a", "-5x"], "JSON is expected"],
    [["history", "a", "-n", "-5"], 'not "-5"'],
    [["list", "a".repeat(257)], "a pattern is a name"],
    [["define", "a", "--capacity", "0"], "from 1 to 10000"],
    [["define", "a", "--schema", "/nowhere/x"], "/nowhere/x"],
    [["define", "a", "--schema", "{oops"], "{oops"],
    [["history", "a", "-n", "0"], "from 1 to 10000"],
    [["watch"], "<pattern>"],
    [["watch", "a", "--queue", "x"], "--queue"],
    [["watch", "a.*", "b", "*.c"], '"a.*" and "*.c" overlap'],
    [["watch", "b.>", "a.>", "b.c"], '"b.>" and "b.c" overlap'],
  ] as [string[], string][]
) {
  Deno.test(`postern record ${args.join(" ")} is a usage error that says ${says}`, async () => {
    const { code, stdout, stderr } = await postern(["record", ...args], {
      env: { POSTERN_DIR: "/nowhere/at/all" },
    });
    assertEquals([code, stdout], [2, ""]);
    assert(stderr.includes(says), stderr);
  });
}
