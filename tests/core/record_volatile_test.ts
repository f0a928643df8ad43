/** Volatile records: told at once, kept nowhere, and yet no sequence is ever given twice. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { LiveRecord } from "../../src/core/record.ts";
import {
  crashed,
  define,
  NotingWatcher,
  openRecords,
  shown,
  shownHistory,
  shownLatest,
  stopped,
  type TestRecords,
} from "../support/test_records.ts";

/** How far ahead a bound lies, as it is stored. */
const STRIDE = 65_536;

function found({ records }: TestRecords): LiveRecord {
  return records.get("test", "a");
}

/** Sets so often, none of which may wait for the disk for ever. */
async function setMany(record: LiveRecord, count: number): Promise<void> {
  for (let i = 1; i < count; i++) record.set("0");
  await record.set("last").promise();
}

Deno.test("a set of a volatile record is answered and told at once, and writes nothing", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "spmc_ring", capacity: 3, volatile: true });
  const watcher = new NotingWatcher();
  record.watch(watcher, true);
  const { length } = opened.store.batches;
  for (const value of ["1", "2", "3", "4"]) {
    let answered = "";
    record.set(value).whenSettled((outcome) => answered = outcome.ok ? shown(outcome.value) : "");
    assertEquals([answered, watcher.told.at(-1)], [`${value}=${value}`, `${value}=${value}`]);
  }
  assertEquals(shownHistory(opened, "a"), ["2=2", "3=3", "4=4"]);
  assertEquals(opened.store.batches.length, length);
  assertEquals(opened.store.documents.map(({ key }) => key.join(" ")), ["record a"]);
});

Deno.test("after a stop in order the sequence goes on exactly where it was, the value is gone", async () => {
  let opened = openRecords();
  await define(opened, "a", { volatile: true });
  for (let round = 0; round < 3; round++) {
    await setMany(found(opened), 10);
    opened = await stopped(opened);
    const record = found(opened);
    assertEquals([record.sequence, record.latest, record.updatedMs], [
      (round + 1) * 10,
      null,
      null,
    ]);
  }
  assertEquals(found(await stopped(await stopped(opened))).sequence, 30);
});

Deno.test("a stop in order of a record that was never set leaves it at 0", async () => {
  const opened = openRecords();
  await define(opened, "a", { volatile: true });
  assertEquals(found(await stopped(opened)).sequence, 0);
});

Deno.test("after a crash no sequence is given again that was told, however many there were", async () => {
  let opened = openRecords();
  await define(opened, "a", { volatile: true });
  let told = 0;
  for (const count of [1, 10, STRIDE / 2 - 11, 1, 1, STRIDE, 3 * STRIDE + 7, 1]) {
    const record = found(opened);
    assert(record.sequence >= told, `${record.sequence} is behind ${told}`);
    await setMany(record, count);
    told = record.sequence;
    assertEquals(shownLatest(opened, "a"), `${told}=last`);
    opened = crashed(opened);
  }
  assert(found(opened).sequence >= told);
  assert(found(opened).sequence <= told + 2 * STRIDE, "no more is skipped than the bound is ahead");
});

Deno.test("at every sequence the bound on disk is not behind what was told", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { volatile: true });
  let waited = 0;
  for (let i = 0; i < 3 * STRIDE; i++) {
    let done = false;
    const set = record.set("0");
    set.whenSettled(() => done = true);
    if (!done) waited++;
    if (i % 1000 === 0) await opened.log.drain();
    const { bound } = opened.store.documents[0]!.fields;
    assert(record.sequence <= (bound as number), `${record.sequence} is beyond ${bound}`);
  }
  assertEquals(waited, 0, "the bound goes ahead early enough");
});

Deno.test("sets beyond the bound wait for the disk, and stay in their order", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { volatile: true });
  await setMany(record, STRIDE / 2);
  await opened.log.drain();
  const release = opened.store.holdCommits();
  const answers: number[] = [];
  for (let i = 0; i < 3 * STRIDE; i++) {
    record.set(String(i)).whenSettled((outcome) => {
      assert(outcome.ok);
      answers.push(outcome.value.sequence);
    });
  }
  const { bound } = opened.store.documents[0]!.fields;
  assertEquals([record.sequence, answers.length], [bound, (bound as number) - STRIDE / 2]);
  assert(found(crashed(opened)).sequence >= record.sequence);
  release();
  await opened.log.drain();
  assertEquals(answers, Array.from({ length: 3 * STRIDE }, (_, i) => STRIDE / 2 + i + 1));
  assert(found(crashed(opened)).sequence >= record.sequence);
});

Deno.test("whoever sets when he is told goes behind those who wait for the bound", async () => {
  const opened = openRecords();
  await define(opened, "a", { volatile: true });
  const again = await stopped(opened);
  const record = found(again);
  const watcher = new NotingWatcher();
  record.watch(watcher, true);
  const first = record.set("first");
  record.set("second");
  first.whenSettled(() => record.set("third"));
  await again.log.drain();
  assertEquals(watcher.told, ["1=first", "2=second", "3=third"]);
});

Deno.test("a bound that cannot be stored refuses only what is beyond the one on disk", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { volatile: true });
  await setMany(record, STRIDE / 2);
  for (let tries = 0; tries < 3; tries++) {
    opened.store.failNext(new Error("no disk"));
    await record.set("within").promise();
    await opened.log.drain();
  }
  opened.store.failNext(new Error("no disk"));
  while (record.sequence < STRIDE) await record.set("within").promise();
  await opened.log.drain();
  const beyond = crashed(opened);
  assert(found(beyond).sequence >= record.sequence);
  await record.set("again").promise();
  assert(found(crashed(opened)).sequence >= record.sequence);
});

Deno.test("while no bound can be stored sets beyond it are refused, and nothing is told of them", async () => {
  const opened = openRecords();
  await define(opened, "a", { volatile: true });
  await setMany(found(opened), 5);
  const again = await stopped(opened);
  const record = found(again);
  const watcher = new NotingWatcher();
  record.watch(watcher, true);
  again.store.failNext(new Error("no disk"));
  await assertRejects(() => record.set("x").promise(), Error, "no disk");
  assertEquals([record.sequence, watcher.told], [5, []]);
  assertEquals(shown(await record.set("y", 5).promise()), "6=y");
  assertEquals(watcher.told, ["6=y"]);
  assert(found(crashed(again)).sequence >= 6);
});

Deno.test("a volatile mailbox gives each value once, and writes nothing of it", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "mailbox", volatile: true });
  const { length } = opened.store.batches;
  await record.set("1").promise();
  const watcher = new NotingWatcher();
  record.watch(watcher, true);
  await record.set("2").promise();
  assertEquals([watcher.told, record.latest], [["1=1", "2=2"], null]);
  await opened.log.drain();
  assertEquals(opened.store.batches.length, length);
});

Deno.test("sets that wait for a bound on its way write nothing more", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { volatile: true });
  const puts = { bound: 0 };
  const { put } = opened.log;
  opened.log.put = (write) => {
    puts.bound++;
    return put.call(opened.log, write);
  };
  const release = opened.store.holdCommits();
  for (let i = 1; i <= STRIDE + 100; i++) record.set("0");
  const last = record.set("last");
  assertEquals(puts.bound, 2, "one for each half of a stride");
  release();
  assertEquals((await last.promise()).sequence, STRIDE + 101);
});
