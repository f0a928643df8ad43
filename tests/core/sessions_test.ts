/** Sessions: made, listed, forgotten, attached to, and whom a runner may act for. */

import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { MAX_OPEN_CHARS, MAX_OPEN_CHARS_EACH } from "../../src/core/open_turns.ts";
import { OWNER_ID } from "../../src/core/principal.ts";
import {
  MAX_ALL_ATTACHMENTS,
  MAX_ATTACHMENTS,
  MAX_ATTACHMENTS_OF_TOKEN,
  Runner,
} from "../../src/core/runners.ts";
import { MAX_SESSIONS, MAX_SESSIONS_EACH, RECENT_MS } from "../../src/core/session_room.ts";
import { MAX_TEXT_BYTES, MAX_WAITING_CHARS } from "../../src/core/sessions.ts";
import {
  attempt,
  codeOf,
  emit,
  last,
  news,
  openSessions,
  restarted,
  send,
  tale,
  type TestSessions,
} from "../support/test_sessions.ts";

const FULL = new PosternError("storage_full", "no room");
const PLAIN = { runner: null, title: null, permissionTimeoutSecs: null };

function create(
  { sessions }: TestSessions,
  id: string,
  definition: Partial<{ runner: string; title: string; permissionTimeoutSecs: number }> = {},
  tokenId = OWNER_ID,
): Promise<unknown> {
  return attempt(() => sessions.create(id, { ...PLAIN, ...definition }, tokenId));
}

function ids({ sessions }: TestSessions): string[] {
  return sessions.list().map(({ session }) => session.id);
}

Deno.test("a session is there when it is on disk, tells nobody, and survives a restart", async () => {
  const opened = openSessions();
  const definition = { runner: "echo", title: "A title", permissionTimeoutSecs: 60 };
  const created = create(opened, "s", definition);
  assertEquals(ids(opened), []);
  await created;
  assertEquals(await news(opened), []);
  const { session, turns, isServed } = restarted(opened).sessions.get("test", "s");
  assertEquals(session, { id: "s", tokenId: OWNER_ID, ...definition, createdMs: 1_000_000 });
  assertEquals([turns, isServed], [[], false]);
});

Deno.test("the same session made twice is one, and another under its id is conflict", async () => {
  const opened = openSessions();
  const both = [create(opened, "s", { runner: "echo" }), create(opened, "s", { runner: "echo" })];
  assertEquals(await codeOf(create(opened, "s")), "conflict");
  await Promise.all(both);
  assertEquals(await codeOf(create(opened, "s", { runner: "echo" })), "ok");
  assertEquals(await codeOf(create(opened, "s", { runner: "echo", title: "t" })), "conflict");
  const otherTime = { runner: "echo", permissionTimeoutSecs: 5 };
  assertEquals(await codeOf(create(opened, "s", otherTime)), "conflict");
});

Deno.test("a session that cannot be stored is none, and so is the turn that was asked of it", async () => {
  const opened = openSessions();
  opened.store.failNext(FULL);
  const asked = [create(opened, "s"), send(opened, "s")].map((one) => codeOf(one));
  assertEquals(await Promise.all(asked), ["storage_full", "storage_full"]);
  assertEquals(ids(opened), []);
  assertEquals(await codeOf(() => opened.sessions.get("test", "s")), "not_found");
  const id = await send(opened, "s");
  assertEquals([ids(opened), await tale(opened, id)], [["s"], ["queued"]]);
});

Deno.test("those used last are listed in front", async () => {
  const opened = openSessions();
  for (const id of ["a", "b", "c"]) {
    opened.clock.step(1);
    await create(opened, id);
  }
  opened.clock.step(1);
  await send(opened, "a");
  assertEquals(ids(opened), ["a", "c", "b"]);
});

