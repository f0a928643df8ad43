/** `chat`: with a session's runner, from a terminal, in a pipe, and with one text. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { jsonLines, postern, posternCommand } from "../support/cli.ts";
import { CliProcess } from "../support/cli_process.ts";
import { HeldSocket } from "../support/held_socket.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { type Client, connect } from "../../src/client/mod.ts";
import { Terminal, whyNoTerminal } from "../support/terminal.ts";

const missing = whyNoTerminal();
if (missing !== null) console.log(`ignored: what needs a terminal, for ${missing}`);

/** A runner in the test's own hands. */
class TestRunner implements AsyncDisposable {
  readonly #client: Client;
  readonly #stream: ReturnType<Client["subscribe"]>;

  private constructor(client: Client, stream: ReturnType<Client["subscribe"]>) {
    this.#client = client;
    this.#stream = stream;
  }

  static async attach(daemon: TestDaemon): Promise<TestRunner> {
    const client = await connect({ dir: daemon.directory, reconnect: false });
    const topics = ["turn.started", "turn.cancelled"];
    const stream = client.subscribe({ topics, replay: false, consumer: null });
    await stream.started;
    await client.call("session.attach", { runner: "r" });
    return new TestRunner(client, stream);
  }

  /** The next turn that is started or cancelled. */
  async next(): Promise<{ topic: string; id: string; text: string }> {
    const { topic = "", payload } = (await this.#stream.next()).value!.envelope;
    const { turn_id, text } = payload as { turn_id: string; text: string };
    return { topic, id: turn_id, text };
  }

  async emit(turn: { id: string }, type: "delta" | "completed" | "failed", data?: unknown) {
    await this.#client.call("turn.emit", { turn_id: turn.id, type, data });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }
}

function chatArgs(daemon: TestDaemon, ...args: string[]): string[] {
  return ["chat", "s", "--runner", "r", "--dir", daemon.directory, ...args];
}

Deno.test("one text is one turn: its output goes to stdout as it is, and it ends with 0", async () => {
  await using daemon = await startTestDaemon();
  await using runner = await TestRunner.attach(daemon);
  const done = postern(chatArgs(daemon, "hello there"));
  const turn = await runner.next();
  assertEquals(turn.text, "hello there");
  await runner.emit(turn, "delta", { text: "a\x1b[2J\n" });
  await runner.emit(turn, "delta", { text: "b" });
  await runner.emit(turn, "completed");
  assertEquals(await done, { code: 0, stdout: "a\x1b[2J\nb", stderr: "" });
});

Deno.test("a turn that fails ends it with 1 and the reason, one that is cancelled with 130", async () => {
  await using daemon = await startTestDaemon();
  await using runner = await TestRunner.attach(daemon);
  const failing = postern(chatArgs(daemon, "x"));
  await runner.emit(await runner.next(), "failed", { reason: "no\x1b luck" });
  assertEquals(await failing, {
    code: 1,
    stdout: "",
    stderr: "postern: the turn failed: no\\u001b luck\n",
  });
  const cancelled = postern(chatArgs(daemon, "x"));
  const turn = await runner.next();
  await using client = await connect({ dir: daemon.directory });
  await client.call("session.cancel", { turn_id: turn.id });
  const { code, stderr } = await cancelled;
  assertEquals([code, stderr], [130, "postern: the turn is cancelled\n"]);
});

Deno.test("in a pipe each line is a turn, and the exit code tells of the one that failed", async () => {
  await using daemon = await startTestDaemon();
  await using runner = await TestRunner.attach(daemon);
  const done = postern(chatArgs(daemon), { stdin: "one\n\ntwo\nthree" });
  for (const text of ["one", "two", "three"]) {
    const turn = await runner.next();
    assertEquals(turn.text, text);
    await runner.emit(turn, "delta", { text: `${text}!` });
    await runner.emit(turn, text === "two" ? "failed" : "completed", { reason: "odd" });
  }
  const { code, stdout, stderr } = await done;
  assertEquals([code, stdout], [1, "one!\ntwo!\nthree!\n"]);
  assertEquals(stderr, "postern: the turn failed: odd\n");
});

Deno.test("with --json each event of the turn is a line", async () => {
  await using daemon = await startTestDaemon();
  await using runner = await TestRunner.attach(daemon);
  const done = postern(chatArgs(daemon, "x", "--json"));
  const turn = await runner.next();
  await runner.emit(turn, "delta", { n: 1 });
  await runner.emit(turn, "completed");
  const { code, stdout } = await done;
  const topics = jsonLines(stdout).map(({ envelope }) => (envelope as { topic: string }).topic);
  assertEquals([code, ...topics], [
    0,
    "turn.queued",
    "turn.started",
    "turn.delta",
    "turn.completed",
  ]);
});

Deno.test("Ctrl-C, SIGTERM and SIGHUP cancel the one turn; their exit codes say which", async () => {
  await using daemon = await startTestDaemon();
  await using runner = await TestRunner.attach(daemon);
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    await using chat = new CliProcess(chatArgs(daemon, "x"));
    const turn = await runner.next();
    await runner.emit(turn, "delta", "begun");
    await chat.until(({ stdout }) => stdout === "begun");
    chat.kill(signal);
    assertEquals(await runner.next(), { topic: "turn.cancelled", id: turn.id, text: undefined! });
    assertEquals(await chat.ended(), code);
  }
});

Deno.test("its help tells every exit code of a turn", async () => {
  const { stdout } = await postern(["chat", "--help"]);
  for (const code of ["0 completed", "1 failed", "130", "SIGTERM", "143", "SIGHUP with 129"]) {
    assertStringIncludes(stdout, code);
  }
  assert(/a reader that goes\s+away/.test(stdout), stdout);
});

for (const operation of ["session.send", "session.cancel"]) {
  Deno.test(`SIGTERM and SIGHUP end it where the daemon does not answer ${operation}`, async () => {
    const ends = async (signal: "SIGTERM" | "SIGHUP", ...more: string[]): Promise<number> => {
      await using daemon = await startTestDaemon();
      await using runner = await TestRunner.attach(daemon);
      await using socket = new HeldSocket(daemon.socketPath, operation);
      await using chat = new CliProcess(chatArgs(daemon, ...more), {
        POSTERN_SOCKET_PATH: socket.path,
      });
      if (more.length === 0) await chat.write("one\ntwo\n");
      if (operation === "session.send") await socket.asked;
      else await runner.next();
      chat.kill(signal);
      return await chat.ended();
    };
    const all = [ends("SIGTERM", "x"), ends("SIGTERM"), ends("SIGHUP", "x"), ends("SIGHUP")];
    assertEquals(await Promise.all(all), [143, 143, 129, 129]);
  });
}

Deno.test("a reader that goes away ends it where the daemon does not answer", async () => {
  await using daemon = await startTestDaemon();
  await using runner = await TestRunner.attach(daemon);
  await using socket = new HeldSocket(daemon.socketPath, "session.cancel");
  const env = { POSTERN_SOCKET_PATH: socket.path };
  const child = posternCommand(chatArgs(daemon, "x"), { env }).spawn();
  const turn = await runner.next();
  await child.stdout.cancel();
  await runner.emit(turn, "delta", { text: "to nobody\n" });
  await socket.asked;
  const { code } = await child.status;
  assertEquals(code, 1, await new Response(child.stderr).text());
});

for (const more of [["x"], ["x", "--json"], []]) {
  Deno.test(`a reader that goes away in the middle of a turn cancels it: ${more.join(" ")}`, async () => {
    await using daemon = await startTestDaemon();
    await using runner = await TestRunner.attach(daemon);
    const child = posternCommand(chatArgs(daemon, ...more), { piped: true }).spawn();
    const stdin = child.stdin.getWriter();
    if (more.length === 0) await stdin.write(new TextEncoder().encode("one\ntwo\n"));
    const turn = await runner.next();
    await child.stdout.cancel();
    await runner.emit(turn, "delta", { text: "to nobody\n" });
    assertEquals((await runner.next()).topic, "turn.cancelled");
    assertEquals((await child.status).code, 130);
    await stdin.close().catch(() => {});
    await child.stderr.cancel();
    await using client = await connect({ dir: daemon.directory });
    const { open_turns } = await client.call("session.get", { session_id: "s" });
    assertEquals(open_turns, 0);
  });
}

Deno.test("a turn that completes before it is known that nobody reads ends with 0", async () => {
  await using daemon = await startTestDaemon();
  await using runner = await TestRunner.attach(daemon);
  const child = posternCommand(chatArgs(daemon, "x")).spawn();
  const turn = await runner.next();
  await child.stdout.cancel();
  await runner.emit(turn, "completed", { text: "to nobody" });
  const { code } = await child.status;
  assertEquals([code, await new Response(child.stderr).text()], [0, ""]);
});

Deno.test("a restart of the daemon in the middle of a turn: what comes of it is told all the same", async () => {
  await using daemon = await startTestDaemon();
  const runner = await TestRunner.attach(daemon);
  await using chat = new CliProcess(chatArgs(daemon, "x"));
  await runner.emit(await runner.next(), "delta", { text: "begun\n" });
  await chat.until(({ stdout }) => stdout === "begun\n");
  await daemon.restart();
  assertEquals(await chat.ended(), 1);
  assertStringIncludes(chat.stderr, "-- the connection is lost");
  assertStringIncludes(chat.stderr, "postern: the turn failed: ");
  await runner[Symbol.asyncDispose]();
});

Deno.test("a queued turn outlives a restart, and nothing of it is lost to who waits for it", async () => {
  await using daemon = await startTestDaemon();
  await using chat = new CliProcess(chatArgs(daemon, "x", "--json"));
  await chat.until(({ stdout }) => stdout.includes("turn.queued"));
  await daemon.restart();
  await using runner = await TestRunner.attach(daemon);
  const turn = await runner.next();
  for (let n = 0; n < 100; n++) await runner.emit(turn, "delta", { text: String(n) });
  await runner.emit(turn, "completed");
  assertEquals(await chat.ended(), 0);
  const payloads = jsonLines(chat.stdout).map(({ envelope }) =>
    (envelope as { payload: { data?: { text: string } } }).payload
  );
  const told = payloads.map(({ data }) => data?.text).filter((text) => text !== undefined);
  assertEquals(told, Array.from({ length: 100 }, (_, n) => String(n)));
});

Deno.test("a session that is there with this runner and a title is gone on with", async () => {
  await using daemon = await startTestDaemon();
  await using runner = await TestRunner.attach(daemon);
  await using client = await connect({ dir: daemon.directory });
  await client.call("session.create", { session_id: "s", runner: "r", title: "Notes" });
  const done = postern(chatArgs(daemon, "x"));
  await runner.emit(await runner.next(), "completed");
  assertEquals((await done).code, 0);
});

Deno.test("a session with another runner, or none, is told with what to do, and nothing is sent", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connect({ dir: daemon.directory });
  await client.call("session.create", { session_id: "other", runner: "o" });
  await client.call("session.send", { session_id: "none", text: "x" });
  for (const [session, its] of [["other", 'the runner "o"'], ["none", "no runner"]] as const) {
    const args = ["chat", session, "--runner", "r", "--dir", daemon.directory, "x"];
    assertEquals(await postern(args), {
      code: 1,
      stdout: "",
      stderr: `postern: chat: the session "${session}" is there with ${its}, not with "r"; ` +
        "name another session, or leave out --runner\n",
    });
  }
  const { sessions } = await client.call("session.list");
  assertEquals(sessions.map(({ open_turns }) => open_turns).sort(), [0, 1]);
});

