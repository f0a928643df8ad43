/** The store on Deno KV: what goes in comes out, together or not at all, whatever its size. */

import { cursorsIn, cursorWrite } from "../../src/core/consumers.ts";
import { assert, assertEquals } from "@std/assert";
import type { LogEvent } from "../../src/core/event.ts";
import type { LogStore, Unit } from "../../src/core/ports.ts";
import { newEvent } from "../support/new_event.ts";
import { Random } from "../support/random.ts";
import {
  batchOf,
  blocksOf,
  eventsOf,
  plain,
  StorePlace,
  unitOf,
  unitsOf,
} from "../support/test_store.ts";

const KIB = 1024;

/** Commits units, and answers what a fresh start reads of them. */
async function readBack(place: StorePlace, units: readonly Unit[]): Promise<LogEvent[]> {
  const outcome = await (await place.open()).commit(batchOf(units));
  assertEquals([outcome.failure, outcome.storedUnits], [undefined, units.length]);
  assertEquals(plain(outcome.blocks.flatMap(({ events }) => events)), eventsIn(units));
  return await eventsOf(await place.open());
}

function eventsIn(units: readonly Unit[]): LogEvent[] {
  return units.flatMap(({ events }) => events);
}

/** An envelope of so many characters, `text` repeated. */
function filled(text: string, chars: number) {
  const event = newEvent();
  const payload = JSON.stringify(text.repeat(Math.ceil(chars / text.length)).slice(0, chars));
  return { ...event, envelope: event.envelope.replace(/"payload":.*$/, `"payload":${payload}}`) };
}

Deno.test("a store that is opened again has its events, cursors, dedup keys, head and epoch", async () => {
  await using place = new StorePlace();
  const store = await place.open();
  assertEquals(store.state, { epoch: "epoch-1", head: 0, blocks: [], documents: [], dedup: [] });
  const units = [
    unitOf(1, [newEvent({ topic: "a.b", kind: "query", payload: { a: [1, "é🚪\u2028\n"] } })]),
    unitOf(2, [newEvent({ dedupKey: "owner k", ttlMs: 5000 }), newEvent({ dedupKey: "owner l" })]),
    unitOf(4, [newEvent({ payload: null })], 2000),
  ];
  const cursor = { name: "c ö", ackedSeq: 3, deliveredBound: 9, lastSeenMs: 77 };
  const gone = { ...cursor, name: "gone" };
  await store.commit(batchOf(units, { documents: [cursor, gone].map(cursorWrite) }));
  await store.commit(batchOf([], { documents: [{ key: ["cursor", "gone"], content: null }] }));
  const again = await place.open();
  assertEquals(await eventsOf(again), eventsIn(units));
  assertEquals([again.state.epoch, again.state.head], ["epoch-1", 4]);
  assertEquals(cursorsIn(again.state.documents), [cursor]);
  assertEquals(again.state.dedup, units.flatMap(({ dedup }) => dedup));
  assertEquals(place.logged, []);
  assertEquals(place.hinted, { epoch: "epoch-1", head: 4 });
});

Deno.test("a block is described the same when it is made, when it is found and when it is read", async () => {
  await using place = new StorePlace();
  const made = [newEvent(), newEvent({ dedupKey: "k", ttlMs: 7 }), newEvent({ chars: 100 * KIB })];
  const { blocks } = await (await place.open()).commit(batchOf(unitsOf(1, made)));
  const store = await place.open();
  const described = blocks.map((
    { firstSeq, lastSeq, firstMs, lastMs, bytes, chunks, expiring },
  ) => (
    { firstSeq, lastSeq, firstMs, lastMs, bytes, chunks, expiring }
  ));
  assertEquals(store.state.blocks.map((info) => ({ ...info })), described);
  for (const [i, block] of (await blocksOf(store)).entries()) {
    assertEquals([block.bytes, block.dedup], [blocks[i]!.bytes, blocks[i]!.dedup]);
  }
});

for (const chars of [59 * KIB, 61_300, 61_400, 61_500, 64 * KIB, 65 * KIB, 120 * KIB, 1024 * KIB]) {
  for (const [name, text] of [["ASCII", "x"], ["é", "é"], ["€", "€"], ["🚪", "🚪"]] as const) {
    if (chars * (name === "ASCII" ? 1 : 2) > 1024 * KIB) continue;
    Deno.test(`an event of ${chars} characters of ${name} comes back whole`, async () => {
      await using place = new StorePlace();
      const units = unitsOf(1, [newEvent(), filled(text, chars), newEvent()]);
      assertEquals(await readBack(place, units), eventsIn(units));
    });
  }
}

