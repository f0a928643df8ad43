/**
 * Tells one reader the updates of records, the newest first to be kept.
 *
 * Invariants: updates of one record in the order of their sequences; what was dropped is counted in the next update
 * told; a reader that does not read costs the setter nothing. Little waits in the outbox, so that whoever reads
 * again is not told old values for long.
 *
 * Bounds: `queueSize` updates and `MAX_QUEUE_CHARS` wait, the newest always; the oldest are dropped for more.
 */

import type { LiveRecord, RecordUpdate, RecordWatcher } from "../core/record.ts";
import type { Records, RecordWatch } from "../core/records.ts";
import type { Outbox } from "./outbox.ts";
import type { Stream } from "./stream.ts";

/** Characters of updates that wait for one reader. */
const MAX_QUEUE_CHARS = 1024 * 1024;
/** Bytes in the outbox above which updates wait here, where they can still be dropped. */
const OUTBOX_BYTES = 64 * 1024;

export interface RecordStreamOptions {
  readonly records: Records;
  readonly outbox: Outbox;
  /** Names or patterns. */
  readonly patterns: readonly string[];
  readonly queueSize: number;
  readonly sendInitial: boolean;
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
  #queue: (RecordUpdate | null)[] = [];
  /** Where the queue begins: shifting a long array is slow. */
  #first = 0;
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
    const ready = !this.#waiting && !this.#ended && this.#queued === 0 && this.#hasRoom;
    this.#passedOver ||= !ready;
    return ready;
  }

  begin(): void {
    if (this.#ended) return;
    this.#waiting = false;
    const { records, patterns, sendInitial } = this.#options;
    this.#watches = patterns.map((pattern) => records.watch(pattern, this, false));
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
    if (this.#queued === 0 && this.#hasRoom) return this.#push(update);
    this.#queue.push(update);
    this.#grow(update.value.length);
    this.#dropExcess();
  }

  pump(): void {
    this.#tellInitial();
    while (!this.#ended && this.#queued > 0 && this.#hasRoom) this.#push(this.#shift());
    if (!this.#passedOver || !this.isReady) return;
    this.#passedOver = false;
    for (const watch of this.#watches) watch.ready();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const watch of this.#watches) watch.end();
    this.#options.hold(-this.#chars);
    this.#queue = [];
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
      if (!this.#hasRoom) return;
      this.#initial.delete(name);
      const held = record.latest;
      // A value that is computed now comes as an update.
      if (held !== null && this.#options.records.latest(record) === held) this.#push(held);
    }
  }

  get #queued(): number {
    return this.#queue.length - this.#first;
  }

  get #hasRoom(): boolean {
    return this.#options.outbox.hasRoomWithin(OUTBOX_BYTES);
  }

  #push(update: RecordUpdate): void {
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#options.outbox.push(this.#options.encode(update, dropped));
  }

  #shift(): RecordUpdate {
    const update = this.#queue[this.#first]!;
    // What is told or dropped takes no memory for being in the array.
    this.#queue[this.#first++] = null;
    this.#grow(-update.value.length);
    if (this.#queued === 0 || this.#first > 1024) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    }
    return update;
  }

  #dropExcess(): void {
    const most = this.#options.hold(0) ? 1 : this.#options.queueSize;
    const before = this.#dropped;
    while (this.#queued > most || (this.#queued > 1 && this.#chars > MAX_QUEUE_CHARS)) {
      this.#shift();
      this.#dropped++;
    }
    if (this.#dropped > before) this.#options.onDropped(this.#dropped - before);
  }

  #grow(chars: number): void {
    this.#chars += chars;
    this.#options.hold(chars);
  }
}
