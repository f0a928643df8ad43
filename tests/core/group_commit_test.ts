/** Group commit through the log: who shares a commit, what a failure costs, and what it does not. */

import { cursorWrite } from "../../src/core/consumers.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newEvent } from "../support/new_event.ts";
import { appendEach, appendOne, openTestLog, readAll, seekAll } from "../support/test_log.ts";

const CURSOR = { name: "c", ackedSeq: 1, deliveredBound: 9, lastSeenMs: 5 };

Deno.test("an event is visible once its commit is done, and not before", async () => {
  const { log, store } = openTestLog();
  const release = store.holdCommits();
  const begun = store.commitBegins();
  const appended = log.append([newEvent()]);
  await begun;
  assertEquals([log.head, await log.seek(1), log.appendedCount], [0, null, 0]);
  release();
  assertEquals((await appended.promise())[0]!.seq, 1);
  assertEquals([log.head, await seekAll(log), log.appendedCount], [1, [1], 1]);
});

Deno.test("what arrives while a commit runs goes into the next one together", async () => {
  const { log, store } = openTestLog();
  const release = store.holdCommits();
  const begun = store.commitBegins();
  const first = log.append([newEvent()]);
  await begun;
  const others = Array.from({ length: 50 }, () => log.append([newEvent()]));
  release();
  assertEquals((await first.promise())[0]!.seq, 1);
  for (const [i, ticket] of others.entries()) assertEquals((await ticket.promise())[0]!.seq, i + 2);
  assertEquals(store.batches.map(({ units }) => units.length), [1, 50]);
});

Deno.test("appends of one turn of the event loop share a commit", async () => {
  const { log, store } = openTestLog();
  await Promise.all(Array.from({ length: 20 }, () => log.append([newEvent()]).promise()));
  assertEquals(store.batches.length, 1);
});

Deno.test("a commit takes at most 512 KiB of envelopes, and at least one unit", async () => {
  const { log, store } = openTestLog();
  const tickets = Array.from({ length: 12 }, () => log.append([newEvent({ chars: 100 * 1024 })]));
  const huge = log.append([newEvent({ chars: 1024 * 1024 })]);
  await Promise.all([...tickets, huge].map((ticket) => ticket.promise()));
  assertEquals(store.batches.map(({ units }) => units.length), [5, 5, 2, 1]);
  assertEquals(log.head, 13);
});

Deno.test("the backlog counts what waits, and nothing when it has gone in or failed", async () => {
  const { log, store } = openTestLog();
  assertEquals(log.backlogChars, 0);
  const tickets = [log.append([newEvent({ chars: 1000 })]), log.append([newEvent({ chars: 500 })])];
  assert(log.backlogChars >= 1500 && log.backlogChars < 1700);
  await Promise.all(tickets.map((ticket) => ticket.promise()));
  assertEquals(log.backlogChars, 0);
  store.failNext(new Error("no disk"));
  await assertRejects(() => log.append([newEvent({ chars: 1000 })]).promise(), Error, "no disk");
  assertEquals(log.backlogChars, 0);
});

Deno.test("whoever waits for a smaller backlog goes on when it is there, though the log never rests", async () => {
  const { log } = openTestLog();
  await log.backlogAtMost(0);
  const chars = 400 * 1024;
  for (let i = 0; i < 8; i++) log.append([newEvent({ chars })]);
  let rounds = 0;
  const most = 500;
  let waits = true;
  const keepBusy = () => {
    if (waits && ++rounds < most) log.append([newEvent()]).whenSettled(keepBusy);
  };
  keepBusy();
  await log.backlogAtMost(3 * chars);
  waits = false;
  assert(rounds < most, "others were kept busy all the time");
  assert(log.backlogChars > chars && log.backlogChars <= 3 * chars, String(log.backlogChars));
  await log.drain();
});

Deno.test("a failed commit fails its tickets with the failure, and uses no seq up", async () => {
  const { log, store } = openTestLog();
  assertEquals(await appendOne(log), 1);
  store.failNext(new Error("no disk"));
  const failed = [log.append([newEvent()]), log.append([newEvent(), newEvent()])];
  for (const ticket of failed) await assertRejects(() => ticket.promise(), Error, "no disk");
  assertEquals([log.head, log.appendedCount, await seekAll(log)], [1, 1, [1]]);
  assertEquals(await appendOne(log), 2);
  assertEquals((await readAll(log)).events.map(({ seq }) => seq), [1, 2]);
});

