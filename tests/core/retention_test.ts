/** What the log keeps: by count, bytes, age and time to live, to the event exactly. */

import { assertEquals } from "@std/assert";
import { ALL_EVENTS, Filter } from "../../src/core/filter.ts";
import type { EventLog } from "../../src/core/log.ts";
import type { Block, Kind, LogEvent } from "../../src/core/event.ts";
import { newEvent } from "../support/new_event.ts";
import { Random } from "../support/random.ts";
import { appendEach, appendOne, openTestLog, readAll, seekAll } from "../support/test_log.ts";
import { range } from "../support/expect.ts";

async function seqs(log: EventLog): Promise<number[]> {
  return (await readAll(log)).events.map(({ seq }) => seq);
}

Deno.test("by count the newest stay, though they share a block with older ones", async () => {
  const { log, store } = openTestLog({ retention: { maxEvents: 3 } });
  await log.append(Array.from({ length: 10 }, () => newEvent())).promise();
  assertEquals(store.blocks.length, 1);
  assertEquals(await readAll(log), { events: (await readAll(log)).events, gaps: [[1, 7]] });
  assertEquals([await seqs(log), log.counters.front], [[8, 9, 10], 8]);
  await appendOne(log);
  assertEquals(await seqs(log), [9, 10, 11]);
});

Deno.test("by bytes the newest stay that fit together", async () => {
  const { log } = openTestLog({ retention: { maxBytes: 1000 } });
  await log.append(Array.from({ length: 6 }, () => newEvent({ chars: 300 }))).promise();
  assertEquals(await seqs(log), [4, 5, 6]);
  await appendOne(log, newEvent({ chars: 400 }));
  assertEquals(await seqs(log), [5, 6, 7], "exactly as many bytes as allowed fit");
  await appendOne(log, newEvent({ chars: 600 }));
  assertEquals(await seqs(log), [7, 8], "400 + 600 bytes fit, another 300 do not");
  await appendOne(log, newEvent({ chars: 1001 }));
  assertEquals(await seqs(log), [9], "the newest stays, though it is too large alone");
});

Deno.test("by age an event goes when it has been there that long", async () => {
  const { log, clock } = openTestLog({ retention: { maxAgeMs: 1000 } });
  await appendOne(log);
  clock.step(400);
  await appendOne(log);
  clock.step(599);
  assertEquals(await seqs(log), [1, 2]);
  clock.step(1);
  assertEquals(await seqs(log), [2]);
  clock.step(400);
  assertEquals([await seqs(log), log.counters.front, log.counters.blocks], [[], 3, 0]);
});

Deno.test("by age it is to the event, though merging put events of many times in one block", async () => {
  const { log, clock, store } = openTestLog({ retention: { maxAgeMs: 1000 } });
  for (let i = 0; i < 64; i++) {
    await appendOne(log);
    clock.step(10);
  }
  await log.drain();
  assertEquals(store.blocks.length, 1);
  clock.step(460);
  assertEquals(await seqs(log), range(12, 64));
});

Deno.test("a clock that steps back brings nothing back, and drops nothing too early", async () => {
  const { log, clock } = openTestLog({ retention: { maxAgeMs: 1000 } });
  await appendOne(log);
  clock.step(900);
  await appendOne(log);
  clock.step(100);
  assertEquals(await seqs(log), [2]);
  clock.step(-800);
  assertEquals(await readAll(log, { limit: 50 }), {
    events: (await readAll(log)).events,
    gaps: [[1, 1]],
  });
  assertEquals(await seqs(log), [2]);
  await appendOne(log);
  clock.step(1699);
  assertEquals(await seqs(log), [2, 3], "its time counts from the latest the log has seen");
  clock.step(1);
  assertEquals(await seqs(log), []);
});

Deno.test("what retention dropped is deleted from the store with the next commit", async () => {
  const { log, store } = openTestLog({ retention: { maxEvents: 5 } });
  await appendEach(log, 20);
  log.tidy();
  await log.drain();
  assertEquals(store.blocks.map(({ lastSeq }) => lastSeq), [16, 17, 18, 19, 20]);
});

Deno.test("a time to live ends one event early, without a gap", async () => {
  const { log, clock } = openTestLog();
  await appendOne(log);
  await appendOne(log, newEvent({ ttlMs: 50 }));
  await appendOne(log);
  clock.step(49);
  assertEquals(await seqs(log), [1, 2, 3]);
  clock.step(1);
  assertEquals([await seqs(log), (await readAll(log)).gaps], [[1, 3], []]);
  assertEquals(await log.count(1, 3, ALL_EVENTS), 2);
});

Deno.test("a time to live beyond the log's own is the log's own", async () => {
  const { log, clock } = openTestLog({ retention: { maxAgeMs: 100 } });
  await appendOne(log, newEvent({ ttlMs: 1e9 }));
  clock.step(100);
  assertEquals(await readAll(log), { events: [], gaps: [[1, 1]] });
});

