/**
 * Reading a stretch of the log at once, for `inbox` and `event.read`.
 *
 * The result is bounded by count and by size, and says what was lost before its first event.
 */

import type { LogEvent } from "./event.ts";
import type { Filter } from "./filter.ts";
import type { EventLog } from "./log.ts";
import { utf8Length } from "./text.ts";

/** A lost range of seqs. It names seqs, not matches: a filter may have let none of them through. */
export interface Gap {
  readonly from_seq: number;
  readonly to_seq: number;
}

export interface Stretch {
  readonly events: readonly LogEvent[];
  readonly hasMore: boolean;
  readonly gap: Gap | null;
}

/** A reply stops before this many bytes, with at least one event. */
const MAX_STRETCH_BYTES = 1024 * 1024 - 4096;
/** What a line has beyond its envelope, in bytes. */
const LINE_OVERHEAD = 64;

/** The readable events behind `after` that pass the filter, oldest first. */
export async function readStretch(
  log: EventLog,
  options: { after: number; filter: Filter; limit: number },
): Promise<Stretch> {
  const { after, filter, limit } = options;
  const head = log.head;
  const events: LogEvent[] = [];
  let gap = null as Gap | null;
  let bytes = 0;
  for (let seq = after + 1; seq <= head;) {
    const found = log.seek(seq);
    const position = found instanceof Promise ? await found : found;
    if (position === null) break;
    if (position.seq > seq) {
      // A range lost behind events that are here is for the next stretch to tell.
      if (events.length > 0) return { events, hasMore: true, gap };
      gap = { from_seq: after + 1, to_seq: position.seq - 1 };
    }
    if (position.block === null) break;
    for (const event of position.block.events) {
      if (event.seq < position.seq || event.seq > head) continue;
      if (!filter.matches(event) || log.isExpired(event)) continue;
      bytes += utf8Length(event.envelope) + LINE_OVERHEAD;
      const full = events.length >= limit || (events.length > 0 && bytes > MAX_STRETCH_BYTES);
      if (full) return { events, hasMore: true, gap };
      events.push(event);
    }
    seq = position.block.lastSeq + 1;
  }
  return { events, hasMore: false, gap };
}
