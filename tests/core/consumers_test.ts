/** Consumers: cursors that never move back, and a bound that is on disk before anything is pushed. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Consumers, MAX_CONSUMERS } from "../../src/core/consumers.ts";
import { PosternError } from "../../src/core/errors.ts";
import { appendEach, openTestLog, type TestLog } from "../support/test_log.ts";

interface Opened extends TestLog {
  readonly consumers: Consumers;
}

async function open(events = 0): Promise<Opened> {
  const opened = consumersOf(openTestLog());
  await appendEach(opened.log, events);
  await opened.log.drain();
  return opened;
}

function consumersOf(opened: TestLog): Opened {
  const { log, store, clock } = opened;
  return { ...opened, consumers: new Consumers(log, { clock, documents: store.state.documents }) };
}

/** What a daemon finds that starts after this one was killed. */
function crashed(opened: Opened): Opened {
  return consumersOf(opened.restarted());
}

Deno.test("a consumer exists from its first delivery on, and begins at 0", async () => {
  const { consumers } = await open(3);
  assertEquals([consumers.find("a"), consumers.list()], [undefined, []]);
  const one = consumers.open("a");
  assertEquals([one.ackedSeq, one.deliveredSeq], [0, 0]);
  assert(consumers.open("a") === one && consumers.find("a") === one);
});

Deno.test("nothing may be pushed before its bound is on disk", async () => {
  const opened = await open(3);
  const one = opened.consumers.open("a");
  const release = opened.store.holdCommits();
  const reserved = one.reserve(3);
  assert(reserved !== null);
  assertEquals(crashed(opened).consumers.find("a"), undefined);
  release();
  await reserved.promise();
  assert(opened.store.cursors[0]!.deliveredBound >= 3);
});

Deno.test("the bound lies so far ahead that most pushes wait for nothing", async () => {
  const { consumers, store } = await open(3);
  const one = consumers.open("a");
  await one.reserve(1)?.promise();
  const before = store.batches.length;
  for (let seq = 2; seq <= 5000; seq++) assertEquals(one.reserve(seq), null);
  assertEquals(store.batches.length, before);
});

Deno.test("a steady stream of pushes waits for the disk once, at its beginning", async () => {
  const { consumers, log } = await open(1);
  const one = consumers.open("a");
  let waits = 0;
  for (let seq = 1; seq <= 100_000; seq += 100) {
    const reserved = one.reserve(seq);
    if (reserved !== null) waits++;
    await reserved?.promise();
    one.delivered(seq);
    await log.drain();
  }
  assertEquals(waits, 1);
});

Deno.test("two streams of one consumer both wait while the first bound is on its way", async () => {
  const { consumers, store } = await open(3);
  const one = consumers.open("a");
  const release = store.holdCommits();
  const reserved = [one.reserve(2), one.reserve(3)];
  assert(reserved[0] !== null && reserved[1] !== null);
  release();
  for (const ticket of reserved) await ticket!.promise();
  assertEquals(one.reserve(3), null);
});

Deno.test("a bound that could not be stored is tried again with the next push", async () => {
  const { consumers, store } = await open(3);
  const one = consumers.open("a");
  store.failNext(new Error("no disk"));
  await assertRejects(() => one.reserve(2)!.promise(), Error, "no disk");
  const again = one.reserve(3);
  assert(again !== null);
  await again.promise();
  assert(store.cursors[0]!.deliveredBound >= 3);
});

Deno.test("a failure of an older bound does not lower a newer one", async () => {
  const opened = await open(3);
  const one = opened.consumers.open("a");
  const release = opened.store.holdCommits();
  opened.store.failNext(new Error("no disk"));
  const begun = opened.store.commitBegins();
  const older = one.reserve(2)!;
  await begun;
  const newer = one.reserve(40_000)!;
  release();
  await assertRejects(() => older.promise(), Error, "no disk");
  await newer.promise();
  await one.reserve(10)?.promise();
  await opened.log.drain();
  assert(opened.store.cursors[0]!.deliveredBound >= 40_000, "40,000 may have been pushed");
});

