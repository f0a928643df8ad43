/**
 * Tells one reader the updates of records, the newest first to be kept.
 *
 * Invariants: updates of one record in the order of their sequences; what was dropped is counted in the next update
 * told; a reader that does not read costs the setter nothing. Little waits in the outbox, so that whoever reads
 * again is not told old values for long.
 *
 * Bounds: `queueSize` updates and `MAX_QUEUE_CHARS` wait, the newest always; the oldest are dropped for more. A long
 * line goes into the outbox only while all outboxes together have room for it.
 */

import { Queue } from "../core/queue.ts";
import type { LiveRecord, RecordUpdate, RecordWatcher } from "../core/record.ts";
import type { MayTake, RecordWatch } from "../core/record_watches.ts";
import type { Records } from "../core/records.ts";
import type { Outbox } from "./outbox.ts";
import type { Stream } from "./stream.ts";

/** Characters of updates that wait for one reader. */
const MAX_QUEUE_CHARS = 1024 * 1024;
/** Bytes in the outbox above which updates wait here, where they can still be dropped. */
const OUTBOX_BYTES = 64 * 1024;
/** A line of more characters is encoded before it waits, so that its bytes are accounted for as they are. */
const LONG_LINE_CHARS = 16 * 1024;

const encoder = new TextEncoder();

export interface RecordStreamOptions {
  readonly records: Records;
  readonly outbox: Outbox;
  /** Names or patterns. */
  readonly patterns: readonly string[];
  readonly queueSize: number;
  readonly sendInitial: boolean;
  /** Whether the reader may take from the mailbox of a name. */
  readonly mayTake: MayTake;
  /** The line of one update with its end. */
  readonly encode: (update: RecordUpdate, dropped: number) => string;
  /** Accounts for characters that wait. @returns Whether all readers together hold too much. */
  readonly hold: (chars: number) => boolean;
  readonly onDropped: (count: number) => void;
}

/** One stream of record updates to one connection. */
export class RecordStream implements Stream, RecordWatcher {
  readonly #options: RecordStreamOptions;
  #watches: RecordWatch[] = [];
  readonly #queue = new Queue<RecordUpdate>();
  #chars = 0;
  #dropped = 0;
  /** Records whose value is still to be told. */
  readonly #initial = new Map<string, LiveRecord>();
  /** Nothing is told before the reply that opens the stream. */
  #waiting = true;
  /** A mailbox has asked, and was told to wait. */
  #passedOver = false;
  #ended = false;

  constructor(options: RecordStreamOptions) {
    this.#options = options;
  }

  get isReady(): boolean {
    const ready = !this.#waiting && !this.#ended && this.#queue.size === 0 && this.#hasRoomFor();
    this.#passedOver ||= !ready;
    return ready;
  }

  begin(): void {
    if (this.#ended) return;
    this.#waiting = false;
    const { records, patterns, sendInitial, mayTake } = this.#options;
    this.#watches = patterns.map((pattern) => records.watch(pattern, this, false, mayTake));
    if (sendInitial) {
      const all = this.#watches.flatMap((watch) => watch.records());
      for (const record of all) {
        const { name, bufferType } = record.definition;
        // A mailbox gives what it holds by itself, to one.
        if (bufferType !== "mailbox") this.#initial.set(name, record);
      }
    }
    this.pump();
  }

  tell(update: RecordUpdate): void {
    if (this.#ended) return;
    // What is newer than what the record held is told in its place.
    this.#initial.delete(update.name);
    if (this.#queue.size === 0 && this.#hasRoomFor(update)) return this.#push(update);
    this.#queue.add(update);
    this.#grow(update.value.length);
    this.#dropExcess();
  }

  pump(): void {
    this.#tellInitial();
    while (!this.#ended && this.#queue.size > 0 && this.#hasRoomFor(this.#queue.first)) {
      this.#push(this.#take());
    }
    if (!this.#passedOver || !this.isReady) return;
    this.#passedOver = false;
    for (const watch of this.#watches) watch.ready();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const watch of this.#watches) watch.end();
    this.#options.hold(-this.#chars);
    this.#queue.clear();
    this.#initial.clear();
  }

  /** A record has no end to catch up with. */
  isBehind(): boolean {
    return false;
  }

  touch(): void {}

  /** At the reader's own pace: what a record holds is not lost by waiting for it to be told. */
  #tellInitial(): void {
    for (const [name, record] of this.#initial) {
      const held = record.latest;
      if (!this.#hasRoomFor(held ?? undefined)) return;
      this.#initial.delete(name);
      if (held !== null) this.#push(held);
    }
  }

  #hasRoomFor(update?: RecordUpdate): boolean {
    return this.#options.outbox.hasRoomWithin(OUTBOX_BYTES, update?.value.length);
  }

  #push(update: RecordUpdate): void {
    const dropped = this.#dropped;
    this.#dropped = 0;
    const line = this.#options.encode(update, dropped);
    this.#options.outbox.push(line.length > LONG_LINE_CHARS ? encoder.encode(line) : line);
  }

  #take(): RecordUpdate {
    const update = this.#queue.take()!;
    this.#grow(-update.value.length);
    return update;
  }

  #dropExcess(): void {
    const most = this.#options.hold(0) ? 1 : this.#options.queueSize;
    const before = this.#dropped;
    while (this.#queue.size > most || (this.#queue.size > 1 && this.#chars > MAX_QUEUE_CHARS)) {
      this.#take();
      this.#dropped++;
    }
    if (this.#dropped > before) this.#options.onDropped(this.#dropped - before);
  }

  #grow(chars: number): void {
    this.#chars += chars;
    this.#options.hold(chars);
  }
}