Deno.test("of a commit that fails in part, what was stored is answered and the rest is refused", async () => {
  const { log, store } = openTestLog();
  store.failNext(new Error("no disk"), 2);
  const tickets = Array.from({ length: 4 }, () => log.append([newEvent()]));
  const cursor = log.put(cursorWrite(CURSOR));
  assertEquals((await tickets[0]!.promise())[0]!.seq, 1);
  assertEquals((await tickets[1]!.promise())[0]!.seq, 2);
  for (const ticket of tickets.slice(2)) {
    await assertRejects(() => ticket.promise(), Error, "no disk");
  }
  await cursor.promise();
  assertEquals([log.head, await appendOne(log), await seekAll(log)], [2, 3, [1, 2, 3]]);
});

Deno.test("a failed cursor move is told, and the next one goes in", async () => {
  const { log, store } = openTestLog();
  store.failNext(new Error("no disk"));
  const moves = [log.put(cursorWrite(CURSOR)), log.put(cursorWrite({ ...CURSOR, ackedSeq: 2 }))];
  for (const move of moves) await assertRejects(() => move.promise(), Error, "no disk");
  assertEquals(store.cursors, []);
  await log.put(cursorWrite(CURSOR)).promise();
  assertEquals(store.cursors, [CURSOR]);
});

Deno.test("several moves of one consumer are one write of the last", async () => {
  const { log, store } = openTestLog();
  const moves = [1, 2, 3].map((ackedSeq) => log.put(cursorWrite({ ...CURSOR, ackedSeq })));
  for (const move of moves) await move.promise();
  assertEquals(
    store.batches.map(({ documents }) => documents.map(({ content }) => content?.fields.acked_seq)),
    [[3]],
  );
  await log.put({ key: ["cursor", "c"], content: null }).promise();
  assertEquals(store.cursors, []);
});

Deno.test("a commit takes at most 64 documents", async () => {
  const { log, store } = openTestLog();
  const moves = Array.from(
    { length: 150 },
    (_, i) => log.put(cursorWrite({ ...CURSOR, name: `c${i}` })),
  );
  for (const move of moves) await move.promise();
  assertEquals(store.batches.map(({ documents }) => documents.length), [64, 64, 22]);
  assertEquals(store.cursors.length, 150);
});

Deno.test("after a failure nothing is tried again until somebody asks for something", async () => {
  const { log, store, clock } = openTestLog({ retention: { maxAgeMs: 1000 } });
  await appendEach(log, 80);
  await log.drain();
  clock.step(2000);
  store.failNext(new Error("no disk"));
  store.failNext(new Error("no disk"));
  const before = store.batches.length;
  await assertRejects(() => appendOne(log), Error, "no disk");
  await log.drain();
  log.tidy();
  await log.drain();
  assertEquals(store.batches.length, before + 2, "one commit for the append, one for the tidying");
  assertEquals(store.blocks.length > 0, true);
  log.tidy();
  await log.drain();
  assertEquals(store.blocks, [], "what retention dropped is deleted in the end");
});

Deno.test("an idle log does not commit", async () => {
  const { log, store } = openTestLog();
  await appendOne(log);
  await log.drain();
  log.tidy();
  await log.drain();
  log.tidy();
  await log.drain();
  assertEquals(store.batches.length, 1);
});

Deno.test("readers are told after the senders have their answers", async () => {
  const { log } = openTestLog();
  const order: string[] = [];
  log.onAppended = () => order.push("readers");
  const ticket = log.append([newEvent()]);
  ticket.whenSettled(() => order.push("sender"));
  await log.drain();
  assertEquals(order, ["sender", "readers"]);
});

Deno.test("times never run backwards in the log, whatever the clock does", async () => {
  const opened = openTestLog();
  await appendOne(opened.log);
  opened.clock.step(-500_000);
  await appendOne(opened.log);
  opened.clock.step(100);
  const { log } = opened.restarted();
  await appendOne(log);
  const times = (await readAll(log)).events.map(({ bufferedAtMs }) => bufferedAtMs);
  assertEquals(times, [1_000_000, 1_000_000, 1_000_000]);
});
