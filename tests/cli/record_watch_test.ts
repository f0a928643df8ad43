/** `record watch`: lines in a pipe, and a table that is painted in place on a terminal. */

import { assert, assertEquals } from "@std/assert";
import { RecordRows } from "../../src/cli/record_rows.ts";
import { cut } from "../../src/cli/text_width.ts";
import { LinesOf, postern, posternCommand } from "../support/cli.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { Terminal, whyNoTerminal } from "../support/terminal.ts";

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";

const missing = whyNoTerminal();
if (missing !== null) console.log(`ignored: what needs a terminal, for ${missing}`);

/** Defines records of these names. */
async function define(daemon: TestDaemon, ...names: string[]): Promise<void> {
  using client = await daemon.v2();
  for (const name of names) await client.ask({ cmd: "record.define", name });
}

async function set(daemon: TestDaemon, name: string, ...values: unknown[]): Promise<void> {
  using client = await daemon.v2();
  for (const value of values) await client.ask({ cmd: "record.set", name, value });
}

/** A test that needs a terminal, with a daemon of its own. */
function onTerminal(name: string, test: (daemon: TestDaemon) => Promise<void>): void {
  Deno.test({
    name,
    ignore: missing !== null,
    async fn() {
      await using daemon = await startTestDaemon();
      await test(daemon);
    },
  });
}

/** `record watch` on a terminal, once the table has a row. */
async function watching(daemon: TestDaemon, pattern: string, ...size: number[]): Promise<Terminal> {
  const args = ["record", "watch", pattern, "--dir", daemon.directory];
  const terminal = new Terminal(args, size as [number, number]);
  await terminal.until(({ painted }) => painted.length > 2);
  return terminal;
}

function following(daemon: TestDaemon, ...args: string[]) {
  const child = posternCommand(["record", "watch", "--dir", daemon.directory, ...args]).spawn();
  const lines = new LinesOf(child);
  return {
    next: async () => JSON.parse(await lines.next() ?? "null"),
    end: async () => {
      child.kill("SIGINT");
      const { code } = await child.status;
      await lines.hangUp();
      await child.stderr.cancel();
      return code;
    },
  };
}

Deno.test("in a pipe record watch writes each update as a line, until interrupted", async () => {
  await using daemon = await startTestDaemon();
  await define(daemon, "a.x", "a.y", "b");
  await set(daemon, "a.x", { n: 1 });
  await set(daemon, "b", "other");
  const watch = following(daemon, "a.*", "b");
  const first = [await watch.next(), await watch.next()];
  const told = first.map(({ name, sequence, value }) => [name, sequence, value]);
  assertEquals(told.sort(), [["a.x", 1, { n: 1 }], ["b", 1, "other"]]);
  assert(first.every(({ timestamp }) => /^\d+\.\d{9}$/.test(timestamp)));
  await set(daemon, "a.y", 7);
  const { timestamp: _timestamp, ...next } = await watch.next();
  assertEquals(next, { name: "a.y", sequence: 1, value: 7 });
  assertEquals(await watch.end(), 0);
});

Deno.test("record watch --no-initial begins with what comes", async () => {
  await using daemon = await startTestDaemon();
  await define(daemon, "a");
  await set(daemon, "a", 1);
  const watch = following(daemon, "a", "aimx.metrics", "--no-initial");
  // The daemon's own record is told once a second: when it comes, the other would have come before.
  assertEquals((await watch.next()).name, "aimx.metrics");
  await set(daemon, "a", 2);
  const seen: { name: string; value: unknown }[] = [];
  while (!seen.some(({ name }) => name === "a")) seen.push(await watch.next());
  assertEquals(seen.find(({ name }) => name === "a")?.value, 2);
  assertEquals(await watch.end(), 0);
});

onTerminal(
  "on a terminal record watch paints a table in place, and Ctrl-C gives the terminal back",
  async (daemon) => {
    await define(daemon, "s.one", "s.two");
    await set(daemon, "s.one", "first");
    await using terminal = await watching(daemon, "s.>", 24, 80);
    assert(terminal.text.startsWith(ENTER), terminal.text);
    assertEquals(terminal.painted.length, 3);
    await set(daemon, "s.two", { deep: [1] });
    await set(daemon, "s.one", "second");
    await terminal.until(({ painted }) => painted.some((line) => line.includes('"second"')));
    await terminal.until(({ painted }) => painted.length === 4);
    const [title, ...table] = terminal.painted;
    assertEquals(title, "-- 2 records; Ctrl-C ends");
    assertEquals(
      table.map((row) => row.trimEnd().split(/ {2,}/)).map(([a, b, _age, ...c]) => [a, b, ...c]),
      [
        ["NAME", "SEQ", "MISSED", "VALUE"],
        ["s.one", "2", "0", '"second"'],
        ["s.two", "1", "0", '{"deep":[1]}'],
      ],
    );
    assert(!terminal.text.includes(LEAVE));
    await terminal.type("\x03");
    assertEquals(await terminal.ended(), 0);
    const [, left = "", ...more] = terminal.text.split(LEAVE);
    assertEquals(more, []);
    assert(/^NAME .*\r\ns\.one .*"second"\r\ns\.two .*\r\n$/.test(left), left);
  },
);

