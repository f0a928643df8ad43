/** All records of a daemon: defining, finding, removing and watching them, and how many there may be. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { MAX_RECORDS, MAX_VALUE_CHARS } from "../../src/core/records.ts";
import { range } from "../support/expect.ts";
import {
  crashed,
  define,
  definitionOf,
  NotingWatcher,
  openRecords,
  shown,
  shownHistory,
  shownLatest,
  stopped,
  type TestRecords,
} from "../support/test_records.ts";

const NO_DISK = new Error("no disk");

function namesOf({ records }: TestRecords): string[] {
  return records.list().map(({ definition }) => definition.name);
}

/** Keys of documents that are stored, as text. */
function keysOf({ store }: TestRecords): string[] {
  return store.documents.map(({ key }) => key.join(" ")).sort();
}

Deno.test("a record is there once its definition is on disk, and stays over a restart as it was", async () => {
  const opened = openRecords();
  const release = opened.store.holdCommits();
  const defining = define(opened, "b", {
    type: "spmc_ring",
    capacity: 5,
    schema: '{"type":"number"}',
    writable: true,
  });
  assertEquals([namesOf(opened), opened.records.find("b")], [[], undefined]);
  release();
  const record = await defining;
  await define(opened, "a", { volatile: true });
  assertEquals(namesOf(opened), ["a", "b"]);
  assert(opened.records.find("b") === record);
  assert(opened.records.find(record.definition.typeId) === record, "found by its type id");
  opened.clock.step(5000);
  for (const again of [crashed(opened), await stopped(opened)]) {
    assertEquals(namesOf(again), ["a", "b"]);
    const restored = again.records.get("test", record.definition.typeId);
    assertEquals(restored.definition, record.definition);
    assertEquals([restored.createdAtMs, restored.sequence, restored.latest], [1_000_000, 0, null]);
  }
});

Deno.test("what is not there is not_found, with the name that was asked for", () => {
  const error = assertThrows(() => openRecords().records.get("record.get", "x"), PosternError);
  assertEquals([error.code, error.message], [
    "not_found",
    'record.get: there is no record "x"',
  ]);
});

Deno.test("the same definition again changes nothing, and writes nothing", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { schema: "true" });
  await record.set("1").promise();
  const { length } = opened.store.batches;
  assert(await define(opened, "a", { schema: "true" }) === record);
  assertEquals([opened.store.batches.length, shownLatest(opened, "a")], [length, "1=1"]);
});

Deno.test("schema and opt-in may change, and the type id with them; the value stays", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  const before = record.definition.typeId;
  await record.set("1").promise();
  assert(await define(opened, "a", { schema: "true", writable: true }) === record);
  for (const { records } of [opened, crashed(opened)]) {
    assertEquals(records.find(before), undefined);
    const found = records.get("test", record.definition.typeId);
    assertEquals([found.definition.schema, found.definition.writable], ["true", true]);
    assertEquals(shown(found.latest!), "1=1");
  }
});

Deno.test("another buffer, capacity or volatility under the same name is a conflict", async () => {
  const opened = openRecords();
  await define(opened, "a", { type: "spmc_ring", capacity: 5 });
  for (
    const other of [
      { type: "single_latest" },
      { type: "mailbox" },
      { type: "spmc_ring", capacity: 6 },
      { type: "spmc_ring", capacity: 5, volatile: true },
    ] as const
  ) {
    const error = assertThrows(() => opened.records.define(definitionOf("a", other)), PosternError);
    assertEquals(error.code, "conflict");
    assertEquals(error.details, {
      buffer_type: "spmc_ring",
      buffer_capacity: 5,
      volatile: false,
    });
  }
});

Deno.test("a definition that cannot be stored leaves no record", async () => {
  const opened = openRecords();
  opened.store.failNext(NO_DISK);
  await assertRejects(() => define(opened, "a"), Error, "no disk");
  assertEquals([namesOf(opened), namesOf(crashed(opened))], [[], []]);
  assertEquals((await define(opened, "a", { type: "mailbox" })).definition.bufferType, "mailbox");
});

Deno.test("whoever defines what is being defined is answered once it is on disk, and not before", async () => {
  const opened = openRecords();
  const release = opened.store.holdCommits();
  const first = opened.records.define(definitionOf("a"));
  const second = opened.records.define(definitionOf("a"));
  const third = opened.records.define(definitionOf("a", { type: "mailbox" }));
  let answered = 0;
  for (const ticket of [first, second, third]) ticket.whenSettled(() => answered++);
  await Promise.resolve();
  assertEquals(answered, 0);
  release();
  assert(await first.promise() === await second.promise());
  const error = await assertRejects(() => third.promise(), PosternError);
  assertEquals(error.code, "conflict");
});