Deno.test("the front is the oldest event that can be read, in the middle of a block too", async () => {
  const { log } = openTestLog({ retention: { maxBytes: 1000 } });
  await log.append(Array.from({ length: 10 }, () => newEvent({ chars: 300 }))).promise();
  assertEquals(log.counters.front, 8);
});

Deno.test("the front is the oldest event that can be read, after a restart too", async () => {
  const opened = openTestLog({ retention: { maxBytes: 1000 } });
  for (let i = 0; i < 10; i++) await appendOne(opened.log, newEvent({ chars: 250 }));
  opened.log.tidy();
  await opened.log.drain();
  assertEquals(opened.log.counters.front, 7);
  assertEquals(opened.restarted().log.counters.front, 7);
});

Deno.test("the front of a log that has lost everything is behind its head, after a restart too", async () => {
  const opened = openTestLog({ retention: { maxAgeMs: 1000 } });
  await appendEach(opened.log, 3);
  opened.clock.step(5000);
  opened.log.tidy();
  await opened.log.drain();
  assertEquals(opened.log.counters.front, 4);
  const { log } = opened.restarted();
  assertEquals([log.head, log.counters.front], [3, 4]);
});

Deno.test("buffer size 0: events have seqs, live readers see them once, nobody reads them again", async () => {
  const opened = openTestLog({ retention: { maxEvents: 0 } });
  const { log, store } = opened;
  assertEquals([await appendOne(log), await appendOne(log)], [1, 2]);
  const live = await log.seek(2, true);
  assertEquals([live?.seq, live?.block?.lastSeq], [2, 2]);
  assertEquals(await log.seek(1), { block: null, seq: 3 });
  assertEquals([await readAll(log), store.blocks], [{ events: [], gaps: [[1, 2]] }, []]);
  assertEquals(await log.count(1, 2, ALL_EVENTS), 0);
  const { log: again } = opened.restarted();
  assertEquals([again.head, await appendOne(again)], [2, 3], "no seq is used twice");
});

Deno.test("buffer size 0: a live reader that falls behind memory is told what it lost", async () => {
  const { log } = openTestLog({ retention: { maxEvents: 0 }, memoryBytes: 1000 });
  for (let i = 0; i < 10; i++) await appendOne(log, newEvent({ chars: 300 }));
  const live = await log.seek(1, true);
  assertEquals([live?.seq, live?.block?.firstSeq], [8, 8]);
});

Deno.test("buffer size 0 hides what was stored before, and shows it to nobody", async () => {
  const { log, store, clock } = openTestLog();
  await appendEach(log, 3);
  const { log: none } = openTestLog({
    retention: { maxEvents: 0 },
    store: store.reopened(),
    clock,
  });
  await appendOne(none);
  assertEquals(await readAll(none), { events: [], gaps: [[1, 4]] });
  const live = await none.seek(4, true);
  assertEquals([live?.seq, live?.block?.firstSeq], [4, 4]);
});

/** One event as the plain model keeps it. */
interface Kept extends Pick<LogEvent, "seq" | "kind" | "topic" | "bufferedAtMs" | "expiresAtMs"> {
  readonly chars: number;
}

const LIMITS = [
  { maxEvents: 40, maxBytes: 1e9, maxAgeMs: 1e12 },
  { maxEvents: 1e6, maxBytes: 12_000, maxAgeMs: 1e12 },
  { maxEvents: 1e6, maxBytes: 1e9, maxAgeMs: 900 },
  { maxEvents: 150, maxBytes: 50_000, maxAgeMs: 4000 },
];

for (const [i, retention] of LIMITS.entries()) {
  Deno.test(`the log agrees with a plain array under ${JSON.stringify(retention)}`, async () => {
    for (let seed = 1; seed <= 4; seed++) {
      await compareWithModel(retention, new Random(100 * i + seed));
    }
  });
}