Deno.test("for one session more the one unused for longest is forgotten, but none that is in use", async () => {
  const opened = openSessions();
  const runner = new Runner();
  opened.sessions.attach(runner, { sessionId: "s0" });
  await send(opened, "s1");
  for (let i = 0; i < MAX_SESSIONS; i++) {
    opened.clock.step(1);
    if (i !== 1) await create(opened, `s${i}`);
  }
  await send(opened, "new");
  await opened.log.drain();
  const kept = ids(restarted(opened));
  assertEquals(kept.length, MAX_SESSIONS);
  assertEquals(["new", "s0", "s1", "s2", "s3"].map((id) => kept.includes(id)), [
    true,
    true,
    true,
    false,
    true,
  ]);
});

Deno.test("when all sessions are in use one more is too_many", async () => {
  const opened = openSessions();
  opened.sessions.attach(new Runner(), { name: "all" });
  const definition = { runner: "all" };
  const made = Array.from({ length: MAX_SESSIONS }, (_, i) => create(opened, `s${i}`, definition));
  await Promise.all(made);
  assertEquals(await codeOf(create(opened, "more")), "too_many");
  assertEquals(await codeOf(send(opened, "more")), "too_many");
  assertEquals(await codeOf(send(opened, "s7")), "ok");
});

Deno.test("a token that is not the owner's has a quarter of the sessions, and others go on", async () => {
  let opened = openSessions();
  await create(opened, "owners");
  const served = { runner: "all" };
  opened.sessions.attach(new Runner(), { name: "all" });
  const made = Array.from(
    { length: MAX_SESSIONS_EACH },
    (_, i) => create(opened, `s${i}`, served, "serve"),
  );
  await Promise.all(made);
  assertEquals(await codeOf(create(opened, "more", {}, "serve")), "too_many");
  assertEquals(await codeOf(send(opened, "more", { tokenId: "serve" })), "too_many");
  assertEquals(await codeOf(send(opened, "more")), "ok");
  assertEquals(await codeOf(create(opened, "others", {}, "other")), "ok");
  await opened.log.drain();
  // Nobody serves them now, and each one more takes the place of one of them.
  opened = restarted(opened);
  for (let i = 0; i < MAX_SESSIONS; i++) await create(opened, `t${i}`, {}, "serve");
  const kept = ids(opened);
  assertEquals(kept.length, MAX_SESSIONS_EACH + 3);
  assertEquals(["owners", "more", "others"].filter((id) => !kept.includes(id)), []);
});

Deno.test("room is made among one's own sessions, and by those of others when they were not used for an hour", async () => {
  const opened = openSessions();
  const [a, b, c] = ["token-a", "token-b", "token-c"];
  await create(opened, "first", {}, a);
  for (const [tokenId, count] of [[a, 249], [b, 250], [c, 250], [OWNER_ID, 250]] as const) {
    for (let i = 0; i < count; i++) {
      opened.clock.step(1);
      await create(opened, `${tokenId}.${i}`, {}, tokenId);
    }
  }
  await create(opened, "one.more");
  assertEquals([ids(opened).includes("first"), ids(opened).includes("owner.0")], [true, false]);
  assertEquals(await codeOf(create(opened, "new", {}, "token-d")), "too_many");
  const { lastMs } = opened.sessions.get("test", "first");
  opened.clock.step(lastMs + RECENT_MS - 1 - opened.clock.now());
  assertEquals(await codeOf(send(opened, "new", { tokenId: "token-d" })), "too_many");
  opened.clock.step(1);
  assertEquals(await codeOf(create(opened, "new", {}, "token-d")), "ok");
  assertEquals([ids(opened).includes("first"), ids(opened).length], [false, MAX_SESSIONS]);
});

Deno.test("a message of 48 KiB goes through a restart, and one byte more is too_large", async () => {
  const opened = openSessions();
  const text = "é".repeat(MAX_TEXT_BYTES / 2 - 2);
  await send(opened, "s", { text, data: '"x"' + " " });
  assertEquals(await codeOf(send(opened, "s", { text, data: '"xyz"' })), "too_large");
  const after = restarted(opened);
  const runner = new Runner();
  after.sessions.attach(runner, { sessionId: "s" });
  const told = (await news(after)).at(-1)!;
  assertEquals([told.topic, told.payload.text], ["turn.started", text]);
  const id = told.payload.turn_id;
  const large = JSON.stringify("x".repeat(MAX_TEXT_BYTES));
  assertEquals(await codeOf(emit(after, runner, [id, "delta", large])), "too_large");
});

