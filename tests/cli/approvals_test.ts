/** `approvals` on a terminal: the list follows what happens, and keys answer what is seen. */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path/posix";
import type { Pending } from "../../src/cli/approval_list.ts";
import { ApprovalRows } from "../../src/cli/approval_rows.ts";
import { KeyReader, keysIn } from "../../src/cli/keys.ts";
import { padded, wrapped } from "../../src/cli/text_width.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";
import { Terminal, whyNoTerminal } from "../support/terminal.ts";

const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";

const missing = whyNoTerminal();
if (missing !== null) console.log(`ignored: what needs a terminal, for ${missing}`);

/** Who asks and the list are one client of the kind `cli`, whose secret is in the daemon's directory. */
class Desk {
  readonly daemon: TestDaemon;
  readonly asker: RawClient;

  constructor(daemon: TestDaemon, asker: RawClient) {
    this.daemon = daemon;
    this.asker = asker;
  }

  /** Asks; @returns the request's id. */
  async ask(tool: string, more: Line = {}): Promise<string> {
    const cmd = "permission.request";
    const { request_id } = await this.asker.ask({ cmd, tool, input: { for: tool }, ...more });
    assert(typeof request_id === "string");
    return request_id;
  }

  answer(request_id: string, approve: boolean): Promise<Line> {
    return this.asker.ask({ cmd: "permission.answer", request_id, result: { approve } });
  }

  /** What the request came to, which is waited for. */
  async decision(request_id: string): Promise<string> {
    using client = await this.daemon.v2();
    const { result, ...rest } = await client.ask({ cmd: "permission.wait", request_id });
    return (result ?? rest).decision;
  }

  /** `approvals`, once it has painted. */
  async open(
    size: [number, number] = [24, 100],
    env: Record<string, string> = {},
  ): Promise<Terminal> {
    const terminal = new Terminal(["approvals", "--dir", this.daemon.directory], size, env);
    await terminal.until(({ painted }) => painted.length > 0);
    return terminal;
  }
}

/** A test that needs a terminal, with a daemon of its own. */
function onTerminal(name: string, test: (desk: Desk) => Promise<void>): void {
  Deno.test({
    name,
    ignore: missing !== null,
    async fn() {
      await using daemon = await startTestDaemon();
      await test(new Desk(daemon, await identified(daemon)));
    },
  });
}

/** A connection with the identity of the kind `cli`. */
async function identified(daemon: TestDaemon): Promise<RawClient> {
  const client = await daemon.v2();
  const path = join(daemon.directory, "clients", "cli.id");
  const hello = { cmd: "hello", version: 2, client_kind: "cli" };
  const kept = await Deno.readTextFile(path).catch(() => null);
  const { client_id } = await client.ask(
    kept === null ? hello : { ...hello, client_id: kept.trim() },
  );
  if (kept === null) {
    await Deno.mkdir(join(daemon.directory, "clients"), { recursive: true, mode: 0o700 });
    await Deno.writeTextFile(path, client_id, { mode: 0o600 });
  }
  return client;
}

/** Whether a row of that tool is painted, chosen or not. */
function shows(tool: string, { isChosen }: { isChosen?: boolean } = {}) {
  const begin = isChosen === undefined ? "[> ]" : isChosen ? ">" : " ";
  const row = new RegExp(`^${begin} [\\d:]+ +${tool} `);
  return (terminal: Terminal) => unmarked(terminal).some((line) => row.test(line));
}