Deno.test({
  name: "on a terminal lines are turns, others' text is harmless, Ctrl-C cancels, then leaves",
  ignore: missing !== null,
  async fn() {
    await using daemon = await startTestDaemon();
    await using runner = await TestRunner.attach(daemon);
    await using terminal = new Terminal(chatArgs(daemon));
    await terminal.until(({ text }) => text === "> ");
    await terminal.type("hi\n");
    const first = await runner.next();
    assertEquals(first.text, "hi");
    await runner.emit(first, "delta", { text: "one\ntw\x1b[2J" });
    await runner.emit(first, "completed");
    await terminal.until(({ text }) => text.endsWith("> ") && text.includes("tw"));
    assertEquals(terminal.text, "> hi\r\none\r\ntw\\u001b[2J\r\n> ");
    await terminal.type("again\n");
    const second = await runner.next();
    await runner.emit(second, "delta", { text: "begun" });
    await terminal.until(({ text }) => text.endsWith("begun"));
    await terminal.type("\x03");
    assertEquals((await runner.next()).topic, "turn.cancelled");
    await terminal.until(({ text }) => text.endsWith("> "));
    assert(terminal.text.includes("postern: the turn is cancelled by o-"), terminal.text);
    await terminal.type("\x03");
    assertEquals(await terminal.ended(), 0);
  },
});

