/** One record: the order of its sets, what is seen of them and when, and what a crash leaves. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import type { LiveRecord, RecordUpdate } from "../../src/core/record.ts";
import type { Ticket } from "../../src/core/ticket.ts";
import { range } from "../support/expect.ts";
import {
  crashed,
  define,
  NotingWatcher,
  openRecords,
  shown,
  shownHistory,
  shownLatest,
} from "../support/test_records.ts";

/** Sets the value that says its own sequence, so often, all before any is stored. */
function setEach(record: LiveRecord, first: number, last: number): Ticket<RecordUpdate>[] {
  return range(first, last).map((i) => record.set(String(i)));
}

/** The order in which sets are answered, as `sequence=value` or the error's code or message. */
function answersOf(tickets: readonly Ticket<RecordUpdate>[]): string[] {
  const answers: string[] = [];
  for (const ticket of tickets) {
    ticket.whenSettled((outcome) => {
      if (outcome.ok) return answers.push(shown(outcome.value));
      const error = outcome.error as Error;
      answers.push(error instanceof PosternError ? error.code : error.message);
    });
  }
  return answers;
}

const same = (first: number, last: number) => range(first, last).map((i) => `${i}=${i}`);

Deno.test("a set is visible, told and answered once it is on disk, and not before", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  const watcher = new NotingWatcher();
  record.watch(watcher, true);
  const release = opened.store.holdCommits();
  const set = record.set("1");
  const answers = answersOf([set]);
  assertEquals([record.sequence, record.latest, record.updatedMs], [0, null, null]);
  assertEquals([watcher.told, answers], [[], []]);
  release();
  assertEquals(shown(await set.promise()), "1=1");
  assertEquals([record.sequence, shown(record.latest!)], [1, "1=1"]);
  assertEquals([watcher.told, answers], [["1=1"], ["1=1"]]);
  assertEquals(shownLatest(crashed(opened), "a"), "1=1");
});

Deno.test("an update says when it was set, in milliseconds and as AimX writes it", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  opened.clock.step(234);
  const { atMs, timestamp, name } = await record.set("1").promise();
  assertEquals([atMs, timestamp, name], [1_000_234, "1000.234000000", "a"]);
  assertEquals([record.updatedMs, record.createdAtMs], [1_000_234, 1_000_000]);
});

for (const capacity of [1, 2, 3, 7, 64, 65, 100, 200]) {
  Deno.test(`sets of a ring of ${capacity} are seen and answered in their order, however they share commits`, async () => {
    const opened = openRecords();
    const record = await define(opened, "a", { type: "spmc_ring", capacity });
    const watcher = new NotingWatcher();
    record.watch(watcher, true);
    const tickets = setEach(record, 1, 450);
    const answers = answersOf(tickets);
    for (const ticket of tickets) {
      await ticket.promise();
      // At every step what is there is the last that was told.
      assertEquals(watcher.told.at(-1), shown(record.latest!));
      assertEquals(record.sequence, watcher.told.length);
    }
    assertEquals([watcher.told, answers], [same(1, 450), same(1, 450)]);
    const kept = same(451 - capacity, 450);
    assertEquals([shownHistory(opened, "a"), shownLatest(opened, "a")], [kept, "450=450"]);
    const again = crashed(opened);
    assertEquals([shownHistory(again, "a"), shownLatest(again, "a")], [kept, "450=450"]);
    assertEquals(shown(await again.records.get("test", "a").set("451").promise()), "451=451");
  });
}

Deno.test("of large values that share no commit the later never overtakes the earlier", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "spmc_ring", capacity: 3 });
  const watcher = new NotingWatcher();
  record.watch(watcher, true);
  const values = range(1, 10).map((i) => JSON.stringify(`${i}`.padEnd(80_000, ".")));
  const sets = values.map((value) => record.set(value));
  for (const set of sets) {
    await set.promise();
    assertEquals(record.sequence, watcher.updates.length);
  }
  assertEquals(watcher.updates.map(({ value }) => value === values.shift()), Array(10).fill(true));
});

Deno.test("a failed commit shows nothing, and the sets behind it are as good as ever", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "spmc_ring", capacity: 8 });
  const watcher = new NotingWatcher();
  record.watch(watcher, true);
  await record.set("1").promise();
  opened.store.failNext(new Error("no disk"));
  const begun = opened.store.commitBegins();
  const failed = [record.set("2"), record.set("3")];
  await begun;
  const behind = [record.set("4"), record.set("5")];
  const answers = answersOf([...failed, ...behind]);
  await behind[1]!.promise();
  assertEquals(answers, ["no disk", "no disk", "4=4", "5=5"]);
  assertEquals(watcher.told, ["1=1", "4=4", "5=5"]);
  assertEquals(shownHistory(opened, "a"), ["1=1", "4=4", "5=5"]);
  assertEquals(shownHistory(crashed(opened), "a"), ["1=1", "4=4", "5=5"]);
});