Deno.test("when the first of two definitions fails the second is made", async () => {
  const opened = openRecords();
  opened.store.failNext(NO_DISK);
  const first = opened.records.define(definitionOf("a"));
  const second = opened.records.define(definitionOf("a", { type: "mailbox" }));
  await assertRejects(() => first.promise(), Error, "no disk");
  assertEquals((await second.promise()).definition.bufferType, "mailbox");
  assertEquals(crashed(opened).records.get("test", "a").definition.bufferType, "mailbox");
});

Deno.test("a change that cannot be stored is taken back, the type id too", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  const { definition } = record;
  opened.store.failNext(NO_DISK);
  const changes = ["true", "false"].map((schema) =>
    opened.records.define(definitionOf("a", { schema }))
  );
  opened.store.failNext(NO_DISK);
  for (const change of changes) await assertRejects(() => change.promise(), Error, "no disk");
  assertEquals([record.definition, opened.records.find(definition.typeId)], [definition, record]);
  for (const schema of ["true", "false"]) {
    assertEquals(opened.records.find(definitionOf("a", { schema }).typeId), undefined);
  }
  assertEquals(crashed(opened).records.get("test", "a").definition, definition);
});

Deno.test("a record that is removed is gone with all its values, and begins at 1 when defined anew", async () => {
  const opened = openRecords();
  for (const type of ["single_latest", "spmc_ring", "mailbox"] as const) {
    const capacity = type === "spmc_ring" ? 150 : 1;
    const record = await define(opened, "a", { type, capacity });
    await Promise.all(range(1, 200).map((i) => record.set(String(i)).promise()));
    await opened.records.remove(record).promise();
    assertEquals([namesOf(opened), keysOf(opened), namesOf(crashed(opened))], [[], [], []]);
    assertEquals(opened.records.find(record.definition.typeId), undefined);
    const anew = await define(opened, "a", { type, capacity });
    assertEquals([anew.sequence, anew.latest], [0, null]);
    assertEquals(shown(await anew.set("x", 0).promise()), "1=x");
    assertEquals(shownHistory(crashed(opened), "a"), ["1=x"]);
    await opened.records.remove(anew).promise();
  }
});

Deno.test("records that never had a value, and volatile ones, can be removed too", async () => {
  const opened = openRecords();
  const records = [await define(opened, "a"), await define(opened, "b", { volatile: true })];
  await records[1]!.set("1").promise();
  for (const record of records) await opened.records.remove(record).promise();
  assertEquals([namesOf(opened), keysOf(opened)], [[], []]);
});

Deno.test("a definition behind a removal waits for it, and finds nothing of the old record", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "spmc_ring", capacity: 100 });
  await Promise.all(range(1, 100).map((i) => record.set(String(i)).promise()));
  const removing = opened.records.remove(record);
  const defining = define(opened, "a", { type: "mailbox" });
  assertEquals(namesOf(opened), []);
  await removing.promise();
  const anew = await defining;
  assert(anew !== record);
  await opened.log.drain();
  assertEquals(keysOf(opened), ["record a"]);
  assertEquals(crashed(opened).records.get("test", "a").sequence, 0);
});

Deno.test("sets on their way when their record is removed leave nothing on disk or in the account", async () => {
  for (const type of ["single_latest", "spmc_ring", "mailbox"] as const) {
    const opened = openRecords();
    const capacity = type === "spmc_ring" ? 100 : 1;
    const record = await define(opened, "a", { type, capacity });
    const watcher = new NotingWatcher();
    record.watch(watcher, true);
    const begun = opened.store.commitBegins();
    const sets = [record.set("1")];
    await begun;
    sets.push(...range(2, 150).map((i) => record.set(String(i))));
    const waiting = record.set("waits", 150);
    const removing = opened.records.remove(record);
    const late = record.set("late");
    for (const refused of [waiting, late]) {
      const error = await assertRejects(() => refused.promise(), PosternError);
      assertEquals(error.code, "not_found");
    }
    await Promise.all(sets.map((set) => set.promise()));
    await removing.promise();
    await opened.log.drain();
    assertEquals(keysOf(opened), [], type);
    assertEquals(record.history(1000), []);
    const anew = await define(opened, "a", { type, capacity });
    assertEquals([anew.sequence, crashed(opened).records.get("test", "a").sequence], [0, 0]);
  }
});