Deno.test("events of all sizes in one commit come back in their order", async () => {
  await using place = new StorePlace();
  const random = new Random(5);
  const made = Array.from(
    { length: 60 },
    () => filled(random.pick(["x", "é", "€🚪"]), random.pick([1, 300, 9000, 61_000, 90_000])),
  );
  const units = unitsOf(1, made);
  assertEquals(await readBack(place, units), eventsIn(units));
});

Deno.test("units of one and of several events in one commit come back in their order", async () => {
  await using place = new StorePlace();
  const random = new Random(6);
  const units: Unit[] = [];
  for (let seq = 1; units.length < 120;) {
    const made = Array.from({ length: random.pick([1, 1, 1, 2, 40]) }, (_, i) =>
      newEvent({
        chars: random.between(200, 3000),
        dedupKey: random.oneIn(3) ? `key ${seq} ${i} ${"€".repeat(random.below(80))}` : null,
        ttlMs: random.oneIn(3) ? random.between(1, 1e9) : null,
      }));
    units.push(unitOf(seq, made));
    seq += made.length;
  }
  assertEquals(await readBack(place, units), eventsIn(units));
  const { dedup } = (await place.open()).state;
  assertEquals(dedup, units.flatMap((unit) => unit.dedup));
});

Deno.test("blocks that are larger in UTF-8 than in characters are split, and lose nothing", async () => {
  await using place = new StorePlace();
  const units = unitsOf(1, Array.from({ length: 300 }, () => filled("€", 200)));
  assertEquals(await readBack(place, units), eventsIn(units));
});

for (const firstSeq of [1, 12_345_678_901, 9_007_199_254_000_000]) {
  Deno.test(`small events that all have times to live fit their values, from seq ${firstSeq} on`, async () => {
    await using place = new StorePlace();
    const id = "ed25519." + "0123456789abcdef".repeat(2);
    const made = Array.from({ length: 1500 }, () => {
      const event = newEvent({ kind: "ack", ttlMs: 1_700_000_000_000.5 });
      return { ...event, envelope: event.envelope.replaceAll('"me"', `"${id}"`) };
    });
    const units = unitsOf(firstSeq, made);
    const outcome = await (await place.open()).commit(batchOf(units));
    assertEquals([outcome.failure, outcome.storedUnits], [undefined, 1500]);
    assertEquals(await eventsOf(await place.open()), eventsIn(units));
  });
}

Deno.test("a batch of 512 KiB is one atomic operation", async () => {
  for (const text of ["x", "€"]) {
    await using place = new StorePlace();
    const perEvent = text === "x" ? 980 : 326;
    const unit = unitOf(1, Array.from({ length: 430 }, () => filled(text, perEvent)));
    assertEquals(await readBack(place, [unit]), [...unit.events]);
    assertEquals(await versionsOf(place), 1, "one version stands on all of its blocks");
  }
});

/** How many atomic operations wrote the blocks that are there. */
async function versionsOf(place: StorePlace): Promise<number> {
  return await place.raw(async (kv) => {
    const versions = new Set<string>();
    for await (const { versionstamp } of kv.list({ prefix: ["log"] })) versions.add(versionstamp);
    return versions.size;
  });
}

Deno.test("of a batch that cannot be stored nothing is, what came before it is, and the next goes in", async () => {
  await using place = new StorePlace();
  const store = await place.open();
  const before = unitsOf(1, Array.from({ length: 12 }, () => newEvent({ chars: 58 * KIB })));
  // Beyond what Deno KV takes in one operation, whatever the operation allows.
  const tooLarge = unitOf(13, Array.from({ length: 20 }, () => newEvent({ chars: 58 * KIB })));
  const outcome = await store.commit(batchOf([...before, tooLarge]));
  assert(outcome.failure !== undefined);
  assertEquals(outcome.blocks.flatMap(({ events }) => events).length, outcome.storedUnits);
  assert(outcome.storedUnits < 13);
  const rest = eventsIn(before).slice(outcome.storedUnits);
  const next = outcome.storedUnits + 1;
  await store.commit(batchOf(unitsOf(next, [newEvent({ payload: "next" })])));
  const again = await place.open();
  assertEquals([again.state.head, (await eventsOf(again)).length], [next, next]);
  assert(rest.length <= 12 && place.logged.length === 0);
});

Deno.test("a commit that is more than one atomic operation takes goes in as several", async () => {
  await using place = new StorePlace();
  const made = Array.from({ length: 40 }, () => newEvent({ chars: 58 * KIB }));
  const units = unitsOf(1, made);
  assertEquals(await readBack(place, units), eventsIn(units));
  assert(await versionsOf(place) > 1);
});