Deno.test("after a crash an ack of anything that was delivered is accepted", async () => {
  const opened = await open(20);
  const one = opened.consumers.open("a");
  await one.reserve(20)?.promise();
  one.delivered(20);
  const again = crashed(opened).consumers.find("a")!;
  assertEquals(await again.ack(20).promise(), 20);
});

Deno.test("after a crash nothing beyond the head counts as delivered", async () => {
  const opened = await open(20);
  await opened.consumers.open("a").reserve(5)?.promise();
  const again = crashed(opened).consumers.find("a")!;
  assertEquals(again.deliveredSeq, 20);
  assertThrows(() => again.ack(21), PosternError, "21");
});

Deno.test("after a stop in order an ack is accepted of what was delivered, and of nothing more", async () => {
  const opened = await open(20);
  const one = opened.consumers.open("a");
  await one.reserve(5)?.promise();
  one.delivered(5);
  await opened.consumers.settle();
  const again = crashed(opened).consumers.find("a")!;
  assertEquals(again.deliveredSeq, 5);
  assertThrows(() => again.ack(6), PosternError, "6");
  assertEquals(await again.ack(5).promise(), 5);
});

Deno.test("an ack is answered once the cursor is on disk", async () => {
  const opened = await open(9);
  const one = opened.consumers.open("a");
  one.delivered(9);
  const release = opened.store.holdCommits();
  const acked = one.ack(4);
  assertEquals(one.ackedSeq, 0);
  release();
  assertEquals([await acked.promise(), one.ackedSeq], [4, 4]);
  assertEquals(crashed(opened).consumers.find("a")!.ackedSeq, 4);
});

Deno.test("an ack at or below the cursor answers the cursor and writes nothing", async () => {
  const { consumers, store } = await open(9);
  const one = consumers.open("a");
  one.delivered(9);
  await one.ack(5).promise();
  const before = store.batches.length;
  assertEquals([await one.ack(5).promise(), await one.ack(0).promise()], [5, 5]);
  assertEquals(store.batches.length, before);
});

Deno.test("acks that overtake each other never move the cursor back", async () => {
  const opened = await open(9);
  const one = opened.consumers.open("a");
  one.delivered(9);
  const acks = [7, 3, 9, 8].map((seq) => one.ack(seq));
  const answers = await Promise.all(acks.map((ack) => ack.promise()));
  assertEquals([one.ackedSeq, answers.at(-1)], [9, 9]);
  assertEquals(opened.store.cursors[0]!.ackedSeq, 9);
});

Deno.test("a push in the turn of an ack does not undo it on disk", async () => {
  const opened = await open(9);
  const one = opened.consumers.open("a");
  one.delivered(9);
  const acked = one.ack(7);
  const reserved = one.reserve(9);
  await Promise.all([acked.promise(), reserved?.promise()]);
  assertEquals(opened.store.cursors[0]!.ackedSeq, 7);
});

Deno.test("an ack beyond what was delivered is refused, and names both", async () => {
  const { consumers } = await open(9);
  const one = consumers.open("a");
  one.delivered(6);
  const error = assertThrows(() => one.ack(7), PosternError);
  assertEquals([error.code, error.details], ["ack_out_of_range", { delivered_seq: 6 }]);
  assert(error.message.includes("7") && error.message.includes("6"));
  assertEquals(one.ackedSeq, 0);
});

Deno.test("an ack that could not be stored moves nothing, not on disk later either", async () => {
  const { consumers, store } = await open(9);
  const one = consumers.open("a");
  one.delivered(9);
  await one.ack(2).promise();
  store.failNext(new Error("no disk"));
  await assertRejects(() => one.ack(8).promise(), Error, "no disk");
  assertEquals(one.ackedSeq, 2);
  await one.reserve(9_999)?.promise();
  assertEquals(store.cursors[0]!.ackedSeq, 2);
  assertEquals(await one.ack(8).promise(), 8);
});