Deno.test("a value that is taken from a mailbox after its removal leaves nothing on disk", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "mailbox" });
  const watcher = new NotingWatcher();
  record.watch(watcher, true);
  const begun = opened.store.commitBegins();
  await define(opened, "other");
  await begun;
  // The change and then the removal go before the value, which does not fit into the same commit.
  const changing = define(opened, "a", { type: "mailbox", writable: true });
  const set = record.set(JSON.stringify("x".repeat(120_000)));
  const removing = opened.records.remove(record);
  await Promise.all([changing, set.promise(), removing.promise()]);
  await opened.log.drain();
  assertEquals([watcher.told.length, keysOf(opened)], [1, ["record other"]]);
});

Deno.test("a definition behind a change and a removal waits for the removal", async () => {
  const opened = openRecords();
  const ring = { type: "spmc_ring", capacity: 150 } as const;
  const record = await define(opened, "a", ring);
  await Promise.all(range(1, 150).map((i) => record.set(String(i)).promise()));
  const begun = opened.store.commitBegins();
  const changing = define(opened, "a", { ...ring, writable: true });
  await begun;
  const removing = opened.records.remove(record);
  await changing;
  const defining = define(opened, "a", ring);
  // The definition goes, its values do not at first.
  await opened.store.commitBegins();
  opened.store.failNext(NO_DISK);
  await removing.promise();
  assert(await defining !== record);
  await opened.log.drain();
  assertEquals(keysOf(opened), ["record a"]);
});

Deno.test("a removal that cannot be stored leaves the record as it was, and usable", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "spmc_ring", capacity: 100 });
  const watcher = new NotingWatcher();
  opened.records.watch("*", watcher, false);
  await Promise.all(range(1, 100).map((i) => record.set(String(i)).promise()));
  opened.store.failNext(NO_DISK);
  await assertRejects(() => opened.records.remove(record).promise(), Error, "no disk");
  assert(opened.records.find("a") === record && opened.records.find(record.definition.typeId));
  assertEquals(shown(await record.set("101").promise()), "101=101");
  assertEquals(watcher.told.at(-1), "101=101");
  const kept = range(2, 101).map((i) => `${i}=${i}`);
  assertEquals([shownHistory(opened, "a"), shownHistory(crashed(opened), "a")], [kept, kept]);
});

Deno.test("values that cannot be deleted keep their name taken, and never appear again", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "spmc_ring", capacity: 150 });
  await Promise.all(range(1, 150).map((i) => record.set(String(i)).promise()));
  const begun = opened.store.commitBegins();
  const removing = opened.records.remove(record);
  await begun;
  opened.store.failNext(NO_DISK);
  await removing.promise();
  await opened.log.drain();
  assertEquals([namesOf(opened), namesOf(crashed(opened))], [[], []]);
  opened.store.failNext(NO_DISK);
  await assertRejects(() => define(opened, "a"), Error, "no disk");
  await opened.log.drain();
  const anew = await define(opened, "a", { type: "spmc_ring", capacity: 150 });
  assertEquals([anew.sequence, keysOf(opened)], [0, ["record a"]]);
});

Deno.test("what a crash leaves of a removal is swept at the next start", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "spmc_ring", capacity: 100 });
  await Promise.all(range(1, 100).map((i) => record.set(String(i)).promise()));
  await opened.log.put({ key: ["record", "a"], content: null }).promise();
  const again = crashed(opened);
  assertEquals(namesOf(again), []);
  await again.log.drain();
  assertEquals(keysOf(again), []);
});

Deno.test("a watch by pattern tells what there is, what comes, and what is defined later", async () => {
  const opened = openRecords();
  const [a, other] = [await define(opened, "sensor.a"), await define(opened, "other")];
  await a.set("1").promise();
  await other.set("1").promise();
  const watcher = new NotingWatcher();
  const watch = opened.records.watch("sensor.*", watcher, true);
  const b = await define(opened, "sensor.b");
  await b.set("2").promise();
  await other.set("2").promise();
  await define(opened, "sensor.b.c").then((record) => record.set("3").promise());
  assertEquals(watcher.updates.map(({ name, value }) => `${name} ${value}`), [
    "sensor.a 1",
    "sensor.b 2",
  ]);
  assertEquals([a.watcherCount, b.watcherCount, other.watcherCount], [1, 1, 0]);
  watch.end();
  await a.set("4").promise();
  await define(opened, "sensor.d").then((record) => record.set("5").promise());
  assertEquals([watcher.told.length, a.watcherCount, b.watcherCount], [2, 0, 0]);
});