Deno.test("the messages of all open turns have a bound, which an end and a failure give room again", async () => {
  const opened = openSessions();
  const text = "x".repeat(MAX_TEXT_BYTES);
  const fits = Math.floor(MAX_OPEN_CHARS / MAX_TEXT_BYTES);
  const sendAll = async (count: number, sessions = 4) => {
    const sent = Array.from(
      { length: count },
      (_, i) => send(opened, `s${i % sessions}`, { text }),
    );
    return [...new Set(await Promise.all(sent.map((one) => codeOf(one))))];
  };
  for (const name of ["s0", "s1", "s2", "s3"]) await create(opened, name);
  for (let lost = 0; lost <= fits; lost += 50) {
    opened.store.failNext(FULL);
    assertEquals(await sendAll(50, 1), ["storage_full"]);
  }
  for (let i = 0; i < fits; i++) {
    assertEquals(await codeOf(send(opened, `s${i % 4}`, { text })), "ok");
  }
  assertEquals(await sendAll(1), ["too_many"]);
  const [turn] = opened.sessions.get("test", "s0").turns;
  await opened.sessions.cancel(turn!.id, null).promise();
  assertEquals(await sendAll(1), ["ok"]);
});

Deno.test("a token that is not the owner's has a quarter of the characters of open turns, after a restart too", async () => {
  let opened = openSessions();
  const text = "x".repeat(MAX_TEXT_BYTES);
  const fits = Math.floor(MAX_OPEN_CHARS_EACH / MAX_TEXT_BYTES);
  const first = await send(opened, "s", { text, tokenId: "send" });
  for (let i = 1; i < fits; i++) await send(opened, "s", { text, tokenId: "send" });
  await opened.log.drain();
  opened = restarted(opened);
  const more = () =>
    attempt(() =>
      opened.sessions.send(
        { sessionId: "more", text, data: null, originator: null, tokenId: "send" },
      )
    );
  const refused = await assertRejects(more, PosternError, "of all open turns of this token");
  assertEquals([refused.code, refused.details], ["too_many", { limit: MAX_OPEN_CHARS / 4 }]);
  for (const tokenId of ["other", OWNER_ID]) {
    assertEquals(await codeOf(send(opened, "more", { text, tokenId })), "ok");
  }
  await opened.sessions.cancel(first, null).promise();
  assertEquals(await codeOf(more), "ok");
  assertEquals(await codeOf(more), "too_many");
});

Deno.test("what waits for the disk has a bound, within which a turn can still be ended", async () => {
  const opened = openSessions();
  const runner = new Runner();
  opened.sessions.attach(runner, { sessionId: "s" });
  const id = await send(opened);
  await opened.log.drain();
  const go = opened.store.holdCommits();
  const data = JSON.stringify("x".repeat(MAX_TEXT_BYTES - 2));
  const count = Math.ceil(MAX_WAITING_CHARS / MAX_TEXT_BYTES) + 5;
  const emits = Array.from(
    { length: count },
    () => codeOf(emit(opened, runner, [id, "delta", data])),
  );
  const refused = [codeOf(send(opened)), codeOf(emit(opened, runner, [id, "delta"]))];
  const ended = codeOf(emit(opened, runner, [id, "completed"]));
  go();
  assertEquals(await Promise.all(refused), ["too_many", "too_many"]);
  assertEquals([(await Promise.all(emits)).at(-1), await ended], ["too_many", "ok"]);
  assertEquals(await codeOf(send(opened)), "ok");
});

