/** What goes on in the log while a commit or a read of the store is under way. */

import { assertEquals } from "@std/assert";
import { ALL_EVENTS } from "../../src/core/filter.ts";
import { readStretch } from "../../src/core/read.ts";
import { newEvent } from "../support/new_event.ts";
import { appendEach, appendOne, openTestLog, readAll, seekAll } from "../support/test_log.ts";
import { range } from "../support/expect.ts";

Deno.test("blocks that expire while they are being merged take no younger events with them", async () => {
  const opened = openTestLog({ retention: { maxAgeMs: 1000 } });
  const { log, store, clock } = opened;
  for (let i = 0; i < 63; i++) {
    await appendOne(log);
    clock.step(10);
  }
  await log.drain();
  await appendOne(log);
  // The log is idle now and begins to merge.
  const release = store.holdCommits();
  await store.commitBegins();
  assertEquals(store.batches.at(-1)!.merges.length, 1);
  clock.step(500);
  assertEquals(await seekAll(log), range(15, 64), "the oldest expire in the meantime");
  release();
  await log.drain();
  assertEquals(await seekAll(log), range(15, 64));
  await appendOne(log);
  log.tidy();
  await log.drain();
  assertEquals(await seekAll(log), range(15, 65));
  const { log: again } = opened.restarted();
  assertEquals(await seekAll(again), range(15, 65), "they are there after a restart, too");
});

Deno.test("a whole run that expires while it is being merged is deleted", async () => {
  const { log, store, clock } = openTestLog({ retention: { maxAgeMs: 1000 } });
  await appendEach(log, 63);
  await log.drain();
  await appendOne(log);
  const release = store.holdCommits();
  await store.commitBegins();
  clock.step(5000);
  assertEquals(await seekAll(log), []);
  release();
  await log.drain();
  log.tidy();
  await log.drain();
  assertEquals([store.blocks, log.counters.blocks, log.counters.bytes], [[], 0, 0]);
});

Deno.test("blocks read back before they were merged are not taken for what they became", async () => {
  const { log, store } = openTestLog({ memoryBytes: 20_000 });
  await appendOne(log, newEvent({ chars: 19_000 }));
  for (let i = 0; i < 20; i++) await appendOne(log, newEvent({ chars: 200 }));
  // Reading the first block back brings its neighbours along, which are still in memory.
  assertEquals((await seekAll(log)).length, 21);
  assertEquals(store.loads, 1);
  for (let i = 0; i < 50; i++) await appendOne(log, newEvent({ chars: 200 }));
  await log.drain();
  assertEquals(store.blocks.length < 40, true, "they were merged");
  for (let i = 0; i < 3; i++) await appendOne(log, newEvent({ chars: 19_000 }));
  assertEquals(await seekAll(log), range(1, 74));
  assertEquals(await log.count(1, 74, ALL_EVENTS), 74);
});

Deno.test("a reader whose block is dropped while it is read is told of the gap", async () => {
  const { log, store } = openTestLog({ memoryBytes: 0, retention: { maxEvents: 10 } });
  await appendEach(log, 10);
  const release = store.holdLoads();
  const begun = store.loadBegins();
  const reading = readStretch(log, { after: 0, filter: ALL_EVENTS, limit: 50 });
  const seeking = log.seek(2);
  await begun;
  await appendEach(log, 5);
  log.tidy();
  await log.drain();
  release();
  const stretch = await reading;
  assertEquals(stretch.gap, { from_seq: 1, to_seq: 5 });
  assertEquals(stretch.events[0]?.seq, 6);
  assertEquals((await seeking)?.seq, 6);
});

Deno.test("a reader of a log that is emptied while it is read comes to its end", async () => {
  const { log, store, clock } = openTestLog({ memoryBytes: 0, retention: { maxAgeMs: 1000 } });
  await appendEach(log, 10);
  const release = store.holdLoads();
  const begun = store.loadBegins();
  const seeking = log.seek(2);
  await begun;
  clock.step(5000);
  log.tidy();
  await log.drain();
  release();
  assertEquals(await seeking, { block: null, seq: 11 });
});

Deno.test("readers of one block share one read", async () => {
  const { log, store } = openTestLog({ memoryBytes: 0 });
  await appendEach(log, 5);
  await Promise.all(Array.from({ length: 20 }, () => log.seek(1)));
  assertEquals(store.loads, 1);
});

Deno.test("a failing read is told to its reader, and the next one tries again", async () => {
  const { log, store } = openTestLog({ memoryBytes: 0 });
  await appendEach(log, 5);
  const load = store.load.bind(store);
  store.load = () => Promise.reject(new Error("no disk"));
  const failures = await Promise.allSettled([log.seek(1), log.seek(1)]);
  assertEquals(failures.map(({ status }) => status), ["rejected", "rejected"]);
  store.load = load;
  assertEquals(await seekAll(log), range(1, 5));
});

Deno.test("a block that should be in the store and is not is an error, not a silent hole", async () => {
  const { log, store } = openTestLog({ memoryBytes: 0 });
  await appendEach(log, 5);
  store.load = () => Promise.resolve([]);
  const [outcome] = await Promise.allSettled([log.seek(1)]);
  assertEquals(outcome!.status, "rejected");
});

Deno.test("events that go in while a reader reads are for its next stretch", async () => {
  const { log, store } = openTestLog({ memoryBytes: 0 });
  await appendEach(log, 3);
  const release = store.holdLoads();
  const begun = store.loadBegins();
  const reading = readStretch(log, { after: 0, filter: ALL_EVENTS, limit: 50 });
  await begun;
  await appendEach(log, 3);
  release();
  assertEquals((await reading).events.map(({ seq }) => seq), [1, 2, 3]);
  assertEquals((await readAll(log)).events.length, 6);
});

Deno.test("a stretch ends at the head that there was, though a merged block reaches beyond it", async () => {
  const { log, store } = openTestLog({ memoryBytes: 30_000 });
  await appendOne(log, newEvent({ chars: 19_000 }));
  for (let i = 0; i < 60; i++) await appendOne(log, newEvent({ chars: 200 }));
  await log.drain();
  const release = store.holdLoads();
  const begun = store.loadBegins();
  const reading = readStretch(log, { after: 0, filter: ALL_EVENTS, limit: 500 });
  await begun;
  for (let i = 0; i < 10; i++) await appendOne(log, newEvent({ chars: 200 }));
  await log.drain();
  assertEquals(store.blocks.length < 20, true, "they were merged");
  release();
  assertEquals((await reading).events.map(({ seq }) => seq), range(1, 61));
  assertEquals((await readAll(log)).events.length, 71);
});
