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
  type TestDefinition,
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

Deno.test("a set that waits for a change is refused when its record is removed meanwhile", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "mailbox" });
  const watcher = new NotingWatcher();
  record.watch(watcher, true);
  const changing = define(opened, "a", { type: "mailbox", writable: true });
  const set = record.set("1");
  const removing = opened.records.remove(record);
  const error = await assertRejects(() => set.promise(), PosternError);
  assertEquals(error.code, "not_found");
  await Promise.all([changing, removing.promise()]);
  await opened.log.drain();
  assertEquals([watcher.told, keysOf(opened)], [[], []]);
});

Deno.test("a new definition is checked behind every set before it, and is in force once it is on disk", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  const { definition } = record;
  const seen: (string | undefined)[] = [];
  const schemaOf = () => seen.push(record.definition.schema ?? "none");
  const sets = [record.set("1"), record.set("2", 1), record.set("3", undefined, schemaOf)];
  const changing = opened.records.define(definitionOf("a", { schema: "true" }), ({ latest }) => {
    seen.push(latest?.value);
  });
  sets.push(record.set("4", undefined, schemaOf));
  const begun = opened.store.commitBegins();
  await sets[2]!.promise();
  assertEquals(seen, ["none", "3"]);
  await begun;
  assertEquals([record.definition, opened.records.find(definition.typeId)], [definition, record]);
  await changing.promise();
  await sets[3]!.promise();
  assertEquals(seen, ["none", "3", "true"]);
  assertEquals([record.definition.schema, shownLatest(opened, "a")], ["true", "4=4"]);
  assertEquals(opened.records.find(definition.typeId), undefined);
});

