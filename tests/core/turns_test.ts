/** Turns of sessions: their order, their one end, who may tell of them, and what a restart leaves of them. */

import { assertEquals, assertMatch } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { OWNER_ID } from "../../src/core/principal.ts";
import { Runner } from "../../src/core/runners.ts";
import { MAX_TURNS, TURN_TELLINGS } from "../../src/core/turns.ts";
import {
  attempt,
  codeOf,
  emit,
  last,
  news,
  openSessions,
  QUEUE_SECS,
  restarted,
  send,
  tale,
  type TestSessions,
} from "../support/test_sessions.ts";

const FULL = new PosternError("storage_full", "no room");

/** A queued turn fails when its time from now on is over, and not a moment earlier. */
async function expectExpiry(opened: TestSessions, id: string): Promise<void> {
  opened.clock.step(QUEUE_SECS * 1000 - 1);
  opened.sessions.expire();
  assertEquals(await tale(opened, id), ["queued"]);
  opened.clock.step(1);
  opened.sessions.expire();
  assertEquals(await tale(opened, id), ["queued", "failed"]);
}

Deno.test("a turn is told from the message to its end, each with what it says", async () => {
  const opened = openSessions();
  const runner = new Runner();
  assertEquals(opened.sessions.attach(runner, { sessionId: "s" }), 0);
  const id = await send(opened, "s", { text: "do it", data: '{"a":1}', originator: "o-1" });
  for (const type of ["delta", "tool_start", "tool_end", "completed"] as const) {
    await emit(opened, runner, [id, type, `"${type}"`]);
  }
  const told = await news(opened);
  const { message_id, ...inbound } = told[0]!.payload;
  assertEquals(typeof message_id, "string");
  assertEquals(inbound, { session_id: "s", text: "do it", data: { a: 1 }, origin: "o-1" });
  const ids = { turn_id: id, session_id: "s" };
  assertEquals(told.slice(1), [
    { topic: "turn.queued", payload: { ...ids, text: "do it" } },
    { topic: "turn.started", payload: { ...ids, text: "do it", data: { a: 1 } } },
    { topic: "turn.delta", payload: { ...ids, data: "delta" } },
    { topic: "turn.tool_start", payload: { ...ids, data: "tool_start" } },
    { topic: "turn.tool_end", payload: { ...ids, data: "tool_end" } },
    { topic: "turn.completed", payload: { ...ids, data: "completed" } },
  ]);
  assertEquals(opened.store.documents.map(({ key }) => key[0]), ["session"]);
});

Deno.test("turns of a session run one after the other, in the order of their messages", async () => {
  const opened = openSessions();
  const ids = [await send(opened), await send(opened), await send(opened)];
  const runner = new Runner();
  assertEquals(opened.sessions.attach(runner, { sessionId: "s" }), 3);
  for (const [i, id] of ids.entries()) {
    assertEquals((await Promise.all(ids.map((one) => tale(opened, one)))).map((t) => t.at(-1)), [
      ...ids.slice(0, i).map(() => "completed"),
      "started",
      ...ids.slice(i + 1).map(() => "queued"),
    ]);
    await emit(opened, runner, [id, "completed"]);
  }
});

Deno.test("sessions run beside each other", async () => {
  const opened = openSessions();
  const runner = new Runner();
  for (const sessionId of ["a", "b"]) opened.sessions.attach(runner, { sessionId });
  const ids = [await send(opened, "a"), await send(opened, "b")];
  for (const id of ids) assertEquals(await tale(opened, id), ["queued", "started"]);
});

Deno.test("only the runner that was given a turn tells of it; anyone else is permission_denied", async () => {
  const opened = openSessions();
  const [runner, other, stranger] = [new Runner(), new Runner(), new Runner()];
  opened.sessions.attach(runner, { sessionId: "s" });
  opened.sessions.attach(other, { sessionId: "elsewhere" });
  const id = await send(opened);
  for (const type of TURN_TELLINGS) {
    for (const wrong of [other, stranger]) {
      assertEquals(await codeOf(emit(opened, wrong, [id, type])), "permission_denied");
    }
  }
  assertEquals(await codeOf(emit(opened, stranger, ["nonsense", "delta"])), "permission_denied");
  assertEquals(await codeOf(emit(opened, other, ["nonsense", "delta"])), "not_found");
  assertEquals(await tale(opened, id), ["queued", "started"]);
});

