/** What a start makes of a store that is not as a stop in order left it. */

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { FORMAT } from "../../src/store/kv_store.ts";
import { newEvent } from "../support/new_event.ts";
import { batchOf, eventsOf, StorePlace, unitsOf } from "../support/test_store.ts";

async function filledStore(place: StorePlace, events: number): Promise<void> {
  const store = await place.open();
  for (let seq = 1; seq <= events; seq++) await store.commit(batchOf(unitsOf(seq, [newEvent()])));
  await place.close();
}

async function seqsIn(place: StorePlace): Promise<number[]> {
  return (await eventsOf(await place.open())).map(({ seq }) => seq);
}

function loud(place: StorePlace): string[] {
  return place.logged.filter(({ level }) => level === "error").map(({ message }) => message);
}

Deno.test("a store of a newer format is refused and left alone", async () => {
  await using place = new StorePlace();
  await filledStore(place, 2);
  await place.raw((kv) => kv.set(["meta"], { format: FORMAT + 1, epoch: "e" }));
  const error = await assertRejects(() => place.open(), PosternError);
  assertEquals(error.code, "unsupported_version");
  assertEquals(error.details, { format: FORMAT + 1, supported: FORMAT });
  assert(error.message.includes(String(FORMAT + 1)) && error.message.includes("newer"));
  await place.raw((kv) => kv.set(["meta"], { format: FORMAT, epoch: "e" }));
  assertEquals(await seqsIn(place), [1, 2]);
});

Deno.test("chunks whose block was never written are swept, and their seq is used by the next", async () => {
  await using place = new StorePlace();
  await filledStore(place, 3);
  await place.raw(async (kv) => {
    for (let i = 0; i < 17; i++) await kv.set(["chunk", 4, i], new Uint8Array(60 * 1024));
  });
  const store = await place.open();
  assertEquals(store.state.head, 3);
  const units = unitsOf(4, [newEvent({ chars: 100 * 1024 })]);
  await store.commit(batchOf(units));
  assertEquals((await place.keys()).filter((key) => key.startsWith("chunk")), [
    "chunk 4 0",
    "chunk 4 1",
  ]);
  assertEquals((await eventsOf(await place.open())).at(-1), units[0]!.events[0]);
  assertEquals(place.logged.map(({ level }) => level), ["info"]);
});

Deno.test("chunks that belong to a block are not swept", async () => {
  await using place = new StorePlace();
  const units = unitsOf(1, [newEvent({ chars: 200 * 1024 })]);
  await (await place.open()).commit(batchOf(units));
  for (let start = 0; start < 3; start++) {
    assertEquals(await eventsOf(await place.open()), [...units[0]!.events]);
  }
});

Deno.test("the head is kept though retention has taken every event", async () => {
  await using place = new StorePlace();
  await filledStore(place, 3);
  const store = await place.open();
  await store.commit(batchOf([], { droppedBlocks: store.state.blocks }));
  const again = await place.open();
  assertEquals([again.state.head, again.state.blocks, again.state.epoch], [3, [], "epoch-1"]);
});

Deno.test("a store that went back behind its hint begins a new epoch above it, and says so loudly", async () => {
  await using place = new StorePlace();
  await filledStore(place, 5);
  const earlier = await Deno.readFile(place.path);
  const store = await place.open();
  for (let seq = 6; seq <= 9; seq++) await store.commit(batchOf(unitsOf(seq, [newEvent()])));
  await place.close();
  await putBack(place, earlier);
  const again = await place.open();
  assertEquals([again.state.head, again.state.epoch], [9, "epoch-2"]);
  assertEquals((await eventsOf(again)).map(({ seq }) => seq), [1, 2, 3, 4, 5]);
  assertEquals(loud(place).length, 1);
  await again.commit(batchOf(unitsOf(10, [newEvent()])));
  const later = await place.open();
  assertEquals([later.state.head, later.state.epoch], [10, "epoch-2"]);
  assertEquals(loud(place).length, 1, "it is told once");
  assertEquals(place.hinted, { epoch: "epoch-2", head: 10 });
});

/** Puts an earlier state of the database in its place. */
async function putBack(place: StorePlace, database: Uint8Array): Promise<void> {
  for (const beside of ["-wal", "-shm"]) {
    await Deno.remove(place.path + beside).catch(() => {});
  }
  await Deno.writeFile(place.path, database);
}

Deno.test("a store of an earlier epoch that is put back is seen, too", async () => {
  await using place = new StorePlace();
  await filledStore(place, 5);
  const earlier = await Deno.readFile(place.path);
  place.hinted = { epoch: "epoch-1", head: 8 };
  await (await place.open()).commit(batchOf(unitsOf(9, [newEvent()])));
  assertEquals(place.hinted, { epoch: "epoch-2", head: 9 });
  await place.close();
  await putBack(place, earlier);
  const { state } = await place.open();
  assertEquals(
    [state.head, state.epoch],
    [9, "epoch-3"],
    "6 to 9 were used in epoch-1 and epoch-2",
  );
  assertEquals(loud(place).length, 2);
});

Deno.test("a crash between a new epoch and its hint costs no second epoch", async () => {
  await using place = new StorePlace();
  await filledStore(place, 5);
  place.hinted = { epoch: "epoch-1", head: 8 };
  await place.open();
  place.hinted = { epoch: "epoch-1", head: 8 };
  const { state } = await place.open();
  assertEquals([state.head, state.epoch], [8, "epoch-2"]);
});

Deno.test("a database that is lost beside its hint is a new log above the old one, and loud", async () => {
  await using place = new StorePlace();
  await filledStore(place, 5);
  for (const end of ["", "-wal", "-shm"]) await Deno.remove(place.path + end).catch(() => {});
  const { state } = await place.open();
  assertEquals([state.head, state.blocks], [5, []]);
  assertNotEquals(state.epoch, "epoch-1");
  assertEquals(loud(place).length, 1);
});

Deno.test("a fresh place, a lost hint and a hint that lags are nothing to speak of", async () => {
  await using place = new StorePlace();
  await filledStore(place, 5);
  for (const hinted of [null, { epoch: "epoch-1", head: 2 }, { epoch: "epoch-1", head: 5 }]) {
    place.hinted = hinted;
    assertEquals(await seqsIn(place), [1, 2, 3, 4, 5]);
    assertEquals((await place.open()).state.epoch, "epoch-1");
  }
  assertEquals(place.logged, []);
});

Deno.test("a block that overlaps the one before it is left out and reported", async () => {
  await using place = new StorePlace();
  const store = await place.open();
  await store.commit(batchOf(unitsOf(1, [newEvent(), newEvent(), newEvent()])));
  await place.raw(async (kv) => {
    const { value } = await kv.get(["log", 1]);
    await kv.set(["log", 2], value);
  });
  const again = await place.open();
  assertEquals(again.state.blocks.map(({ firstSeq }) => firstSeq), [1]);
  assertEquals(loud(place).length, 1);
  assertEquals((await eventsOf(again)).map(({ seq }) => seq), [1, 2, 3]);
});