Deno.test("a removed consumer begins at 0 again, after a crash too", async () => {
  const opened = await open(9);
  const one = opened.consumers.open("a");
  one.delivered(9);
  await one.ack(5).promise();
  await opened.consumers.remove("a").promise();
  assertEquals([opened.consumers.list(), opened.store.cursors], [[], []]);
  assertEquals(opened.consumers.open("a").ackedSeq, 0);
  assertEquals(crashed(opened).consumers.find("a"), undefined);
});

Deno.test("to remove a consumer that is not there is not_found", async () => {
  const { consumers } = await open();
  assertEquals(assertThrows(() => consumers.remove("x"), PosternError).code, "not_found");
});

Deno.test("a stream that still pushes to a removed consumer does not bring it back", async () => {
  const opened = await open(9);
  const one = opened.consumers.open("a");
  await one.reserve(5)?.promise();
  const removed = opened.consumers.remove("a");
  one.reserve(50_000);
  await removed.promise();
  await one.reserve(90_000)?.promise();
  await opened.log.drain();
  assertEquals(opened.store.cursors, []);
  const fresh = opened.consumers.open("a");
  fresh.delivered(9);
  await fresh.ack(7).promise();
  await one.reserve(190_000)?.promise();
  await opened.log.drain();
  assertEquals(opened.store.cursors[0]!.ackedSeq, 7, "nor does it move the new one's cursor");
});

Deno.test("a removal that could not be stored leaves the consumer as it was", async () => {
  const opened = await open(9);
  const one = opened.consumers.open("a");
  one.delivered(9);
  await one.ack(5).promise();
  opened.store.failNext(new Error("no disk"));
  await assertRejects(() => opened.consumers.remove("a").promise(), Error, "no disk");
  assertEquals(opened.consumers.find("a")?.ackedSeq, 5);
  assertEquals(await opened.consumers.find("a")!.ack(6).promise(), 6);
  assertEquals(opened.store.cursors[0]!.ackedSeq, 6);
});

Deno.test("consumers in use stay, idle ones are forgotten", async () => {
  const { consumers, store, clock, log } = await open(9);
  for (const name of ["idle", "used", "acked"]) {
    await consumers.open(name).reserve(9)?.promise();
    consumers.open(name).delivered(9);
  }
  clock.step(1000);
  consumers.open("used").delivered(0);
  await consumers.open("acked").ack(3).promise();
  assertEquals(consumers.removeIdle(1000).map(({ name }) => name), []);
  clock.step(1);
  assertEquals(consumers.removeIdle(1000).map(({ name }) => name), ["idle"]);
  await log.drain();
  assertEquals(consumers.list().map(({ name }) => name).sort(), ["acked", "used"]);
  assertEquals(store.cursors.map(({ name }) => name).sort(), ["acked", "used"]);
});

Deno.test("a clock that steps back makes nobody idle", async () => {
  const { consumers, clock } = await open(9);
  consumers.open("a").delivered(9);
  clock.step(-500_000);
  assertEquals(consumers.removeIdle(1000), []);
});

Deno.test(`there are at most ${MAX_CONSUMERS} consumers, one more is too_many`, async () => {
  const { consumers, log } = await open(1);
  for (let i = 0; i < MAX_CONSUMERS; i++) consumers.open(`c${i}`);
  const error = assertThrows(() => consumers.open("more"), PosternError);
  assertEquals([error.code, error.details], ["too_many", { limit: MAX_CONSUMERS }]);
  assertEquals(consumers.open("c77").name, "c77", "those that are there go on");
  await consumers.remove("c77").promise();
  assertEquals(consumers.open("more").name, "more");
  await log.drain();
});

Deno.test("all of very many consumers are on disk", async () => {
  const { consumers, store } = await open(1);
  const tickets = Array.from({ length: 1000 }, (_, i) => consumers.open(`c${i}`).reserve(1)!);
  await Promise.all(tickets.map((ticket) => ticket.promise()));
  assertEquals(store.cursors.length, 1000);
});