Deno.test("a runner cannot tell of a turn of its own that has not started", async () => {
  const opened = openSessions();
  const [runner, other] = [new Runner(), new Runner()];
  opened.sessions.attach(runner, { sessionId: "s" });
  opened.sessions.attach(other, { sessionId: "elsewhere" });
  await send(opened);
  const second = await send(opened);
  assertEquals(await codeOf(emit(opened, runner, [second, "delta"])), "conflict");
  assertEquals(await codeOf(emit(opened, other, [second, "delta"])), "permission_denied");
});

for (const end of ["completed", "failed"] as const) {
  Deno.test(`nothing is told of a turn behind ${end}`, async () => {
    const opened = openSessions();
    const runner = new Runner();
    opened.sessions.attach(runner, { sessionId: "s" });
    const id = await send(opened);
    // Asked in one turn of the event loop, before the end is on disk.
    const first = emit(opened, runner, [id, end]);
    for (const type of TURN_TELLINGS) {
      assertEquals(await codeOf(emit(opened, runner, [id, type])), "conflict");
    }
    await first;
    const again = emit(opened, runner, [id, "completed"]).catch((error) => error.message);
    assertEquals(await again, `turn.emit: turn "${id}" has ended as ${end}`);
    assertEquals(await codeOf(attempt(() => opened.sessions.cancel(id, null))), "conflict");
    assertEquals(await tale(opened, id), ["queued", "started", end]);
  });
}

Deno.test("a cancelled turn has ended at once, its runner tells no more of it, and the next one runs", async () => {
  const opened = openSessions();
  const runner = new Runner();
  opened.sessions.attach(runner, { sessionId: "s" });
  const [first, second] = [await send(opened), await send(opened)];
  await opened.sessions.cancel(first, "o-9").promise();
  assertEquals((await last(opened, first)).reason, "cancelled by o-9");
  assertEquals(await codeOf(emit(opened, runner, [first, "delta"])), "conflict");
  assertEquals(await codeOf(attempt(() => opened.sessions.cancel(first, null))), "conflict");
  assertEquals(await tale(opened, first), ["queued", "started", "cancelled"]);
  assertEquals(await tale(opened, second), ["queued", "started"]);
});

Deno.test("a queued turn that is cancelled never starts", async () => {
  const opened = openSessions();
  const id = await send(opened);
  await opened.sessions.cancel(id, null).promise();
  opened.sessions.attach(new Runner(), { sessionId: "s" });
  assertEquals(await tale(opened, id), ["queued", "cancelled"]);
});

Deno.test("what was running when its runner's connection ended has failed, and the rest waits for another", async () => {
  const opened = openSessions();
  const runner = new Runner();
  opened.sessions.attach(runner, { sessionId: "s" });
  const [first, second] = [await send(opened), await send(opened)];
  opened.sessions.runnerGone(runner);
  assertEquals(await tale(opened, first), ["queued", "started", "failed"]);
  const { code, reason } = await last(opened, first);
  assertEquals(code, "service_unavailable");
  assertMatch(reason, /connection of its runner/);
  assertEquals(await tale(opened, second), ["queued"]);
  assertEquals(await codeOf(emit(opened, runner, [first, "delta"])), "permission_denied");
  const next = new Runner();
  assertEquals(opened.sessions.attach(next, { sessionId: "s" }), 1);
  assertEquals(await tale(opened, second), ["queued", "started"]);
});

Deno.test("a turn that no runner came for fails as service_unavailable, not a moment earlier", async () => {
  const opened = openSessions();
  const id = await send(opened);
  await expectExpiry(opened, id);
  const { code, reason } = await last(opened, id);
  assertEquals([code, reason], ["service_unavailable", "no runner was attached for 300 seconds"]);
});

Deno.test("a clock that steps back does not make a turn wait longer", async () => {
  const opened = openSessions();
  const id = await send(opened);
  opened.clock.step(-3_600_000);
  opened.sessions.expire();
  opened.clock.step(QUEUE_SECS * 1000);
  opened.sessions.expire();
  assertEquals(await tale(opened, id), ["queued", "failed"]);
});

Deno.test("a turn behind one that runs waits as long as that takes, and for a runner from its going on", async () => {
  const opened = openSessions();
  const runner = new Runner();
  opened.sessions.attach(runner, { sessionId: "s" });
  await send(opened);
  const second = await send(opened);
  opened.clock.step(QUEUE_SECS * 5000);
  opened.sessions.expire();
  opened.clock.step(QUEUE_SECS * 5000);
  opened.sessions.runnerGone(runner);
  await expectExpiry(opened, second);
});

