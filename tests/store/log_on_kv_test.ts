/** The log over its real store: merged, retained and read back, a restart finds what was there. */

import { assert, assertEquals } from "@std/assert";
import { Consumers } from "../../src/core/consumers.ts";
import { ALL_EVENTS } from "../../src/core/filter.ts";
import { EventLog, type Retention } from "../../src/core/log.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { range } from "../support/expect.ts";
import { newEvent } from "../support/new_event.ts";
import { Random } from "../support/random.ts";
import { appendEach, appendOne, readAll, seekAll } from "../support/test_log.ts";
import { StorePlace } from "../support/test_store.ts";

const KEEPS_ALL: Retention = { maxEvents: 1e6, maxBytes: 1e9, maxAgeMs: 1e12 };

async function openLog(
  place: StorePlace,
  { retention = KEEPS_ALL, clock = new FakeClock() } = {},
): Promise<EventLog> {
  return new EventLog(await place.open(), { clock, retention, memoryBytes: 200_000 });
}

Deno.test("events that went in one by one are in few blocks, and a restart reads them all", async () => {
  await using place = new StorePlace();
  const log = await openLog(place);
  await appendEach(log, 400);
  await log.drain();
  assertEquals(await seekAll(log), range(1, 400));
  const again = await openLog(place);
  assert(again.counters.blocks < 60, `${again.counters.blocks} blocks`);
  assertEquals(await seekAll(again), range(1, 400));
  assertEquals(await again.count(1, 400, ALL_EVENTS), 400);
  assertEquals(place.logged, []);
});

Deno.test("the same events are read before and after each of many restarts", async () => {
  await using place = new StorePlace();
  const random = new Random(21);
  const retention = { maxEvents: 150, maxBytes: 400_000, maxAgeMs: 1e12 };
  const clock = new FakeClock();
  for (let start = 0; start < 8; start++) {
    const log = await openLog(place, { retention, clock });
    for (let step = 0; step < 60; step++) {
      const made = Array.from({ length: random.pick([1, 1, 7]) }, () =>
        newEvent({
          chars: random.oneIn(30) ? 90_000 : random.between(200, 4000),
          dedupKey: random.oneIn(4) ? `k${random.below(1e6)}` : null,
        }));
      await log.append(made).promise();
      clock.step(10);
    }
    log.tidy();
    await log.drain();
    const before = await readAll(log);
    const again = await openLog(place, { retention, clock });
    const after = await readAll(again);
    assertEquals(
      after.events.map(({ envelope }) => envelope),
      before.events.map(({ envelope }) => envelope),
    );
    assertEquals([after.gaps, again.head], [before.gaps, log.head]);
    assertEquals(again.counters.dedup_keys, log.counters.dedup_keys);
  }
  assertEquals(place.logged, []);
});

Deno.test("what retention dropped is gone from the disk, chunks too", async () => {
  await using place = new StorePlace();
  const log = await openLog(place, { retention: { ...KEEPS_ALL, maxEvents: 3 } });
  for (let i = 0; i < 10; i++) await appendOne(log, newEvent({ chars: 100_000 }));
  log.tidy();
  await log.drain();
  const keys = await place.keys();
  assertEquals(keys.filter((key) => key.startsWith("log")), ["log 8", "log 9", "log 10"]);
  assertEquals(keys.filter((key) => key.startsWith("chunk")).length, 6);
});

Deno.test("a consumer goes on where it acked, and a dedup key is known, after a restart", async () => {
  await using place = new StorePlace();
  const clock = new FakeClock();
  const log = await openLog(place, { clock });
  const consumers = new Consumers(log, { clock, documents: [] });
  await appendOne(log, newEvent({ dedupKey: "owner k" }));
  await appendEach(log, 5);
  const one = consumers.open("c");
  await one.reserve(6)?.promise();
  one.delivered(6);
  await one.ack(4).promise();
  const again = await openLog(place, { clock });
  const { state } = await place.open();
  const found = new Consumers(again, { clock, documents: state.documents }).find("c")!;
  assertEquals([found.ackedSeq, found.deliveredSeq], [4, 6]);
  assertEquals(state.dedup.map(({ key, seq }) => [key, seq]), [["owner k", 1]]);
});