Deno.test("the sequence of a set that failed with nothing behind it is given to the next", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  await record.set("1").promise();
  opened.store.failNext(new Error("no disk"));
  await assertRejects(() => record.set("2").promise(), Error, "no disk");
  assertEquals([record.sequence, shownLatest(opened, "a")], [1, "1=1"]);
  assertEquals(shown(await record.set("3", 1).promise()), "2=3");
});

Deno.test("a failure between two commits of a ring leaves a hole, and no value twice", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "spmc_ring", capacity: 200 });
  // The first commit takes 64 documents, the second is refused, the third goes in.
  opened.store.failNext(new Error("unused"), 0);
  await assertRejects(() => record.set("0").promise(), Error, "unused");
  const release = opened.store.holdCommits();
  const begun = opened.store.commitBegins();
  const tickets = setEach(record, 1, 64);
  await begun;
  opened.store.failNext(new Error("no disk"));
  tickets.push(...setEach(record, 65, 192));
  const answers = answersOf(tickets);
  release();
  await tickets.at(-1)!.promise();
  const refused = Array(64).fill("no disk");
  assertEquals(answers, [...same(1, 64), ...refused, ...same(129, 192)]);
  const kept = [...same(1, 64), ...same(129, 192)];
  assertEquals([shownHistory(opened, "a"), shownHistory(crashed(opened), "a")], [kept, kept]);
  assertEquals(shownHistory(opened, "a", 65), kept.slice(-65));
});

Deno.test("if_sequence sets only what it names, 0 being nothing yet", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  const refused = await assertRejects(() => record.set("x", 1).promise(), PosternError);
  assertEquals([refused.code, refused.details], ["conflict", { sequence: 0 }]);
  assertEquals(shown(await record.set("1", 0).promise()), "1=1");
  const again = await assertRejects(() => record.set("x", 0).promise(), PosternError);
  assertEquals([again.code, again.details], ["conflict", { sequence: 1 }]);
  assertEquals(shown(await record.set("2", 1).promise()), "2=2");
  assertEquals(shownLatest(crashed(opened), "a"), "2=2");
});

Deno.test("of many who set the same sequence at once exactly one does", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  const answers = answersOf(range(1, 50).map((i) => record.set(String(i), 0)));
  await opened.log.drain();
  assertEquals(answers, ["1=1", ...Array(49).fill("conflict")]);
});

Deno.test("a conditional set waits for those in flight, and those behind it wait for it", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  const tickets = [
    record.set("1"),
    record.set("2"),
    record.set("3", 2),
    record.set("4"),
    record.set("5", 3),
    record.set("6", 4),
    record.set("7"),
  ];
  const answers = answersOf(tickets);
  await tickets.at(-1)!.promise();
  assertEquals(answers, ["1=1", "2=2", "3=3", "4=4", "conflict", "5=6", "6=7"]);
  assertEquals(shownLatest(crashed(opened), "a"), "6=7");
});

Deno.test("a conditional set behind one that failed is judged by what was stored", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  await record.set("1").promise();
  opened.store.failNext(new Error("no disk"));
  const tickets = [record.set("lost"), record.set("x", 2), record.set("2", 1), record.set("3")];
  const answers = answersOf(tickets);
  await tickets[3]!.promise();
  assertEquals(answers, ["no disk", "conflict", "2=2", "3=3"]);
});

Deno.test("a watcher that sets what it is told of sees every set in its order", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  const told: string[] = [];
  const answers: string[] = [];
  const set = (value: string) =>
    record.set(value).whenSettled((outcome) => outcome.ok && answers.push(shown(outcome.value)));
  record.watch({
    isReady: true,
    tell(update) {
      told.push(shown(update));
      if (update.sequence <= 4) set(String(update.sequence + 4));
    },
  }, true);
  for (const value of ["1", "2", "3", "4"]) set(value);
  await opened.log.drain();
  assertEquals([told, answers], [same(1, 8), same(1, 8)]);
});

Deno.test("a watcher is told what is there when it comes, if it wants that, and once only", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  const [early, keen, other] = [new NotingWatcher(), new NotingWatcher(), new NotingWatcher()];
  record.watch(early, true);
  await record.set("1").promise();
  record.watch(keen, true);
  record.watch(keen, true);
  record.watch(other, false);
  assertEquals([early.told, keen.told, other.told], [["1=1"], ["1=1"], []]);
  assertEquals(record.watcherCount, 3);
  record.unwatch(early);
  await record.set("2").promise();
  assertEquals([early.told, keen.told, other.told], [["1=1"], ["1=1", "2=2"], ["2=2"]]);
  assertEquals(record.watcherCount, 2);
});