async function compareWithModel(
  retention: (typeof LIMITS)[number],
  random: Random,
): Promise<void> {
  const memoryBytes = random.pick([0, 2000, 30_000]);
  let opened = openTestLog({ retention, memoryBytes, unitsPerBlock: random.pick([1, 3, 100]) });
  let model: Kept[] = [];
  let lastMs = 0;
  let latest = 0;
  for (let step = 0; step < 300; step++) {
    const { log, clock, store } = opened;
    if (random.oneIn(4)) clock.step(random.oneIn(8) ? -random.below(300) : random.below(200));
    latest = Math.max(latest, clock.now());
    // A restart forgets what a clock that has stepped back since had dropped and nobody had deleted.
    if (random.oneIn(40) && clock.now() === latest) {
      opened = opened.restarted();
      lastMs = opened.store.blocks.at(-1)?.lastMs ?? 0;
    } else if (random.oneIn(12)) {
      lastMs = Math.max(lastMs, clock.now());
      store.failNext(new Error("no disk"));
      await log.append([newEvent()]).promise().catch(() => {});
    } else {
      const sizes = Array.from(
        { length: random.pick([1, 1, 1, 5]) },
        () => random.between(210, 700),
      );
      const made = sizes.map((chars) =>
        newEvent({
          chars,
          kind: random.pick<Kind>(["notify", "query"]),
          topic: random.pick([null, "a.b", "a.c"]),
          ttlMs: random.oneIn(4) ? random.between(1, 2000) : null,
        })
      );
      lastMs = Math.max(lastMs, clock.now());
      const appended = await log.append(made).promise();
      model.push(...made.map(({ kind, topic, envelope, ttlMs }, at): Kept => ({
        seq: appended[at]!.seq,
        kind,
        topic,
        bufferedAtMs: lastMs,
        expiresAtMs: ttlMs === null || ttlMs >= retention.maxAgeMs ? null : clock.now() + ttlMs,
        chars: envelope.length,
      })));
    }
    model = retained(model, retention, opened.clock.now());
    if (step % 7 === 0) await opened.log.tidy();
    if (step % 3 === 0) await expectSame(opened.log, { model, now: opened.clock.now(), random });
    else await opened.log.seek(1);
  }
}

function retained(model: Kept[], retention: (typeof LIMITS)[number], now: number): Kept[] {
  const head = model.at(-1)?.seq ?? 0;
  let bytes = 0;
  let from = model.length;
  while (from > 0) {
    const event = model[from - 1]!;
    bytes += event.chars;
    if (bytes > retention.maxBytes || event.seq <= head - retention.maxEvents) break;
    if (event.bufferedAtMs <= now - retention.maxAgeMs) break;
    from--;
  }
  // The last one stays in the model, to remember the head.
  return model.slice(Math.min(from, Math.max(0, model.length - 1))).map((event, i) =>
    from === model.length && i === 0 ? { ...event, chars: Infinity } : event
  );
}

async function expectSame(
  log: EventLog,
  { model, now, random }: { model: Kept[]; now: number; random: Random },
): Promise<void> {
  const there = model.filter(({ chars }) => chars !== Infinity);
  const alive = there.filter(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > now);
  const head = model.at(-1)?.seq ?? 0;
  assertEquals(log.head, head);
  assertEquals(await seekAll(log), alive.map(({ seq }) => seq));
  const after = random.below(head + 1);
  const filter = random.pick([
    ALL_EVENTS,
    new Filter({ kinds: ["query"] }),
    new Filter({ topics: ["a.*"] }),
    new Filter({ kinds: ["notify"], topics: ["a.b"] }),
  ]);
  const matching = alive.filter((event) => event.seq > after && filter.matches(event));
  const read = await readAll(log, { after, filter, limit: random.between(1, 30) });
  assertEquals(read.events.map(({ seq }) => seq), matching.map(({ seq }) => seq));
  for (const event of read.events) {
    const kept = there.find(({ seq }) => seq === event.seq)!;
    assertEquals([event.kind, event.topic, event.bufferedAtMs, event.envelope.length], [
      kept.kind,
      kept.topic,
      kept.bufferedAtMs,
      kept.chars,
    ]);
  }
  const front = there[0]?.seq ?? head + 1;
  assertEquals(read.gaps, after + 1 < front ? [[after + 1, front - 1]] : []);
  const to = random.between(after, head);
  const counted = matching.filter(({ seq }) => seq <= to).length;
  assertEquals(await log.count(after + 1, to, filter), counted);
}

Deno.test("merging changes nothing for readers, and leaves few blocks", async () => {
  const { log, store } = openTestLog();
  const seen = new Set<Block>();
  for (let i = 0; i < 300; i++) {
    await appendOne(log, newEvent({ payload: i, ttlMs: i % 50 === 0 ? 1e6 : null }));
    const position = await log.seek(1);
    if (position?.block) seen.add(position.block);
    assertEquals(await log.count(1, i + 1, ALL_EVENTS), i + 1);
  }
  await log.drain();
  assertEquals(store.blocks.length < 60, true, `${store.blocks.length} blocks`);
  assertEquals(await seekAll(log), range(1, 300));
  assertEquals(seen.size > 1, true, "the first block was rewritten while it was read");
});

Deno.test("a merge that fails leaves the blocks as they were, and is made later", async () => {
  const { log, store } = openTestLog();
  await appendEach(log, 63);
  await log.drain();
  const before = store.batches.length;
  store.failNext(new Error("no disk"), 1);
  store.failNext(new Error("no disk"));
  await appendOne(log).catch(() => {});
  await log.drain();
  assertEquals(store.blocks.length, 64);
  assertEquals(await seekAll(log), range(1, 64));
  await appendOne(log).catch(() => {});
  await appendOne(log);
  await log.drain();
  assertEquals(store.blocks.length < 10, true, `${store.blocks.length} blocks`);
  assertEquals(store.batches.length - before < 8, true, "nothing spins");
  assertEquals(await seekAll(log), range(1, log.head));
});