Deno.test("a watch goes on over a removal, with the record that is defined next under the name", async () => {
  const opened = openRecords();
  const watcher = new NotingWatcher();
  opened.records.watch("a", watcher, true);
  for (const value of ["1", "2"]) {
    const record = await define(opened, "a");
    assertEquals(record.watcherCount, 1);
    await record.set(value).promise();
    await opened.records.remove(record).promise();
    assertEquals(record.watcherCount, 0);
  }
  assertEquals(watcher.told, ["1=1", "1=2"]);
});

Deno.test("a watch of two patterns that both match is told once", async () => {
  const opened = openRecords();
  const record = await define(opened, "a.b");
  await record.set("1").promise();
  const watcher = new NotingWatcher();
  for (const pattern of ["a.*", "a.b"]) opened.records.watch(pattern, watcher, true);
  await record.set("2").promise();
  assertEquals(watcher.told, ["1=1", "2=2"]);
});

Deno.test("a computed record is computed when it is read and while it is watched", async () => {
  const opened = openRecords();
  const record = await define(opened, "aimx.x", { volatile: true });
  let calls = 0;
  await opened.records.compute(record, () => String(++calls)).promise();
  assertEquals([shownLatest(opened, "aimx.x"), shownLatest(opened, "aimx.x")], ["2=2", "3=3"]);
  opened.records.refreshWatched();
  assertEquals(calls, 3);
  const watcher = new NotingWatcher();
  const watch = opened.records.watch("aimx.>", watcher, true);
  opened.records.refreshWatched();
  watch.end();
  opened.records.refreshWatched();
  assertEquals(watcher.told, ["4=4", "5=5"]);
});

Deno.test(`there are at most ${MAX_RECORDS} records, and removing one makes room`, async () => {
  const opened = openRecords();
  const defining = range(1, MAX_RECORDS).map((i) => opened.records.define(definitionOf(`r${i}`)));
  for (let stored = false; !stored; stored = namesOf(opened).length === MAX_RECORDS) {
    const error = assertThrows(() => opened.records.define(definitionOf("more")), PosternError);
    assertEquals([error.code, error.details], ["too_many", { limit: MAX_RECORDS }]);
    await opened.log.drain();
  }
  const first = await defining[0]!.promise();
  assert(await define(opened, "r1") === first, "the same definition again is no new record");
  await define(opened, "r1", { writable: true });
  const removing = opened.records.remove(first);
  const error = assertThrows(() => opened.records.define(definitionOf("more")), PosternError);
  assertEquals(error.code, "too_many");
  await removing.promise();
  await define(opened, "more");
  assertEquals(crashed(opened).records.list().length, MAX_RECORDS);
});

Deno.test("all values together are bounded; overwriting and removing make room, a crash keeps the account", async () => {
  const opened = openRecords();
  const ring = await define(opened, "ring", { type: "spmc_ring", capacity: 64, volatile: true });
  const value = JSON.stringify("x".repeat(1024 * 1024 - 2));
  for (let i = 0; i < 63; i++) await opened.records.set(ring, value).promise();
  const box = await define(opened, "box", { type: "mailbox" });
  await opened.records.set(box, value).promise();
  const latest = await define(opened, "latest");
  const refused = () => {
    const error = assertThrows(() => opened.records.set(latest, "1"), PosternError);
    assertEquals([error.code, error.details], ["storage_full", { limit: MAX_VALUE_CHARS }]);
  };
  refused();
  box.watch(new NotingWatcher(), true);
  await opened.records.set(latest, value).promise();
  refused();
  const again = crashed(opened);
  const full = await define(again, "full", { type: "spmc_ring", capacity: 64, volatile: true });
  for (let i = 0; i < 63; i++) await again.records.set(full, value).promise();
  assertThrows(() => again.records.set(full, value), PosternError, "at most 67108864 characters");
  await opened.records.remove(ring).promise();
  for (let i = 0; i < 200; i++) await opened.records.set(latest, value).promise();
  assertEquals(latest.sequence, 201);
});