Deno.test({
  name: "on a terminal Ctrl-D leaves, and a second Ctrl-C leaves a turn that nobody can cancel",
  ignore: missing !== null,
  async fn() {
    await using daemon = await startTestDaemon();
    await using runner = await TestRunner.attach(daemon);
    await using polite = new Terminal(chatArgs(daemon));
    await polite.until(({ text }) => text === "> ");
    await polite.type("\x04");
    assertEquals(await polite.ended(), 0);
    await using stuck = new Terminal(chatArgs(daemon));
    await stuck.until(({ text }) => text === "> ");
    await stuck.type("hi\n");
    await runner.emit(await runner.next(), "delta", { text: "begun" });
    await stuck.until(({ text }) => text.endsWith("begun"));
    await daemon.stop();
    await stuck.until(({ text }) => text.includes("-- the connection is lost"));
    await stuck.type("\x03");
    await stuck.until(({ text }) =>
      text.includes("-- cancelling the turn; Ctrl-C again leaves it")
    );
    await stuck.type("\x03");
    assertEquals(await stuck.ended(), 130);
    await daemon.start();
  },
});

Deno.test({
  name: "on a terminal it is told when no runner is there, and a terminal that is closed cancels",
  ignore: missing !== null,
  async fn() {
    await using daemon = await startTestDaemon();
    const terminal = new Terminal(chatArgs(daemon));
    await terminal.until(({ text }) => text === "> ");
    await terminal.type("hi\n");
    await terminal.until(({ text }) => text.includes("-- no runner is attached; the turn waits"));
    await using runner = await TestRunner.attach(daemon);
    const turn = await runner.next();
    await runner.emit(turn, "delta", { text: "begun" });
    await terminal.until(({ text }) => text.endsWith("begun"));
    await terminal[Symbol.asyncDispose]();
    assertEquals(await runner.next(), { topic: "turn.cancelled", id: turn.id, text: undefined! });
  },
});
