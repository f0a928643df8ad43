/** Requests for permission: who may do what with them, and that each ends once, whatever happens meanwhile. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { Departure } from "../../src/core/departure.ts";
import { MAX_WAITS, MAX_WAITS_EACH } from "../../src/core/decision_waits.ts";
import { PosternError } from "../../src/core/errors.ts";
import {
  MAX_PENDING,
  MAX_PENDING_EACH,
  MAX_PENDING_OF_TOKEN,
} from "../../src/core/pending_permissions.ts";
import { OWNER_ID } from "../../src/core/principal.ts";
import { MAX_RESOLVED } from "../../src/core/permissions.ts";
import {
  ask,
  comesTo,
  crashed,
  openPermissions,
  type TestPermissions,
  told,
} from "../support/test_permissions.ts";

const YES = { isApproval: true, json: '{"approve":true}' };
const NO = { isApproval: false, json: '{"approve":false,"why":"no"}' };

async function topicsOf(opened: TestPermissions): Promise<string[]> {
  return (await told(opened)).map(({ topic }) => topic.replace("permission.", ""));
}

function idsFor({ permissions }: TestPermissions, originator: string): string[] {
  return permissions.pendingFor(originator).map(({ id }) => id);
}

Deno.test("a request is there for its originator once it is on disk, and told in one event", async () => {
  const opened = openPermissions();
  const asked = ask(opened, "a");
  assertEquals(idsFor(opened, "owner"), [], "nobody sees what is not stored");
  const { requestedMs, expiresMs } = await asked.promise();
  assertEquals([requestedMs, expiresMs], [1_000_000, 1_060_000]);
  assertEquals([idsFor(opened, "owner"), idsFor(opened, "runner")], [["a"], []]);
  assertEquals(await told(opened), [{
    topic: "permission.requested",
    payload: {
      request_id: "a",
      tool: "Bash",
      input: { command: "rm -rf a" },
      rationale: null,
      originator: "owner",
      requester: "runner",
      expires_at: 1_060_000,
    },
  }]);
});

Deno.test("a request that cannot be stored never was", async () => {
  const opened = openPermissions();
  opened.store.failNext(new Error("no disk"));
  assertEquals(await comesTo(() => ask(opened, "a")), "no disk");
  assertEquals(idsFor(opened, "owner"), []);
  assertEquals(await comesTo(() => opened.permissions.answer("a", "owner", YES)), "not_found");
  assertEquals(opened.permissions.pendingCount, 0);
  assertEquals(await told(opened), []);
});

Deno.test("the originator answers once; then it is a conflict, whatever is tried", async () => {
  const opened = openPermissions();
  const { permissions } = opened;
  await ask(opened, "a").promise();
  const resolved = await permissions.answer("a", "owner", NO).promise();
  assertEquals([resolved.outcome, resolved.by, resolved.answer], ["denied", "owner", NO.json]);
  for (
    const attempt of [
      () => permissions.answer("a", "owner", YES),
      () => permissions.cancel("a", "runner"),
      () => permissions.extend("a", "owner", 1),
      () => permissions.delegate("a", "owner", "other"),
    ]
  ) assertEquals(await comesTo(attempt), "conflict");
  assertEquals((await told(opened)).slice(1), [{
    topic: "permission.resolved",
    payload: {
      request_id: "a",
      outcome: "denied",
      by: "owner",
      result: { approve: false, why: "no" },
    },
  }]);
});

Deno.test("nobody but the originator answers, extends or delegates, and a refusal is no event", async () => {
  const opened = openPermissions();
  const { permissions } = opened;
  await ask(opened, "a").promise();
  for (const by of ["runner", "other", ""]) {
    for (
      const attempt of [
        () => permissions.answer("a", by, YES),
        () => permissions.extend("a", by, 1000),
        () => permissions.delegate("a", by, by),
      ]
    ) assertEquals(await comesTo(attempt), "not_originator", by);
  }
  for (const by of ["owner", "other"]) {
    assertEquals(await comesTo(() => permissions.cancel("a", by)), "permission_denied");
  }
  assertEquals(await topicsOf(opened), ["requested"]);
  await permissions.answer("a", "owner", YES).promise();
  assertEquals(await comesTo(() => permissions.answer("a", "other", YES)), "not_originator");
  assertEquals(await comesTo(() => permissions.answer("b", "owner", YES)), "not_found");
});

Deno.test("the requester cancels, and whoever waits is told", async () => {
  const opened = openPermissions();
  await ask(opened, "a").promise();
  const { decided } = opened.permissions.wait("a", OWNER_ID);
  await opened.permissions.cancel("a", "runner").promise();
  const { outcome, by, answer } = await decided.promise();
  assertEquals([outcome, by, answer], ["cancelled", "runner", null]);
  assertEquals(idsFor(opened, "owner"), []);
});

Deno.test("of 1,000 answers at once one is taken, and the others are conflicts", async () => {
  const opened = openPermissions();
  await ask(opened, "a").promise();
  const answers = Array.from(
    { length: 1000 },
    (_, i) => comesTo(() => opened.permissions.answer("a", "owner", i % 2 === 0 ? NO : YES)),
  );
  const codes = await Promise.all(answers);
  assertEquals(codes[0], "ok");
  assertEquals(codes.filter((code) => code === "conflict").length, 999);
  assertEquals(await topicsOf(opened), ["requested", "resolved"]);
});

Deno.test("an answer that cannot be stored is refused with the store's error, and the next one is taken", async () => {
  const opened = openPermissions();
  await ask(opened, "a").promise();
  const { decided } = opened.permissions.wait("a", OWNER_ID);
  opened.store.failNext(new Error("no disk"));
  const answers = [NO, YES, NO].map((answer) =>
    comesTo(() => opened.permissions.answer("a", "owner", answer))
  );
  assertEquals(await Promise.all(answers), ["no disk", "ok", "conflict"]);
  assertEquals((await decided.promise()).outcome, "approved");
  assertEquals(await topicsOf(opened), ["requested", "resolved"]);
});

Deno.test("a delegation that is not on disk lets nobody else answer", async () => {
  const opened = openPermissions();
  const { permissions, store } = opened;
  await ask(opened, "a").promise();
  store.failNext(new Error("no disk"));
  const codes = [
    comesTo(() => permissions.delegate("a", "owner", "other")),
    comesTo(() => permissions.answer("a", "other", YES)),
    comesTo(() => permissions.answer("a", "owner", NO)),
  ];
  assertEquals(await Promise.all(codes), ["no disk", "not_originator", "ok"]);
});

Deno.test("after a delegation the other alone answers, and has it in the list", async () => {
  const opened = openPermissions();
  const { permissions } = opened;
  await ask(opened, "a").promise();
  const codes = [
    comesTo(() => permissions.delegate("a", "owner", "other")),
    comesTo(() => permissions.answer("a", "owner", NO)),
    comesTo(() => permissions.delegate("a", "other", "other")),
  ];
  assertEquals(await Promise.all(codes), ["ok", "not_originator", "ok"]);
  assertEquals([idsFor(opened, "owner"), idsFor(opened, "other")], [[], ["a"]]);
  await permissions.answer("a", "other", YES).promise();
  const events = await told(opened);
  assertEquals(events.map(({ payload }) => payload).slice(1), [
    { request_id: "a", to: "other" },
    { request_id: "a", outcome: "approved", by: "other", result: { approve: true } },
  ]);
});

Deno.test("a request whose time is over times out, though nobody has looked at the clock before", async () => {
  const opened = openPermissions();
  const { permissions, clock } = opened;
  await ask(opened, "a").promise();
  clock.step(59_999);
  permissions.expire();
  assertEquals(idsFor(opened, "owner"), ["a"]);
  clock.step(1);
  assertEquals(idsFor(opened, "owner"), []);
  const codes = await Promise.all([
    comesTo(() => permissions.answer("a", "owner", YES)),
    comesTo(() => permissions.cancel("a", "runner")),
  ]);
  assertEquals(codes, ["conflict", "conflict"]);
  const { outcome, by } = await permissions.wait("a", OWNER_ID).decided.promise();
  assertEquals([outcome, by], ["timeout", null]);
  assertEquals(await topicsOf(opened), ["requested", "resolved"]);
});

Deno.test("a time-out that cannot be stored comes with the next look, and no answer is taken meanwhile", async () => {
  const opened = openPermissions();
  const { permissions, clock, store, log } = opened;
  await ask(opened, "a").promise();
  clock.step(60_000);
  store.failNext(new Error("no disk"));
  permissions.expire();
  permissions.expire();
  await log.drain();
  assertEquals(await topicsOf(opened), ["requested"]);
  store.failNext(new Error("no disk"));
  const answers = [YES, YES].map((answer) =>
    comesTo(() => permissions.answer("a", "owner", answer))
  );
  assertEquals(await Promise.all(answers), ["no disk", "conflict"]);
  assertEquals(await topicsOf(opened), ["requested", "resolved"]);
});

Deno.test("the originator takes more time, beyond the end there was, at most 30 days from now", async () => {
  const opened = openPermissions();
  const { permissions, clock } = opened;
  await ask(opened, "a").promise();
  const { expiresMs } = await permissions.extend("a", "owner", 30_000).promise();
  assertEquals(expiresMs, 1_090_000);
  clock.step(89_999);
  permissions.expire();
  assertEquals(idsFor(opened, "owner"), ["a"]);
  const refusal = assertThrows(
    () => permissions.extend("a", "owner", 30 * 86_400_000),
    PosternError,
  );
  assertEquals(refusal.code, "invalid_params");
  clock.step(1);
  permissions.expire();
  await opened.log.drain();
  assertEquals(await topicsOf(opened), ["requested", "extended", "resolved"]);
});

Deno.test("a restart keeps what waits, as it was last, and what was decided, and tells nothing again", async () => {
  let opened = openPermissions();
  for (const id of ["a", "b", "c"]) {
    await ask(opened, id, { secs: 1000 }).promise();
    opened.clock.step(1);
  }
  await opened.permissions.delegate("b", "owner", "other").promise();
  await opened.permissions.extend("a", "owner", 5000).promise();
  await opened.permissions.answer("c", "owner", YES).promise();
  const before = ["owner", "other"].map((name) => opened.permissions.pendingFor(name));
  const events = await told(opened);
  opened = crashed(opened);
  const { permissions } = opened;
  assertEquals(["owner", "other"].map((name) => permissions.pendingFor(name)), before);
  const { outcome, answer } = await permissions.wait("c", OWNER_ID).decided.promise();
  assertEquals([outcome, answer], ["approved", YES.json]);
  assertEquals(await comesTo(() => permissions.answer("c", "owner", NO)), "conflict");
  assertEquals(await told(opened), events);
  await permissions.answer("a", "owner", NO).promise();
  opened.clock.step(2_000_000);
  permissions.expire();
  await opened.log.drain();
  assertEquals((await topicsOf(opened)).slice(events.length), ["resolved", "resolved"]);
});

Deno.test("what its requester's end is to cancel is cancelled then, stored or not yet", async () => {
  const opened = openPermissions();
  const departure = new Departure();
  await ask(opened, "a", { departure }).promise();
  await ask(opened, "kept").promise();
  const late = ask(opened, "b", { departure });
  departure.end();
  await late.promise();
  await opened.log.drain();
  assertEquals(idsFor(opened, "owner"), ["kept"]);
  const ends = (await told(opened)).filter(({ topic }) => topic === "permission.resolved");
  assertEquals(ends.map(({ payload }) => [payload.request_id, payload.outcome, payload.by]), [
    ["a", "cancelled", "runner"],
    ["b", "cancelled", "runner"],
  ]);
});

Deno.test("a cancellation by disconnect that cannot be stored is tried again", async () => {
  const opened = openPermissions();
  const departure = new Departure();
  await ask(opened, "a", { departure }).promise();
  opened.store.failNext(new Error("no disk"));
  departure.end();
  await opened.log.drain();
  assertEquals(await topicsOf(opened), ["requested"]);
  opened.permissions.expire();
  await opened.log.drain();
  assertEquals(await topicsOf(opened), ["requested", "resolved"]);
});

Deno.test("a departure keeps nothing of requests that are over", async () => {
  const opened = openPermissions();
  const departure = new Departure();
  await ask(opened, "a", { departure }).promise();
  assertEquals(departure.size, 1);
  await opened.permissions.answer("a", "owner", YES).promise();
  opened.store.failNext(new Error("no disk"));
  await comesTo(() => ask(opened, "b", { departure }));
  assertEquals(departure.size, 0);
});

Deno.test("a stop ends the waits and cancels nothing", async () => {
  const opened = openPermissions();
  const departure = new Departure();
  await ask(opened, "a", { departure }).promise();
  const waiting = comesTo(() => opened.permissions.wait("a", OWNER_ID).decided);
  opened.permissions.stop();
  departure.end();
  assertEquals(await waiting, "shutting_down");
  assertEquals(
    await comesTo(() => opened.permissions.wait("a", OWNER_ID).decided),
    "shutting_down",
  );
  await opened.log.drain();
  assertEquals(idsFor(crashed(opened), "owner"), ["a"]);
  assertEquals(await topicsOf(opened), ["requested"]);
});

Deno.test("one that gives up waiting is told so, and the others wait on", async () => {
  const opened = openPermissions();
  await ask(opened, "a").promise();
  const [first, second] = [
    opened.permissions.wait("a", OWNER_ID),
    opened.permissions.wait("a", OWNER_ID),
  ];
  first.giveUp();
  first.giveUp();
  assertEquals(await comesTo(() => first.decided), "shutting_down");
  await opened.permissions.answer("a", "owner", YES).promise();
  assertEquals((await second.decided.promise()).outcome, "approved");
});

Deno.test("a token that is not the owner's has a quarter of the waits for a decision, and others go on", async () => {
  const opened = openPermissions();
  const { permissions } = opened;
  for (const id of ["a", "b"]) await ask(opened, id).promise();
  const wait = (tokenId = "serve", id = "a") => permissions.wait(id, tokenId);
  const first = wait();
  for (let n = 1; n < MAX_WAITS_EACH; n++) wait("serve", n % 2 === 0 ? "a" : "b");
  const refused = assertThrows(
    () => wait(),
    PosternError,
    "2500 of this token wait for a decision",
  );
  assertEquals([refused.code, refused.details], ["too_many", { limit: MAX_WAITS / 4 }]);
  const others = ["other", OWNER_ID].map((tokenId) => wait(tokenId).decided.promise());
  first.giveUp();
  first.giveUp();
  wait();
  assertThrows(() => wait(), PosternError, "of this token");
  await permissions.answer("a", "owner", YES).promise();
  assertEquals((await Promise.all(others)).map(({ outcome }) => outcome), ["approved", "approved"]);
  for (let n = 0; n < MAX_WAITS_EACH / 2; n++) wait("serve", "b");
  assertThrows(() => wait("serve", "b"), PosternError, "of this token");
  for (let n = MAX_WAITS_EACH; n < MAX_WAITS; n++) wait(OWNER_ID, "b");
  assertThrows(() => wait(OWNER_ID, "b"), PosternError, "10000 wait for a decision");
});

Deno.test("one originator's requests are bounded, those too that are on their way and those delegated", async () => {
  const opened = openPermissions();
  const { permissions } = opened;
  const own = Array.from({ length: MAX_PENDING_EACH - 1 }, (_, i) => ask(opened, `own${i}`));
  await ask(opened, "others", { originator: "other" }).promise();
  const delegated = permissions.delegate("others", "other", "owner");
  assertEquals(await comesTo(() => ask(opened, "more")), "too_many");
  await delegated.promise();
  assertEquals(await comesTo(() => ask(opened, "more")), "too_many");
  await ask(opened, "third", { originator: "other" }).promise();
  const refused = await comesTo(() => permissions.delegate("third", "other", "owner"));
  assertEquals(refused, "too_many");
  await own[0]!.promise();
  await permissions.answer("own0", "owner", YES).promise();
  assertEquals(await comesTo(() => ask(opened, "more")), "ok");
});

Deno.test("all requests together are bounded", async () => {
  const opened = openPermissions();
  const asked = Array.from(
    { length: MAX_PENDING },
    (_, i) => ask(opened, `r${i}`, { originator: `o${i >> 4}` }),
  );
  assertEquals(await comesTo(() => ask(opened, "more", { originator: "nobody" })), "too_many");
  await Promise.all(asked.map((one) => one.promise()));
  assertEquals(opened.permissions.pendingCount, MAX_PENDING);
});

Deno.test("of what was decided the newest is remembered, in memory and on disk", async () => {
  const opened = openPermissions();
  const { permissions } = opened;
  const excess = 50;
  for (let done = 0; done < MAX_RESOLVED + excess; done += excess) {
    const ids = Array.from({ length: excess }, (_, i) => `r${done + i}`);
    await Promise.all(ids.map((id) => ask(opened, id).promise()));
    await Promise.all(ids.map((id) => permissions.answer(id, "owner", YES).promise()));
    opened.clock.step(1);
  }
  assertEquals(await comesTo(() => permissions.answer("r0", "owner", YES)), "not_found");
  const newest = `r${MAX_RESOLVED + excess - 1}`;
  assertEquals(await comesTo(() => permissions.answer(newest, "owner", YES)), "conflict");
  const { length } = opened.store.documents;
  assert(length >= MAX_RESOLVED && length <= MAX_RESOLVED + excess, `${length} are kept`);
});

Deno.test("a request whose turn has ended is withdrawn with the next look, and told once", async () => {
  const opened = openPermissions();
  await ask(opened, "gone", { turnId: "ended" }).promise();
  await ask(opened, "here", { turnId: "open" }).promise();
  opened.permissions.expire();
  opened.permissions.expire();
  await opened.log.drain();
  assertEquals(idsFor(opened, "owner"), ["here"]);
  const ends = (await told(opened)).filter(({ topic }) => topic === "permission.resolved");
  assertEquals(ends.map(({ payload }) => [payload.request_id, payload.outcome]), [
    ["gone", "cancelled"],
  ]);
});

Deno.test("no answer is taken for a turn that has ended, though nobody has looked since", async () => {
  const opened = openPermissions();
  await ask(opened, "gone", { turnId: "ended" }).promise();
  const attempt = () => opened.permissions.answer("gone", "owner", YES);
  assertEquals(await comesTo(attempt), "conflict");
  assertEquals((await topicsOf(opened)).at(-1), "resolved");
  assertEquals((await told(opened)).at(-1)!.payload.outcome, "cancelled");
});

Deno.test("one token cannot take the place of all others, and the owner's is not one of them", async () => {
  const opened = openPermissions();
  for (let i = 0; i < MAX_PENDING_OF_TOKEN; i++) {
    await ask(opened, `n${i}`, { tokenId: "named", originator: `o-${i % 10}` }).promise();
  }
  const more = (tokenId: string) => comesTo(() => ask(opened, "one", { tokenId, originator: "o" }));
  assertEquals(await more("named"), "too_many");
  assertEquals(await more("other"), "ok");
  const again = crashed(opened);
  const asked = () => ask(again, "two", { tokenId: "named", originator: "o" });
  assertEquals(await comesTo(asked), "too_many", "it is known behind a restart");
  for (let i = 0; i <= MAX_PENDING_OF_TOKEN; i++) {
    await ask(again, `w${i}`, { originator: `p-${i % 10}` }).promise();
  }
});