Deno.test("a mailbox keeps the last value until somebody takes it, over a crash too", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "mailbox" });
  await record.set("1").promise();
  await record.set("2").promise();
  assertEquals([shownLatest(opened, "a"), shownLatest(crashed(opened), "a")], ["2=2", "2=2"]);
  const watcher = new NotingWatcher();
  record.watch(watcher, false);
  assertEquals([watcher.told, shownLatest(opened, "a"), record.sequence], [["2=2"], null, 2]);
  assertEquals(record.history(9), []);
  await opened.log.drain();
  const again = crashed(opened);
  const restored = again.records.get("test", "a");
  assertEquals([shownLatest(again, "a"), restored.sequence, restored.history(9)], [null, 2, []]);
  assertEquals(shown(await restored.set("3", 2).promise()), "3=3");
});

Deno.test("each value of a mailbox goes to one watcher, to each in turn, over those who are not ready", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "mailbox" });
  const watchers = [new NotingWatcher(), new NotingWatcher(), new NotingWatcher()];
  for (const watcher of watchers) record.watch(watcher, true);
  for (const value of ["1", "2", "3", "4"]) await record.set(value).promise();
  assertEquals(watchers.map(({ told }) => told), [["1=1", "4=4"], ["2=2"], ["3=3"]]);
  watchers[1]!.isReady = false;
  for (const value of ["5", "6"]) await record.set(value).promise();
  assertEquals(watchers.map(({ told }) => told.at(-1)), ["6=6", "2=2", "5=5"]);
});

Deno.test("a mailbox whose watchers are all busy keeps the newest value for the first that asks", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "mailbox" });
  const watcher = new NotingWatcher();
  watcher.isReady = false;
  const watch = opened.records.watch("a", watcher, true);
  for (const value of ["1", "2"]) await record.set(value).promise();
  watch.ready();
  assertEquals(watcher.told, []);
  watcher.isReady = true;
  watch.ready();
  watch.ready();
  assertEquals([watcher.told, record.latest], [["2=2"], null]);
});

Deno.test("a value that is taken while the next is on its way does not overwrite that one", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "mailbox" });
  const watcher = new NotingWatcher();
  record.watch(watcher, true);
  const begun = opened.store.commitBegins();
  const first = record.set("1");
  await begun;
  const second = record.set("2");
  await first.promise();
  record.unwatch(watcher);
  await second.promise();
  await opened.log.drain();
  assertEquals([watcher.told, shownLatest(opened, "a")], [["1=1"], "2=2"]);
  assertEquals(shownLatest(crashed(opened), "a"), "2=2");
});

Deno.test("a crash before a taking is on disk gives the value once more, and a later one not", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "mailbox" });
  await record.set("1").promise();
  const release = opened.store.holdCommits();
  record.watch(new NotingWatcher(), true);
  const early = crashed(opened);
  release();
  await opened.log.drain();
  assertEquals([shownLatest(early, "a"), shownLatest(crashed(opened), "a")], ["1=1", null]);
});

Deno.test("a value is kept to the letter, and a record has no value before its first", async () => {
  const opened = openRecords();
  const value = '{"n":1.50,"text":"\u{1f600} \\u0000","deep":[[]]}';
  const record = await define(opened, "a");
  assertEquals(shownLatest(crashed(opened), "a"), null);
  await record.set(value).promise();
  assert(shownLatest(crashed(opened), "a") === `1=${value}`);
});

for (const [capacity, chars] of [[2, 3], [7, 3], [100, 3], [150, 3], [10, 30_000]] as const) {
  Deno.test(`after every commit what is on disk of a ring of ${capacity} with ${chars} characters each is its last values, without a hole`, async () => {
    const opened = openRecords();
    const record = await define(opened, "a", { type: "spmc_ring", capacity });
    const holes: string[] = [];
    const { commit } = opened.store;
    opened.store.commit = async (batch) => {
      const outcome = await commit.call(opened.store, batch);
      const kept = crashed(opened).records.get("test", "a").history(1e6);
      const found = kept.map(({ sequence }) => sequence);
      const last = found.at(-1) ?? 0;
      const wanted = range(Math.max(1, last - capacity + 1), last);
      if (found.join() !== wanted.join()) holes.push(found.join());
      return outcome;
    };
    const commits = opened.store.batches.length;
    for (let round = 0; round < 5; round++) {
      const sets = range(1, capacity * 3).map(() => record.set("1".repeat(chars)));
      // More are set while some of these are on disk and others wait.
      await sets[capacity]!.promise();
    }
    await opened.log.drain();
    assertEquals(holes, []);
    assertEquals(record.sequence, capacity * 15);
    if (chars === 3) {
      assert(opened.store.batches.length - commits <= 5 * Math.ceil(capacity * 3 / 64) + 10);
    }
  });
}