/** What was painted, without colour. */
function unmarked({ painted }: Terminal): string[] {
  // deno-lint-ignore no-control-regex
  return painted.map((line) => line.replaceAll(/\x1b\[\d*m/g, ""));
}

const PLAIN = { NO_COLOR: "1" };

onTerminal("an empty list says so, and what is asked appears in it", async (desk) => {
  await using terminal = await desk.open([24, 100], PLAIN);
  assertEquals(terminal.painted, ["-- nothing waits for your approval; q ends"]);
  await desk.ask("Bash", { rationale: "to be sure" });
  await terminal.until(shows("Bash", { isChosen: true }));
  const [head = "", titles = "", row = ""] = terminal.painted;
  assert(head.startsWith("-- 1 waiting; arrows choose, y approves, n denies"), head);
  assertEquals(titles.split(/ +/).slice(1), ["LEFT", "TOOL", "FROM", "INPUT", "RATIONALE"]);
  assert(/^> \d\d:\d\d +Bash +o-\S{7}… +\{"for":"Bash"\} +to be sure$/.test(row), row);
  assert(!terminal.text.includes("\x1b[7m"));
  await terminal.type("q");
  assertEquals(await terminal.ended(), 0);
});

onTerminal("y approves and n denies what is chosen, by arrow keys or j and k", async (desk) => {
  const [a, b, c] = [await desk.ask("A"), await desk.ask("B"), await desk.ask("C")];
  await using terminal = await desk.open([24, 100], PLAIN);
  await terminal.until(shows("A", { isChosen: true }));
  await terminal.type("j");
  await terminal.until(shows("B", { isChosen: true }));
  await terminal.type("\x1b[B");
  await terminal.until(shows("C", { isChosen: true }));
  await terminal.type("k");
  await terminal.until(shows("B", { isChosen: true }));
  await terminal.type("n");
  assertEquals(await desk.decision(b), "denied");
  // The next one is chosen.
  await terminal.until((seen) => shows("C", { isChosen: true })(seen) && !shows("B")(seen));
  await terminal.type("y");
  assertEquals(await desk.decision(c), "approved");
  await terminal.until(shows("A", { isChosen: true }));
  await terminal.type("\x1b[A");
  await terminal.until(({ painted }) => !painted.at(-1)!.startsWith("-- approved"));
  await terminal.type("y");
  assertEquals(await desk.decision(a), "approved");
  await terminal.until(({ painted }) => painted[0]!.startsWith("-- nothing waits"));
  assertEquals(terminal.painted[1], "-- approved A");
  await terminal.type("\x03");
  assertEquals(await terminal.ended(), 0);
  assertEquals(terminal.text.split(LEAVE).slice(1), ["2 approved, 1 denied\r\n"]);
});

onTerminal("what is decided elsewhere vanishes, and no key meets another instead", async (desk) => {
  const [a, b] = [await desk.ask("A"), await desk.ask("B")];
  await using terminal = await desk.open([24, 100], PLAIN);
  await terminal.until(shows("A", { isChosen: true }));
  await desk.answer(a, false);
  await terminal.until((seen) => shows("B", { isChosen: false })(seen) && !shows("A")(seen));
  assert(terminal.painted.at(-1)!.endsWith("choose with the arrow keys"), terminal.painted.at(-1));
  await terminal.type("y");
  await terminal.type("\x1b[A");
  await terminal.until(shows("B", { isChosen: true }));
  await terminal.type("n");
  assertEquals(await desk.decision(b), "denied");
  await terminal.type("q");
  assertEquals(await terminal.ended(), 0);
});

onTerminal("d shows all of a request, harmless for the terminal, and scrolls it", async (desk) => {
  const lines = Array.from({ length: 30 }, (_, n) => `line ${n}`);
  const evil = "\x1b]0;title\x07\x9b2J\u202eabc\ttab\u200b";
  const id = await desk.ask("Ba\x1b[31msh", { input: { evil, lines }, rationale: "\r\n\x1b[2J" });
  await using terminal = await desk.open([12, 70], PLAIN);
  await terminal.until(({ painted }) => painted.some((line) => line.startsWith("> ")));
  await terminal.type("d");
  await terminal.until(({ painted }) => painted.some((line) => line.startsWith("tool ")));
  assert(terminal.painted.includes("tool       Ba\\u001b[31msh"), terminal.painted.join("\n"));
  assert(terminal.painted.includes(`request    ${id}`));
  assertEquals(terminal.painted.length, 12);
  await terminal.type("\x1b[6~");
  await terminal.until(({ painted }) => painted.some((line) => line.includes('"line 5"')));
  for (let page = 0; page < 4; page++) await terminal.type("\x1b[6~");
  await terminal.until(({ painted }) => painted.at(-1) === "}");
  assert(terminal.painted.some((line) => line.includes('"line 29"')));
  for (const raw of ["\x1b]0", "\x07", "\x9b", "\u202e", "\u200b", "\t", "\x1b[31m", "\x1b[2J"]) {
    assert(!terminal.text.includes(raw), JSON.stringify(raw));
  }
  await terminal.type("y");
  assertEquals(await desk.decision(id), "approved");
  await terminal.until(({ painted }) => painted[0]!.startsWith("-- nothing waits"));
  await terminal.type("q");
  assertEquals(await terminal.ended(), 0);
});

onTerminal("text that is pasted answers nothing", async (desk) => {
  const id = await desk.ask("A");
  await using terminal = await desk.open([24, 100], PLAIN);
  await terminal.until(shows("A", { isChosen: true }));
  await terminal.type("yes, why not");
  // The d of a later key shows that the paste was read.
  await terminal.type("d");
  await terminal.until(({ painted }) => painted[0]!.startsWith("-- y approves"));
  const { code } = await desk.answer(id, false);
  assertEquals(code, undefined, "nobody has answered yet");
  await terminal.until(({ painted }) => painted[0]!.startsWith("-- nothing waits"));
  await terminal.type("q");
  assertEquals(await terminal.ended(), 0);
});

onTerminal(
  "one character that is pasted answers nothing, where the terminal marks it",
  async (desk) => {
    const id = await desk.ask("A");
    await using terminal = await desk.open([24, 100], PLAIN);
    await terminal.until(shows("A", { isChosen: true }));
    assert(terminal.text.includes("\x1b[?2004h"));
    for (const pasted of ["\x1b[200~y\x1b[201~", "\x1b[200~n"]) await terminal.type(pasted);
    for (const rest of ["y", "\x1b[201~", "d"]) {
      await terminal.settings();
      await terminal.type(rest);
    }
    await terminal.until(({ painted }) => painted[0]!.startsWith("-- y approves"));
    const { code } = await desk.answer(id, false);
    assertEquals(code, undefined, "nobody has answered yet");
    await terminal.type("q");
    assertEquals(await terminal.ended(), 0);
    assert(terminal.text.includes(`\x1b[?2004l${LEAVE}`));
  },
);

onTerminal("the list is cut to the terminal's size, follows it, and marks a row", async (desk) => {
  for (let n = 0; n < 9; n++) await desk.ask(`T${n}`, { input: "x".repeat(300) });
  await using terminal = await desk.open([6, 60]);
  await terminal.until(shows("T3"));
  assertEquals(terminal.painted.length, 6);
  assert(terminal.text.includes("\x1b[7m> "));
  for (let n = 0; n < 8; n++) await terminal.type("j");
  await terminal.until(shows("T8"));
  await terminal.resize(20, 90);
  await terminal.until(({ painted }) => painted.length === 11);
  await terminal.resize(5, 30);
  await terminal.until(({ painted }) => painted.length === 5);
  const plain = unmarked(terminal);
  assert(plain.every((line) => line.length <= 30), plain.join("\n"));
  await terminal.type("\x03");
  assertEquals(await terminal.ended(), 0);
});

onTerminal("the list outlives a restart of the daemon", async (desk) => {
  const id = await desk.ask("A");
  await using terminal = await desk.open([24, 100], PLAIN);
  await terminal.until(shows("A", { isChosen: true }));
  await desk.daemon.stop();
  await terminal.until(({ painted }) => painted.at(-1)!.startsWith("-- the daemon is away"));
  await desk.daemon.start();
  await terminal.until(({ painted }) => !painted.at(-1)!.startsWith("-- the daemon is away"));
  await terminal.type("y");
  assertEquals(await desk.decision(id), "approved");
  const again = new Desk(desk.daemon, await identified(desk.daemon));
  await again.ask("B");
  await terminal.until(shows("B"));
  await terminal.type("q");
  assertEquals(await terminal.ended(), 0);
});

onTerminal(
  "SIGTERM and Ctrl-Z give the terminal back, with its echo and its lines",
  async (desk) => {
    await desk.ask("A");
    // The shell shows what the terminal's settings are behind the program.
    await using terminal = await desk.open([24, 100], PLAIN);
    await terminal.until(shows("A", { isChosen: true }));
    await terminal.type("\x1a");
    await terminal.until(({ text }) => text.endsWith(`\x1b[?2004l${LEAVE}`));
    assertEquals(await terminal.settings(), { echo: true, lines: true });
    await terminal.proceed();
    await terminal.until(({ text }) => text.split(LEAVE).at(-1)!.includes("\x1b[J"));
    assert(terminal.text.split(LEAVE).at(-1)!.includes("\x1b[?2004h"));
    assertEquals(await terminal.settings(), { echo: false, lines: false });
    assertEquals(await terminal.terminated(), { code: 0, echo: true, lines: true });
    assert(
      terminal.text.endsWith(`\x1b[?2004l${LEAVE}0 approved, 0 denied\r\n`),
      terminal.text.slice(-100),
    );
  },
);

onTerminal("Ctrl-\\ ends the list as Ctrl-C does, and the terminal is as it was", async (desk) => {
  await desk.ask("A");
  await using terminal = await desk.open([24, 100], PLAIN);
  await terminal.until(shows("A", { isChosen: true }));
  assertEquals(await terminal.terminated("\x1c"), { code: 0, echo: true, lines: true });
  assert(
    terminal.text.endsWith(`\x1b[?2004l${LEAVE}0 approved, 0 denied\r\n`),
    terminal.text.slice(-100),
  );
});

function pending(request_id: string, more: Partial<Pending> = {}): Pending {
  const request = { request_id, tool: `T-${request_id}`, input: null, requester: "o-1" };
  const times = { requested_at: 0, expires_at: 90_000 };
  return { ...request, ...times, rationale: null, turn_id: null, ...more };
}

const SIZE = { columns: 80, rows: 24 };

Deno.test("only what was drawn as chosen can be answered", () => {
  const rows = new ApprovalRows((text) => text);
  rows.replace({ pending: [pending("a"), pending("b")], has_more: false });
  assertEquals(rows.answerable, null);
  rows.draw(SIZE, 0);
  assertEquals(rows.answerable?.request_id, "a");
  rows.move(1);
  assertEquals(rows.answerable, null);
  rows.draw(SIZE, 0);
  assertEquals(rows.answerable?.request_id, "b");
  rows.answered("b", "approved");
  assertEquals(rows.answerable, null);
  assert(rows.draw(SIZE, 0).some((line) => line.startsWith("> 01:30     T-a ")));
  assertEquals(rows.answerable?.request_id, "a");
});

Deno.test("where the screen cuts off the name of the tool nothing is answered", () => {
  for (const [tool, needed] of [["Bash", 17], ["日本", 17], ["x".repeat(40), 29]] as const) {
    const rows = new ApprovalRows((text) => text);
    rows.replace({ pending: [pending("a", { tool })], has_more: false });
    for (const columns of Array.from({ length: 40 }, (_, at) => at + 1)) {
      const lines = rows.draw({ columns, rows: 24 }, 0);
      const isAnswerable = rows.answerable !== null;
      assertEquals(isAnswerable, columns >= needed, `${columns} columns: ${lines.join("\n")}`);
      const name = tool.length > 16 ? `${tool.slice(0, 15)}…` : tool;
      if (isAnswerable) assert(lines[2]!.includes(` ${name}`), lines[2]);
    }
  }
});

Deno.test("in few lines the chosen one goes first, so that what can be answered is seen", () => {
  for (const message of ["", "told"]) {
    for (const isDetail of [false, true]) {
      const rows = new ApprovalRows((text) => text);
      rows.replace({ pending: [pending("a"), pending("b"), pending("c")], has_more: false });
      rows.move(1);
      if (isDetail) rows.toggleDetails();
      rows.message = message;
      for (const height of [1, 2, 3]) {
        const lines = rows.draw({ columns: 80, rows: height }, 0);
        const isSeen = lines.some((line) => /^> .*T-b|^tool +T-b/.test(line));
        assertEquals([lines.length, isSeen], [height, true], lines.join("\n"));
        assertEquals(rows.answerable?.request_id, "b");
      }
    }
  }
});

Deno.test("what was told before the daemon went away is no news when it is back", () => {
  const rows = new ApprovalRows((text) => text);
  const last = () => rows.draw({ columns: 200, rows: 24 }, 0).at(-1)!;
  rows.replace({ pending: [pending("a"), pending("b"), pending("c")], has_more: false });
  rows.answered("a", "approved a");
  rows.isAway = true;
  assert(last().startsWith("-- the daemon is away"));
  // What is told meanwhile stays.
  rows.message = "not known to be taken";
  rows.isAway = true;
  rows.isAway = false;
  assertEquals(last(), "-- not known to be taken");
  rows.isAway = true;
  rows.isAway = false;
  assert(last().includes(" T-c "), last());
  // That a person has to choose is no news of then.
  rows.replace({ pending: [pending("c")], has_more: false });
  rows.isAway = true;
  rows.isAway = false;
  assert(last().endsWith("choose with the arrow keys"), last());
});

Deno.test("a list that was on its way does not bring back what we have answered", () => {
  const rows = new ApprovalRows((text) => text);
  const list = { pending: [pending("a"), pending("b")], has_more: true };
  rows.replace(list);
  rows.answered("a", "approved a");
  rows.replace(list);
  const [head, _titles, ...others] = rows.draw(SIZE, 0);
  assert(head!.startsWith("-- 1 and more waiting"), head);
  assertEquals(others.map((line) => line.split(/ +/).slice(0, 3)), [
    [">", "01:30", "T-b"],
    ["--", "approved", "a"],
  ]);
});

Deno.test("what was answered is told until the next request comes or goes", () => {
  const rows = new ApprovalRows((text) => text);
  const list = (...ids: string[]) => {
    rows.replace({ pending: ids.map((id) => pending(id)), has_more: false });
    return rows.draw(SIZE, 0).at(-1);
  };
  list("a", "b");
  rows.answered("a", "approved a");
  assertEquals(list("a", "b"), "-- approved a");
  assertEquals(list("b"), "-- approved a");
  assert(list("b", "c")!.includes(" T-c "));
  rows.answered("b", "approved b");
  assertEquals(list("c"), "-- approved b");
  list("c", "d");
  rows.message = "told";
  assertEquals(list("c", "d"), "-- told");
  assert(list("c")!.includes(" T-c "));
});

Deno.test("that nothing is chosen is told until a person chooses", () => {
  const rows = new ApprovalRows((text) => text);
  for (const ids of [["a", "b"], ["b"], ["b", "c"]]) {
    rows.replace({ pending: ids.map((id) => pending(id)), has_more: false });
  }
  const wide = { columns: 200, rows: 24 };
  assert(rows.draw(wide, 0).at(-1)!.endsWith("choose with the arrow keys"));
  rows.move(1);
  assert(rows.draw(SIZE, 0).at(-1)!.includes(" T-c "));
});

Deno.test("the time left is told in minutes and seconds, and hours before them", () => {
  const rows = new ApprovalRows((text) => text);
  rows.replace({ pending: [pending("a", { expires_at: 3_723_000 })], has_more: false });
  assert(rows.draw(SIZE, 0)[2]!.startsWith("> 1:02:03 "));
  assert(rows.draw(SIZE, 3_720_500)[2]!.startsWith("> 00:03 "));
  assert(rows.draw(SIZE, 4_000_000)[2]!.startsWith("> 00:00 "));
});

Deno.test("keys are told apart, and whether they came together", () => {
  const names = (text: string) => keysIn(text).map(({ name }) => name);
  assertEquals(names("\x1b[A\x1bOBj\x1b[6~\r\x1b"), [
    "up",
    "down",
    "j",
    "page down",
    "enter",
    "escape",
  ]);
  assertEquals(keysIn("y"), [{ name: "y", isAlone: true }]);
  assert(keysIn("yy").every(({ isAlone }) => !isAlone));
});

Deno.test("what a terminal marks as pasted is no key, over as many reads as it comes in", () => {
  const text = "q\x1b[200~y\n\x1b[201~d\x1b[A";
  for (let size = 1; size <= text.length; size++) {
    const keys = new KeyReader();
    const read: string[] = [];
    for (let at = 0; at < text.length; at += size) {
      read.push(...keys.push(text.slice(at, at + size)).map(({ name }) => name));
    }
    // An Escape that comes alone is a key, whatever goes on behind it.
    assertEquals(read.filter((name) => name !== "escape"), ["q", "d", "up"], `reads of ${size}`);
  }
  const keys = new KeyReader();
  assertEquals(keys.push("\x1b[200~y\x1b[201~"), []);
  assertEquals(keys.push("\x1b[200~x\x1b[201~y"), [{ name: "y", isAlone: false }]);
  assertEquals(keys.push("\x1b"), [{ name: "escape", isAlone: true }]);
  assertEquals(keys.push("y"), [{ name: "y", isAlone: true }]);
  keys.push("\x1b[200~");
  keys.reset();
  assertEquals(keys.push("y"), [{ name: "y", isAlone: true }]);
});

Deno.test("text is filled up and broken by the columns it takes", () => {
  assertEquals(padded("日本", 6), "日本  ");
  assertEquals(padded("abcdef", 4), "abc…");
  assertEquals(wrapped("日本語x", 4), ["日本", "語x"]);
  assertEquals(wrapped("", 4), [""]);
});