Deno.test("documents and drops go in with the first of the events", async () => {
  await using place = new StorePlace();
  const store = await place.open();
  const { blocks } = await store.commit(batchOf(unitsOf(1, [newEvent({ chars: 200 * KIB })])));
  await store.commit(batchOf(unitsOf(2, [newEvent()]), { droppedBlocks: blocks }));
  assertEquals((await place.keys()).filter((key) => !key.startsWith("meta")), ["head", "log 2"]);
});

Deno.test("hundreds of dropped blocks with chunks go in one commit", async () => {
  await using place = new StorePlace();
  const store = await place.open();
  const dropped = [];
  for (let seq = 1; seq <= 64; seq++) {
    const { blocks } = await store.commit(batchOf(unitsOf(seq, [newEvent({ chars: 950 * KIB })])));
    dropped.push(...blocks);
  }
  const documents = Array.from(
    { length: 64 },
    (_, i) => cursorWrite({ name: `c${i}`, ackedSeq: 1, deliveredBound: 1, lastSeenMs: 1 }),
  );
  const units = unitsOf(65, [newEvent()]);
  const outcome = await store.commit(batchOf(units, { droppedBlocks: dropped, documents }));
  assertEquals([outcome.failure, outcome.restStored], [undefined, true]);
  const again = await place.open();
  assertEquals([again.state.blocks.length, again.state.documents.length], [1, 64]);
  assertEquals((await place.keys()).filter((key) => key.startsWith("chunk")), []);
});

Deno.test("merged blocks are one block with the same events, keys and times to live", async () => {
  await using place = new StorePlace();
  const store = await place.open();
  const run = [];
  for (let seq = 1; seq <= 40; seq++) {
    const event = newEvent({ dedupKey: seq % 3 ? null : `k${seq}`, ttlMs: seq % 5 ? null : 1000 });
    run.push(...(await store.commit(batchOf([unitOf(seq, [event], seq)]))).blocks);
  }
  const before = await eventsOf(await place.open());
  const { merged, restStored } = await (await place.open()).commit(batchOf([], { merges: [run] }));
  assertEquals([restStored, merged.length, plain(merged[0]!.events)], [true, 1, before]);
  const again = await place.open();
  assertEquals([again.state.blocks.length, await eventsOf(again)], [1, before]);
  assertEquals(again.state.dedup.map(({ seq }) => seq), [
    3,
    6,
    9,
    12,
    15,
    18,
    21,
    24,
    27,
    30,
    33,
    36,
    39,
  ]);
  assertEquals([again.state.blocks[0]!.firstMs, again.state.blocks[0]!.lastMs], [1, 40]);
});

Deno.test("events that are not kept move the head and leave nothing else", async () => {
  await using place = new StorePlace();
  const store = await place.open();
  const units = unitsOf(1, [newEvent(), newEvent({ chars: 200 * KIB })]);
  const outcome = await store.commit(batchOf(units, { keepEvents: false }));
  assertEquals(outcome.blocks.flatMap(({ events }) => events.length).length, 2);
  const again = await place.open();
  assertEquals([again.state.head, again.state.blocks], [2, []]);
  assertEquals(await place.keys(), ["head", "meta"]);
});

Deno.test("a block that is not there is not made up of the next one", async () => {
  await using place = new StorePlace();
  const store = await place.open();
  const first = await store.commit(batchOf(unitsOf(1, [newEvent()])));
  await store.commit(batchOf(unitsOf(2, [newEvent()]), { droppedBlocks: first.blocks }));
  assertEquals(await store.load(first.blocks[0]!, 16), []);
});

Deno.test("blocks are read ahead up to the limit", async () => {
  await using place = new StorePlace();
  const store = await place.open();
  for (let seq = 1; seq <= 20; seq++) await store.commit(batchOf(unitsOf(seq, [newEvent()])));
  const { state } = await place.open();
  const loaded = await (await place.open()).load(state.blocks[2]!, 16);
  assertEquals(loaded.map(({ firstSeq }) => firstSeq), Array.from({ length: 16 }, (_, i) => i + 3));
});

Deno.test("a hint that cannot be written does not make a stored event one that failed", async () => {
  await using place = new StorePlace();
  let writes = 0;
  const store: LogStore = await place.open({
    write() {
      if (writes++ > 0) throw new Error("no disk");
    },
  });
  const outcome = await store.commit(batchOf(unitsOf(1, [newEvent()])));
  assertEquals([outcome.failure, outcome.storedUnits], [undefined, 1]);
  assertEquals(place.logged.some(({ level }) => level === "warn" || level === "error"), true);
});