onTerminal("the table is cut to the terminal's size, and follows it", async (daemon) => {
  const names = Array.from({ length: 9 }, (_, n) => `s.${n}`);
  await define(daemon, ...names);
  for (const name of names) await set(daemon, name, "v".repeat(300));
  await using terminal = await watching(daemon, "s.>", 8, 60);
  await terminal.until(({ painted }) => painted.at(-1)?.startsWith("-- and 4 more") ?? false);
  assertEquals(terminal.painted.length, 8);
  assertEquals(terminal.painted[2]!.length, 60);
  assert(terminal.painted[2]!.endsWith("v…"), terminal.painted[2]);
  await terminal.resize(20, 100);
  await terminal.until(({ painted }) => painted.length === 11);
  assertEquals(terminal.painted[10]!.length, 100);
  await terminal.resize(5, 30);
  await terminal.until(({ painted }) => painted.length === 5);
  assert(terminal.painted.every((line) => line.length <= 30));
  await terminal.type("\x03");
  assertEquals(await terminal.ended(), 0);
});

onTerminal(
  "a terminal is given back when the daemon goes away, and the exit code is 1",
  async (daemon) => {
    await define(daemon, "a");
    await set(daemon, "a", 1);
    await using terminal = await watching(daemon, "a", 24, 80);
    await daemon.stop();
    assertEquals(await terminal.ended(), 1);
    assert(/^NAME .*\r\na .*\r\npostern: .*\r\n$/.test(terminal.text.split(LEAVE)[1]!));
  },
);

onTerminal("Ctrl-Z gives the terminal back until the program goes on", async (daemon) => {
  await define(daemon, "a");
  await set(daemon, "a", 1);
  await using terminal = await watching(daemon, "a", 24, 80);
  await terminal.type("\x1a");
  await terminal.until(({ text }) => text.endsWith(LEAVE));
  await terminal.proceed();
  await terminal.until(({ text }) => text.split(ENTER).at(-1)!.includes("\x1b[J"));
  await terminal.type("\x03");
  assertEquals(await terminal.ended(), 0);
});

onTerminal("Ctrl-\\ ends it as Ctrl-C does, and its screen is gone", async (daemon) => {
  await define(daemon, "a");
  await set(daemon, "a", 1);
  await using terminal = await watching(daemon, "a", 24, 80);
  await terminal.type("\x1c");
  assertEquals(await terminal.ended(), 0);
  assert(terminal.text.includes(LEAVE), terminal.text);
});

onTerminal(
  "on a terminal --json, and one that cannot move its cursor, are told lines",
  async (daemon) => {
    await define(daemon, "a");
    await set(daemon, "a", 1);
    for (const [args, env] of [[["--json"], {}], [[], { TERM: "dumb" }]] as const) {
      const all = ["record", "watch", "a", "--dir", daemon.directory, ...args];
      await using terminal = new Terminal(all, [24, 80], env);
      await terminal.until(({ text }) => text.includes("\n"));
      assertEquals(JSON.parse(terminal.text).value, 1);
      await terminal.type("\x03");
      assertEquals(await terminal.ended(), 0);
    }
  },
);

onTerminal("on a terminal record get puts a value on lines of its own", async (daemon) => {
  await define(daemon, "a");
  await set(daemon, "a", { n: 1 });
  const piped = await postern(["record", "get", "a", "--dir", daemon.directory]);
  assertEquals(piped.stdout, '{"n":1}\n');
  await using terminal = new Terminal(["record", "get", "a", "--dir", daemon.directory]);
  assertEquals(await terminal.ended(), 0);
  assertEquals(terminal.text, '{\r\n  "n": 1\r\n}\r\n');
});

const SIZE = { columns: 80, rows: 24 };

function update(name: string, sequence: number, dropped?: number) {
  return { name, sequence, value: sequence, timestamp: "1000.000000000", dropped };
}

Deno.test("the table counts what was not told of each record, and all that was dropped", () => {
  const rows = new RecordRows();
  for (const sequence of [5, 6, 9]) {
    rows.note(update("a", sequence, sequence === 9 ? 3 : undefined));
  }
  rows.note(update("b", 40));
  rows.note(update("b", 1));
  const [title, , a, b] = rows.draw(SIZE, 1_090_000);
  assertEquals(title, "-- 2 records, 3 updates dropped; Ctrl-C ends");
  assertEquals(a?.split(/ {2,}/), ["a", "9", "1 min 30 s", "2", "9"]);
  assertEquals(b?.split(/ {2,}/), ["b", "1", "1 min 30 s", "0", "1"]);
});

Deno.test("the table keeps 10,000 records, those that changed last", () => {
  const rows = new RecordRows();
  rows.note(update("old", 1));
  rows.note(update("kept", 1));
  for (let n = 0; n < 9998; n++) rows.note(update(`n${n}`, 1));
  rows.note(update("kept", 2));
  for (const name of ["new", "newer"]) rows.note(update(name, 1));
  const names = rows.draw({ columns: 80, rows: 20_000 }, 0).map((line) => line.split(" ", 1)[0]);
  assertEquals(names.length, 10_002);
  assertEquals([names.includes("old"), names.includes("kept")], [false, true]);
});

Deno.test("text is cut by the columns it takes, not by its characters", () => {
  assertEquals(cut("abcdef", 6), "abcdef");
  assertEquals(cut("abcdefg", 6), "abcde…");
  assertEquals(cut("日本語", 6), "日本語");
  assertEquals(cut("日本語x", 6), "日本…");
  assertEquals(cut("e\u0301e\u0301", 2), "e\u0301e\u0301");
  assertEquals(cut("abc", 1), "…");
});

Deno.test("control characters in a value are shown, not obeyed", () => {
  const rows = new RecordRows();
  rows.note({ ...update("a", 1), value: "\u009b2J\u202e" });
  assert(rows.draw(SIZE, 0)[2]!.endsWith('"\\u009b2J\\u202e"'));
});