Deno.test("a new definition that is refused, by the check or the disk, lets what waits go on", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  const refusing = () => {
    throw new PosternError("conflict", "does not fit");
  };
  const changing = opened.records.define(definitionOf("a", { schema: "true" }), refusing);
  const set = record.set("1");
  assertEquals((await assertRejects(() => changing.promise(), PosternError)).code, "conflict");
  await set.promise();
  opened.store.failNext(NO_DISK);
  const failing = opened.records.define(definitionOf("a", { schema: "true" }));
  const behind = record.set("2");
  await assertRejects(() => failing.promise(), Error, "no disk");
  await behind.promise();
  assertEquals([record.definition.schema, shownLatest(opened, "a")], [null, "2=2"]);
  assertEquals(crashed(opened).records.get("test", "a").definition.schema, null);
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

Deno.test("a watch that ends while its record is removed is not told when that fails", async () => {
  const opened = openRecords();
  const record = await define(opened, "a");
  for (const pattern of ["a", "*"]) {
    const watcher = new NotingWatcher();
    const watch = opened.records.watch(pattern, watcher, false);
    opened.store.failNext(NO_DISK);
    const removing = opened.records.remove(record);
    watch.end();
    await assertRejects(() => removing.promise(), Error, "no disk");
    await record.set("1").promise();
    assertEquals([watcher.told, record.watcherCount], [[], 0]);
  }
});

Deno.test("only the name of a mailbox takes from it, and only who may", async () => {
  const opened = openRecords();
  const box = await define(opened, "a.box", { type: "mailbox" });
  await box.set("1").promise();
  const [pattern, refused, name] = range(1, 3).map(() => new NotingWatcher());
  opened.records.watch("a.*", pattern!, true);
  opened.records.watch("a.box", refused!, true, () => false).ready();
  assertEquals([shownLatest(opened, "a.box"), box.watcherCount], ["1=1", 0]);
  opened.records.watch("a.box", name!, true);
  assertEquals([pattern!.told, refused!.told, name!.told], [[], [], ["1=1"]]);
  await opened.records.remove(box).promise();
  // What is defined later under the names that are watched follows the same rule.
  const anew = await define(opened, "a.box", { type: "mailbox" });
  await anew.set("2").promise();
  assertEquals([pattern!.told, refused!.told, name!.told], [[], [], ["1=1", "1=2"]]);
});

Deno.test("reading a computed record tells its watchers nothing, however often", async () => {
  const opened = openRecords();
  const record = await define(opened, "aimx.x", { volatile: true });
  let calls = 0;
  await opened.records.compute(record, () => String(++calls)).promise();
  const watcher = new NotingWatcher();
  opened.records.watch("aimx.x", watcher, true);
  const read = range(1, 100).map(() => shownLatest(opened, "aimx.x"));
  assertEquals([new Set(read), watcher.told, calls], [new Set(["2=2"]), ["2=2"], 2]);
  opened.records.refreshWatched();
  assertEquals([watcher.told, shownLatest(opened, "aimx.x")], [["2=2", "3=3"], "3=3"]);
});

Deno.test("schemas are in the account of all values, at a define and a redefine, and leave it with their record", async () => {
  const opened = openRecords();
  const text = (mebi: number) => JSON.stringify("x".repeat(mebi * 1024 * 1024 - 2));
  const ring = await define(opened, "ring", { type: "spmc_ring", capacity: 64, volatile: true });
  for (let i = 0; i < 63; i++) await ring.set(text(1)).promise();
  const half = "x".repeat(512 * 1024);
  const kept = await define(opened, "kept", { schema: half });
  const full = async (definition: TestDefinition, name: string) => {
    const error = await assertRejects(
      async () => await define(opened, name, definition),
      PosternError,
    );
    assertEquals([error.code, error.details], ["storage_full", { limit: MAX_VALUE_CHARS }]);
  };
  await full({ schema: half + "xx" }, "other");
  await full({ schema: half + half + "x" }, "kept");
  opened.store.failNext(NO_DISK);
  await assertRejects(() => define(opened, "other", { schema: half }), Error, "no disk");
  const other = await define(opened, "other", { schema: half });
  await full({ schema: "x" }, "third");
  for (const { records } of [opened, crashed(opened)]) assertEquals(records.list().length, 3);
  await opened.records.remove(other).promise();
  await define(opened, "kept", { schema: half + half });
  await full({ schema: "x" }, "third");
  await define(opened, "kept", { schema: null });
  await define(opened, "third", { schema: half + half });
  assertEquals(kept.definition.schema, null);
});

Deno.test("values on their way are in the account, and a smaller one may always take a larger one's place", async () => {
  const opened = openRecords();
  const value = JSON.stringify("x".repeat(1024 * 1024 - 2));
  const ring = await define(opened, "ring", { type: "spmc_ring", capacity: 64 });
  const sets = range(1, 64).map(() => ring.set(value));
  const latest = await define(opened, "latest");
  await assertRejects(() => latest.set("1").promise(), PosternError, "at most 67108864");
  await Promise.all(sets.map((set) => set.promise()));
  await assertRejects(() => latest.set("1").promise(), PosternError, "at most 67108864");
  assertEquals((await ring.set(value).promise()).sequence, 65);
  await ring.set(value.slice(0, -2) + '"').promise();
  assertEquals((await latest.set("1").promise()).sequence, 1);
  opened.store.failNext(NO_DISK);
  await assertRejects(() => ring.set("1").promise(), Error, "no disk");
  await assertRejects(() => latest.set("12").promise(), PosternError, "at most 67108864");
});

Deno.test("all values together are bounded; overwriting and removing make room, a crash keeps the account", async () => {
  const opened = openRecords();
  const ring = await define(opened, "ring", { type: "spmc_ring", capacity: 64, volatile: true });
  const value = JSON.stringify("x".repeat(1024 * 1024 - 2));
  for (let i = 0; i < 63; i++) await ring.set(value).promise();
  const box = await define(opened, "box", { type: "mailbox" });
  await box.set(value).promise();
  const latest = await define(opened, "latest");
  const empty = await define(opened, "empty");
  const refused = async () => {
    const error = await assertRejects(() => empty.set("1").promise(), PosternError);
    assertEquals([error.code, error.details], ["storage_full", { limit: MAX_VALUE_CHARS }]);
  };
  await refused();
  box.watch(new NotingWatcher(), true);
  await latest.set(value).promise();
  await refused();
  const again = crashed(opened);
  const full = await define(again, "full", { type: "spmc_ring", capacity: 64, volatile: true });
  for (let i = 0; i < 63; i++) await full.set(value).promise();
  const other = again.records.get("test", "empty");
  await assertRejects(() => other.set("1").promise(), PosternError, "at most 67108864 characters");
  await opened.records.remove(ring).promise();
  for (let i = 0; i < 200; i++) await latest.set(value).promise();
  assertEquals(latest.sequence, 201);
});
