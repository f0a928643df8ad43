/** A log over a store in memory, with a clock of the test's, and the ways in which tests read it. */

import { ALL_EVENTS, type Filter } from "../../src/core/filter.ts";
import { EventLog, type Retention } from "../../src/core/log.ts";
import type { LogEvent, NewEvent } from "../../src/core/event.ts";
import { readStretch } from "../../src/core/read.ts";
import { FakeClock } from "./fake_clock.ts";
import { MemoryStore, type MemoryStoreOptions } from "./memory_store.ts";
import { newEvent } from "./new_event.ts";

export interface TestLogOptions extends MemoryStoreOptions {
  readonly retention?: Partial<Retention>;
  readonly memoryBytes?: number;
  readonly clock?: FakeClock;
  readonly store?: MemoryStore;
}

const DEFAULT_RETENTION: Retention = { maxEvents: 100_000, maxBytes: 1e9, maxAgeMs: 1e12 };

/** What a test holds of one log. */
export interface TestLog {
  readonly log: EventLog;
  readonly store: MemoryStore;
  readonly clock: FakeClock;
  /** The same log after a restart. */
  restarted(): TestLog;
}

export function openTestLog(options: TestLogOptions = {}): TestLog {
  const { clock = new FakeClock(), store = new MemoryStore(options), retention, memoryBytes } =
    options;
  const log = new EventLog(store, {
    clock,
    retention: { ...DEFAULT_RETENTION, ...retention },
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  });
  return {
    log,
    store,
    clock,
    restarted: () => openTestLog({ ...options, clock, store: store.reopened() }),
  };
}

/** Appends one event in a commit of its own, and answers its seq. */
export async function appendOne(log: EventLog, event: NewEvent = newEvent()): Promise<number> {
  const [appended] = await log.append([event]).promise();
  return appended!.seq;
}

/** Appends so many events, each in a commit of its own. */
export async function appendEach(log: EventLog, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await appendOne(log);
}

/** Everything behind `after`, as `event.read` gives it page by page, with the gaps on the way. */
export async function readAll(
  log: EventLog,
  { after = 0, filter = ALL_EVENTS, limit = 7 }: {
    after?: number;
    filter?: Filter;
    limit?: number;
  } = {},
): Promise<{ events: LogEvent[]; gaps: [number, number][] }> {
  const events: LogEvent[] = [];
  const gaps: [number, number][] = [];
  for (;;) {
    const stretch = await readStretch(log, { after, filter, limit });
    if (stretch.gap !== null) gaps.push([stretch.gap.from_seq, stretch.gap.to_seq]);
    events.push(...stretch.events);
    if (!stretch.hasMore) return { events, gaps };
    after = Math.max(stretch.events.at(-1)?.seq ?? 0, stretch.gap?.to_seq ?? 0, after);
  }
}

/** The seqs that `seek` leads to from `from` on, block by block. */
export async function seekAll(log: EventLog, from = 1): Promise<number[]> {
  const seqs: number[] = [];
  for (let seq = from;;) {
    const position = await log.seek(seq);
    if (position === null || position.block === null) return seqs;
    for (const event of position.block.events) {
      if (event.seq >= position.seq && !log.isExpired(event)) seqs.push(event.seq);
    }
    seq = position.block.lastSeq + 1;
  }
}