Deno.test("a runner by name has the sessions that name it, now and later, and is told under that name", async () => {
  const opened = openSessions();
  await create(opened, "a", { runner: "echo" });
  await create(opened, "other");
  const first = await send(opened, "a");
  const runner = new Runner();
  assertEquals(opened.sessions.attach(runner, { name: "echo" }), 1);
  await create(opened, "b", { runner: "echo" });
  const [second, third] = [await send(opened, "b"), await send(opened, "other")];
  for (const id of [first, second]) {
    assertEquals(await tale(opened, id), ["queued", "started"]);
    assertEquals((await last(opened, id)).runner, "echo");
  }
  assertEquals(await tale(opened, third), ["queued"]);
});

Deno.test("nobody attaches to a session that its named runner serves, and gets none of its turns", async () => {
  const opened = openSessions();
  await create(opened, "s", { runner: "echo" });
  const [named, own] = [new Runner(), new Runner()];
  opened.sessions.attach(named, { name: "echo" });
  const attach = () => opened.sessions.attach(own, { sessionId: "s" });
  assertEquals([await codeOf(attach), own.attachments], ["conflict", 0]);
  const id = await send(opened, "s");
  assertEquals((await last(opened, id)).runner, "echo");
  assertEquals(await codeOf(() => opened.sessions.attach(named, { sessionId: "s" })), "ok");
  opened.sessions.runnerGone(named);
  assertEquals(await codeOf(attach), "ok");
});

Deno.test("a named runner stays out of a session that somebody is attached to; what runs stays where it is", async () => {
  const opened = openSessions();
  await create(opened, "s", { runner: "echo" });
  const [named, own] = [new Runner(), new Runner()];
  opened.sessions.attach(own, { sessionId: "s" });
  const first = await send(opened, "s");
  opened.sessions.attach(named, { name: "echo" });
  const second = await send(opened, "s");
  assertEquals(await codeOf(emit(opened, named, [first, "completed"])), "permission_denied");
  await emit(opened, own, [first, "completed"]);
  assertEquals((await last(opened, second)).runner, undefined);
  opened.sessions.runnerGone(own);
  assertEquals(await tale(opened, second), ["queued", "started", "failed"]);
  assertEquals((await last(opened, await send(opened, "s"))).runner, "echo");
});

Deno.test("a place has one runner: another is conflict until the first has gone", async () => {
  const opened = openSessions();
  const [first, second] = [new Runner(), new Runner()];
  for (const place of [{ sessionId: "s" }, { name: "echo" }]) {
    assertEquals(await codeOf(() => opened.sessions.attach(first, place)), "ok");
    assertEquals(await codeOf(() => opened.sessions.attach(first, place)), "ok");
    assertEquals(await codeOf(() => opened.sessions.attach(second, place)), "conflict");
  }
  opened.sessions.runnerGone(first);
  assertEquals(await codeOf(() => opened.sessions.attach(second, { sessionId: "s" })), "ok");
});

Deno.test("one connection is attached to so many places and no more", async () => {
  const { sessions } = openSessions();
  const runner = new Runner();
  for (let i = 0; i < MAX_ATTACHMENTS; i++) sessions.attach(runner, { name: `r${i}` });
  assertEquals(await codeOf(() => sessions.attach(runner, { name: "more" })), "too_many");
  assertEquals(await codeOf(() => sessions.attach(runner, { name: "r0" })), "ok");
});

Deno.test("a token that is not the owner's has a quarter of the attachments, on however many connections", async () => {
  const { sessions } = openSessions();
  let count = 0;
  const attach = (tokenId: string, runner = new Runner()) => {
    if (runner.attachments === 0) runner.tokenId = tokenId;
    sessions.attach(runner, { name: `r${++count}` });
    return runner;
  };
  const first = attach("serve");
  for (let n = 1; n < MAX_ATTACHMENTS; n++) attach("serve", first);
  for (let n = MAX_ATTACHMENTS; n < MAX_ATTACHMENTS_OF_TOKEN; n++) attach("serve");
  const refused = assertThrows(() => attach("serve"), PosternError, "by one token");
  assertEquals([refused.code, refused.details], ["too_many", { limit: MAX_ALL_ATTACHMENTS / 4 }]);
  for (const tokenId of ["other", OWNER_ID]) attach(tokenId);
  sessions.runnerGone(first);
  sessions.runnerGone(first);
  for (let n = 0; n < MAX_ATTACHMENTS; n++) attach("serve");
  assertEquals(await codeOf(() => attach("serve")), "too_many");
  for (let n = MAX_ATTACHMENTS_OF_TOKEN + 2; n < MAX_ALL_ATTACHMENTS; n++) attach(OWNER_ID);
  assertThrows(() => attach(OWNER_ID), PosternError, "in all");
});

