/** Sessions and turns over real sockets: what is sent, what is told, and what the end of a connection does. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path/posix";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

/** A connection with an identity; answers its public name too. */
async function identified(
  daemon: TestDaemon,
  kind: string,
): Promise<{ client: RawClient; originator: string }> {
  const client = await daemon.v2();
  const { originator } = await client.ask({ cmd: "system.hello", client_kind: kind });
  return { client, originator };
}

/** A connection that hears what is told of turns and sessions. */
async function observer(daemon: TestDaemon): Promise<RawClient> {
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe", replay: false, topics: ["turn.>", "session.>"] });
  return client;
}

/** The next pieces of news, as topic and payload. */
async function heard(client: RawClient, count: number): Promise<[string, Line][]> {
  const lines = await client.pushedMany(count);
  return lines.map(({ envelope: { topic, payload } }) => [topic, payload]);
}

Deno.test("a message becomes a turn that its runner answers, and everyone who listens hears it", async () => {
  await using daemon = await startTestDaemon();
  const { client, originator } = await identified(daemon, "chat");
  const runner = await observer(daemon);
  assertEquals((await runner.ask({ cmd: "session.attach", session_id: "s" })).queued, 0);
  const sent = await client.ask({ cmd: "session.send", session_id: "s", text: "hi", data: [1] });
  const { turn_id, message_id, session_id, accepted_at } = sent;
  assertEquals([session_id, typeof accepted_at], ["s", "number"]);
  for (const type of ["delta", "completed"]) {
    assert((await runner.ask({ cmd: "turn.emit", turn_id, type, data: { text: type } })).seq > 0);
  }
  const ids = { turn_id, session_id: "s" };
  assertEquals(await heard(runner, 5), [
    ["session.inbound", {
      session_id: "s",
      message_id,
      text: "hi",
      data: [1],
      origin: originator,
    }],
    ["turn.queued", { ...ids, text: "hi" }],
    ["turn.started", { ...ids, text: "hi", data: [1] }],
    ["turn.delta", { ...ids, data: { text: "delta" } }],
    ["turn.completed", { ...ids, data: { text: "completed" } }],
  ]);
});

Deno.test("the end of the runner's connection ends its running turn as failed, and another goes on", async () => {
  await using daemon = await startTestDaemon();
  const client = await observer(daemon);
  const runner = await daemon.v2();
  await runner.ask({ cmd: "session.create", session_id: "s", runner: "echo" });
  await runner.ask({ cmd: "session.attach", runner: "echo" });
  const turns: string[] = [];
  for (const text of ["one", "two"]) {
    turns.push((await client.ask({ cmd: "session.send", session_id: "s", text })).turn_id);
  }
  const taken = await daemon.v2();
  assertEquals((await taken.ask({ cmd: "session.attach", runner: "echo" })).error, "conflict");
  await heard(client, 5);
  runner.close();
  const [[topic, failed]] = await heard(client, 1) as [[string, Line]];
  assertEquals([topic, failed.turn_id, failed.code], [
    "turn.failed",
    turns[0],
    "service_unavailable",
  ]);
  assertEquals((await taken.ask({ cmd: "session.attach", runner: "echo" })).queued, 1);
  const [[started, { turn_id, runner: name }]] = await heard(client, 1) as [[string, Line]];
  assertEquals([started, turn_id, name], ["turn.started", turns[1], "echo"]);
});

Deno.test("a restart ends what ran as failed, keeps what is queued, and loses no session", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await client.ask({ cmd: "session.attach", session_id: "s" });
  const turns: string[] = [];
  for (const text of ["one", "two"]) {
    turns.push((await client.ask({ cmd: "session.send", session_id: "s", text })).turn_id);
  }
  const { turns: before } = await client.ask({ cmd: "session.get", session_id: "s" });
  assertEquals(before.map(({ state }: Line) => state), ["running", "queued"]);
  await daemon.restart();
  const after = await daemon.v2();
  const { turns: open, attached } = await after.ask({ cmd: "session.get", session_id: "s" });
  assertEquals(open.map(({ turn_id, state }: Line) => [turn_id, state]), [[turns[1], "queued"]]);
  assertEquals(attached, false);
  const { messages } = await after.ask({ cmd: "inbox", topics: ["turn.failed"] });
  const ended = messages.map(({ envelope: { payload } }: Line) => payload.turn_id);
  assertEquals(ended, [turns[0]]);
  assertEquals((await after.ask({ cmd: "session.attach", session_id: "s" })).queued, 1);
});

Deno.test("cancel ends a running turn at once and once, and its runner hears it before the next turn", async () => {
  await using daemon = await startTestDaemon();
  const { client, originator } = await identified(daemon, "chat");
  const runner = await observer(daemon);
  await runner.ask({ cmd: "session.attach", session_id: "s" });
  const send = { cmd: "session.send", session_id: "s", text: "x" };
  const { turn_id } = await client.ask(send);
  await client.ask(send);
  await heard(runner, 5);
  assertEquals((await client.ask({ cmd: "session.cancel", turn_id })).ok, true);
  assertEquals((await client.ask({ cmd: "session.cancel", turn_id })).error, "conflict");
  const [[topic, payload], [next]] = await heard(runner, 2) as [[string, Line], [string, Line]];
  assertEquals([topic, payload.turn_id, next], ["turn.cancelled", turn_id, "turn.started"]);
  assertMatch(payload.reason, new RegExp(originator));
  const late = await runner.ask({ cmd: "turn.emit", turn_id, type: "completed" });
  assertEquals(late.error, "conflict");
});