Deno.test("after a restart what ran has failed, told once, and what was queued is queued in its order", async () => {
  const before = openSessions();
  const runner = new Runner();
  before.sessions.attach(runner, { sessionId: "s" });
  const data = '{"é":"\\n"}';
  const ids = [
    await send(before, "s", { text: "one" }),
    await send(before, "s", { text: "two é", data, originator: "o-1" }),
    await send(before, "s", { text: "" }),
  ];
  await before.log.drain();
  const opened = restarted(restarted(before));
  assertEquals(await tale(opened, ids[0]!), ["queued", "started", "failed"]);
  const view = opened.sessions.get("test", "s");
  assertEquals(view.turns.map(({ id }) => id), ids.slice(1));
  assertEquals(view.isServed, false);
  const next = new Runner();
  assertEquals(opened.sessions.attach(next, { sessionId: "s" }), 2);
  assertEquals(await last(opened, ids[1]!), {
    turn_id: ids[1],
    session_id: "s",
    text: "two é",
    data: JSON.parse(data),
  });
  assertEquals(opened.sessions.turnOriginator(next, ids[1]!), "o-1");
  await emit(opened, next, [ids[1]!, "completed"]);
  assertEquals(await tale(opened, ids[2]!), ["queued", "started"]);
});

Deno.test("after a restart a queued turn waits its full time again", async () => {
  const before = openSessions();
  const id = await send(before);
  before.clock.step(QUEUE_SECS * 1000 - 1);
  const opened = restarted(before);
  await expectExpiry(opened, id);
});

Deno.test("an end that cannot be stored is no end: its asker is told, and can end it again", async () => {
  const opened = openSessions();
  const runner = new Runner();
  opened.sessions.attach(runner, { sessionId: "s" });
  const [first, second] = [await send(opened), await send(opened)];
  await opened.log.drain();
  opened.store.failNext(FULL);
  const asked = ["delta", "completed"] as const;
  const codes = await Promise.all(asked.map((type) => codeOf(emit(opened, runner, [first, type]))));
  assertEquals(codes, ["storage_full", "storage_full"]);
  assertEquals(await tale(opened, first), ["queued", "started"]);
  assertEquals(await tale(opened, second), ["queued"]);
  await emit(opened, runner, [first, "completed"]);
  assertEquals(await tale(opened, first), ["queued", "started", "completed"]);
  assertEquals(await tale(opened, second), ["queued", "started"]);
});

Deno.test("what stands on something that could not be stored is not stored either", async () => {
  const opened = openSessions();
  const runner = new Runner();
  const plain = { runner: null, title: null, permissionTimeoutSecs: null };
  await opened.sessions.create("s", plain, OWNER_ID)
    .promise();
  opened.sessions.attach(runner, { sessionId: "s" });
  opened.store.failNext(FULL);
  const begun = opened.store.commitBegins();
  const first = codeOf(send(opened));
  await begun;
  // Decided while the first is under way: it would go in with the next commit, which does not fail.
  const second = codeOf(send(opened));
  assertEquals([await first, await second], ["storage_full", "storage_full"]);
  assertEquals(await news(opened), []);
  assertEquals(opened.sessions.get("test", "s").turns, []);
  const third = await send(opened);
  assertEquals(await tale(opened, third), ["queued", "started"]);
});

Deno.test("what the daemon decides and cannot store it decides again", async () => {
  const opened = openSessions();
  const runner = new Runner();
  const id = await send(opened);
  await opened.log.drain();
  opened.store.failNext(FULL);
  opened.sessions.attach(runner, { sessionId: "s" });
  assertEquals(await tale(opened, id), ["queued"]);
  opened.sessions.expire();
  assertEquals(await tale(opened, id), ["queued", "started"]);
  opened.store.failNext(FULL);
  opened.sessions.runnerGone(runner);
  assertEquals(await tale(opened, id), ["queued", "started"]);
  opened.sessions.expire();
  assertEquals(await tale(opened, id), ["queued", "started", "failed"]);
});

Deno.test("a session holds so many open turns and no more", async () => {
  const opened = openSessions();
  const ids: string[] = [];
  for (let i = 0; i < MAX_TURNS; i++) ids.push(await send(opened));
  assertEquals(await codeOf(send(opened)), "too_many");
  await opened.sessions.cancel(ids[50]!, null).promise();
  assertEquals(await codeOf(send(opened)), "ok");
});