Deno.test("only the attached runner replies, and its message is told", async () => {
  const opened = openSessions();
  const [runner, other] = [new Runner(), new Runner()];
  opened.sessions.attach(runner, { sessionId: "s" });
  await create(opened, "s");
  const reply = { sessionId: "s", text: "done", target: "all", originator: "o-1" };
  const refused = codeOf(attempt(() => opened.sessions.reply(other, reply)));
  assertEquals(await refused, "permission_denied");
  const nowhere = { ...reply, sessionId: "nowhere" };
  assertEquals(await codeOf(attempt(() => opened.sessions.reply(runner, nowhere))), "not_found");
  const message_id = await opened.sessions.reply(runner, reply).promise();
  const payload = { session_id: "s", message_id, text: "done", origin: "o-1", target: "all" };
  assertEquals(await news(opened), [{ topic: "session.outbound", payload }]);
});

Deno.test("a runner acts for whoever asked for the turn that it runs, and only as long as it runs", async () => {
  const opened = openSessions();
  const { sessions } = opened;
  const [runner, other] = [new Runner(), new Runner()];
  sessions.attach(runner, { sessionId: "s" });
  sessions.attach(other, { sessionId: "elsewhere" });
  const first = await send(opened, "s", { originator: "o-1" });
  const second = await send(opened, "s", { originator: "o-2" });
  const allowed = () =>
    [runner, other, new Runner()].flatMap((one) =>
      ["o-1", "o-2", "o-3"].filter((originator) => sessions.mayActFor(one, originator))
    );
  assertEquals(allowed(), ["o-1"]);
  assertEquals(sessions.turnOriginator(runner, first), "o-1");
  assertEquals(sessions.turnOriginator(runner, second), undefined);
  assertEquals(sessions.turnOriginator(other, first), undefined);
  await emit(opened, runner, [first, "completed"]);
  assertEquals(allowed(), ["o-2"]);
  sessions.runnerGone(runner);
  assertEquals(allowed(), []);
  assertEquals(sessions.turnOriginator(runner, second), undefined);
});

Deno.test("another connection of the runner's client is told who asked, and nobody else's", async () => {
  const opened = openSessions();
  const { sessions } = opened;
  const [runner, nameless] = [new Runner(), new Runner()];
  runner.originator = "o-runner";
  sessions.attach(runner, { sessionId: "s" });
  sessions.attach(nameless, { sessionId: "t" });
  const turn = await send(opened, "s", { originator: "o-1" });
  const other = await send(opened, "t", { originator: "o-2" });
  assertEquals(sessions.turnOriginator(null, turn, "o-runner"), "o-1");
  assertEquals(sessions.turnOriginator(new Runner(), turn, "o-runner"), "o-1");
  assertEquals(sessions.turnOriginator(null, turn, "o-1"), undefined);
  assertEquals(sessions.turnOriginator(null, turn, null), undefined);
  assertEquals(sessions.turnOriginator(null, other, "o-runner"), undefined);
  assertEquals(sessions.turnOriginator(null, other, null), undefined);
  sessions.runnerGone(runner);
  assertEquals(sessions.turnOriginator(null, turn, "o-runner"), undefined);
});

Deno.test("a refusal names what was asked for", async () => {
  const opened = openSessions();
  const message = await attempt(() => opened.sessions.cancel("nothing\n", null))
    .catch(({ message }) => message);
  assertMatch(message, /^session\.cancel: there is no open turn "nothing\?"$/);
});