Deno.test("nobody but the runner emits and replies, and nobody sends on the topics of turns", async () => {
  await using daemon = await startTestDaemon();
  const runner = await daemon.v2();
  await runner.ask({ cmd: "session.attach", session_id: "s" });
  const { turn_id } = await runner.ask({ cmd: "session.send", session_id: "s", text: "x" });
  const other = await daemon.v2();
  await other.ask({ cmd: "session.attach", session_id: "elsewhere" });
  const forged = [
    { cmd: "turn.emit", turn_id, type: "delta" },
    { cmd: "turn.emit", turn_id, type: "completed" },
    { cmd: "session.reply", session_id: "s", text: "x" },
    { cmd: "send", to: "self", kind: "notify", topic: "turn.completed", payload: { turn_id } },
    { cmd: "send", to: "self", kind: "notify", topic: "session.outbound", payload: {} },
  ];
  for (const request of forged) {
    assertEquals((await other.ask(request)).error, "permission_denied", JSON.stringify(request));
  }
  const reply = { cmd: "session.reply", session_id: "s", text: "x", target: "all" };
  assertEquals(typeof (await runner.ask(reply)).message_id, "string");
});

Deno.test("many emits in one write arrive in their order, before the end that follows them", async () => {
  await using daemon = await startTestDaemon();
  const listener = await observer(daemon);
  const runner = await daemon.v2();
  await runner.ask({ cmd: "session.attach", session_id: "s" });
  const { turn_id } = await runner.ask({ cmd: "session.send", session_id: "s", text: "x" });
  const count = 500;
  const emits = Array.from({ length: count }, (_, i) => ({ turn_id, type: "delta", data: i }));
  await runner.send(
    ...[...emits, { turn_id, type: "failed", data: "enough" }]
      .map((emit, i) => ({ cmd: "turn.emit", req_id: `e${i}`, ...emit })),
  );
  const news = (await heard(listener, 3 + count + 1)).slice(3);
  assertEquals(news.map(([, { data }]) => data), [...emits.map(({ data }) => data), "enough"]);
  assertEquals(news.at(-1)![0], "turn.failed");
});

Deno.test("what is asked wrongly is refused with what was wrong", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const refused: [Record<string, unknown>, string, RegExp][] = [
    [{ cmd: "session.create", session_id: "a b" }, "invalid_command", /session_id: .*"a b"/],
    [{ cmd: "session.create", title: "a\nb" }, "invalid_command", /control characters/],
    [{ cmd: "session.get", session_id: "none" }, "not_found", /no session "none"/],
    [{ cmd: "session.attach" }, "invalid_command", /either session_id or runner/],
    [{ cmd: "session.attach", session_id: "s", runner: "r" }, "invalid_command", /either/],
    [{ cmd: "session.cancel", turn_id: "none" }, "not_found", /no open turn "none"/],
    [{ cmd: "turn.emit", turn_id: "x", type: "delta" }, "permission_denied", /session\.attach/],
    [{ cmd: "turn.emit", turn_id: "x", type: "cancelled" }, "invalid_command", /type: /],
    [{ cmd: "session.send", session_id: "s", text: "x".repeat(49_153) }, "invalid_command", /4915/],
  ];
  for (const [request, code, message] of refused) {
    const reply = await client.ask(request);
    assertEquals([reply.ok, reply.error], [false, code], JSON.stringify(reply));
    assertMatch(reply.message, message);
  }
});

Deno.test("by HTTP one sends, reads and cancels, but is no runner", async () => {
  await using daemon = await startTestDaemon();
  using http = Deno.createHttpClient({
    proxy: { transport: "unix", path: join(daemon.directory, "http.sock") },
  });
  const call = async (method: string, params: Record<string, unknown>) => {
    const response = await fetch("http://localhost/rpc", {
      client: http,
      method: "POST",
      headers: { authorization: `Bearer ${daemon.token}` },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    return await response.json();
  };
  const { result } = await call("session.send", { session_id: "s", text: "x" });
  const { error } = await call("session.attach", { session_id: "s" });
  assertEquals(error.data.code, "invalid_request");
  assertMatch(error.message, /needs a connection that stays/);
  assertEquals((await call("session.cancel", { turn_id: result.turn_id })).result, {});
  assertEquals((await call("session.get", { session_id: "s" })).result.open_turns, 0);
});

Deno.test("requests of a turn wait as its session says, unless they say otherwise, and go with the turn", async () => {
  await using daemon = await startTestDaemon();
  const { client } = await identified(daemon, "runner");
  const create = { cmd: "session.create", session_id: "s", permission_timeout_s: 7 };
  assertEquals((await client.ask(create)).permission_timeout_s, 7);
  await client.ask({ cmd: "session.attach", session_id: "s" });
  const { turn_id } = await client.ask({ cmd: "session.send", session_id: "s", text: "x" });
  const request = { cmd: "permission.request", tool: "Bash", input: 1, turn_id };
  const secs = async (more: Line = {}) => {
    const before = Date.now();
    const { expires_at } = await client.ask({ ...request, ...more });
    return Math.round((expires_at - before) / 1000);
  };
  assertEquals([await secs(), await secs({ mode: "unattended" })], [7, 7]);
  assertEquals(await secs({ timeout_s: 100 }), 100);
  assertEquals((await client.ask({ cmd: "permission.list" })).pending.length, 3);
  await client.ask({ cmd: "turn.emit", turn_id, type: "completed" });
  assertEquals((await client.ask({ cmd: "permission.list" })).pending, []);
  // The daemon looks once a second.
  for (let told: Line[] = []; told.length < 3;) {
    told = (await client.ask({ cmd: "event.read", topics: ["permission.resolved"] })).events;
    assert(told.every(({ envelope }) => envelope.payload.outcome === "cancelled"));
  }
});
