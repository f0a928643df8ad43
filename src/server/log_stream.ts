/**
 * Tells one reader the events of the log, at the reader's own pace.
 *
 * Invariants: in order, each event once; what retention dropped before it was told shows as a gap in the
 * next event told; nothing is queued here: a full outbox pauses the stream, which goes on from the log.
 */

import type { Block, LogEvent } from "../core/event.ts";
import type { Filter } from "../core/filter.ts";
import type { EventLog, Position } from "../core/log.ts";
import type { Log } from "../core/ports.ts";
import type { Gap } from "../core/read.ts";
import type { Ticket } from "../core/ticket.ts";
import type { Outbox } from "./outbox.ts";
import type { SharedEncodings } from "./shared_encodings.ts";

export interface LogStreamOptions {
  readonly log: EventLog;
  readonly outbox: Outbox;
  readonly filter: Filter;
  /** The first seq to tell. */
  readonly from: number;
  /** Events up to here are told as replay. */
  readonly replayTo: number;
  /** Told before all others; each is made when there is room for it. */
  readonly reminders: Iterable<LogEvent>;
  /** The line of one event with its end; empty when this reader is not to see it. */
  readonly encode: (
    event: LogEvent,
    delivery: { replay: boolean; again?: boolean; gap: Gap | null },
  ) => string;
  /** Names equal text of a whole block, or `null` when it is this stream's own. */
  readonly sharedAs: (replay: boolean) => string | null;
  readonly shared: SharedEncodings;
  /** To be asked before events up to a seq are told. */
  readonly reserve: (seq: number) => Ticket<void> | null;
  /** To be called when they were; with 0 when the reader is merely there. */
  readonly delivered: (seq: number) => void;
  /** To be called when a lost range was told. */
  readonly onGap: () => void;
  readonly diagnostics: Log;
}

/** One stream of events to one connection. */
export class LogStream {
  readonly #options: LogStreamOptions;
  /** `null` once all are told. */
  #reminders: Iterator<LogEvent> | null;
  #next: number;
  #gap: Gap | null = null;
  /** Nothing is told before the reply that opens the stream. */
  #waiting = true;
  #ended = false;

  constructor(options: LogStreamOptions) {
    this.#options = options;
    this.#next = options.from;
    this.#reminders = options.reminders[Symbol.iterator]();
  }

  /** Lets the stream run. */
  begin(): void {
    this.#waiting = false;
    this.pump();
  }

  /** Whether events up to `seq` are still to be told. */
  isBehind(seq: number): boolean {
    return !this.#ended && (this.#next <= seq || this.#reminders !== null);
  }

  /** Notes that the reader is still there, though there is nothing to tell. */
  touch(): void {
    this.#options.delivered(0);
  }

  /** Nothing is told after this. */
  end(): void {
    this.#ended = true;
  }

  /** Tells what there is, as far as there is room. Called whenever there may be more, or more room. */
  pump(): void {
    const { log, outbox, replayTo } = this.#options;
    try {
      this.#remind();
      while (!this.#waiting && !this.#ended && outbox.hasRoomForStream) {
        const found = log.seek(this.#next, this.#next > replayTo);
        if (found === null) return;
        if (found instanceof Promise) this.#awaitPosition(found);
        else this.#tell(found);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #remind(): void {
    const { outbox, encode } = this.#options;
    while (this.#reminders !== null && !this.#waiting && !this.#ended && outbox.hasRoomForStream) {
      const { done, value } = this.#reminders.next();
      if (done) this.#reminders = null;
      else outbox.push(encoder.encode(encode(value, { replay: true, again: true, gap: null })));
    }
  }

  #awaitPosition(found: Promise<Position | null>): void {
    this.#waiting = true;
    found.then((position) => {
      this.#waiting = false;
      if (position !== null && !this.#ended) this.#tell(position);
      this.pump();
    }).catch((error) => this.#fail(error));
  }

  /** A silent hole would follow otherwise; the end of the connection shows that something is wrong. */
  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#options.diagnostics.error("cannot tell the log to a subscription", { error });
    this.end();
    this.#options.outbox.fail();
  }

  #tell({ block, seq }: Position): void {
    if (seq > this.#next) {
      this.#gap = { from_seq: this.#gap?.from_seq ?? this.#next, to_seq: seq - 1 };
      this.#next = seq;
    }
    if (block === null) return;
    const { replayTo, reserve } = this.#options;
    const replay = this.#next <= replayTo;
    const to = replay ? Math.min(block.lastSeq, replayTo) : block.lastSeq;
    const reserved = reserve(to);
    if (reserved === null) {
      this.#push(block, { to, replay });
      return;
    }
    this.#waiting = true;
    reserved.whenSettled((outcome) => {
      // A store that cannot write must not keep anyone from reading; it costs the bound, no event.
      if (!outcome.ok) this.#options.diagnostics.warn("cannot store a consumer's delivered bound");
      this.#waiting = false;
      if (!this.#ended) this.#push(block, { to, replay });
      this.pump();
    });
  }

  #push(block: Block, { to, replay }: { to: number; replay: boolean }): void {
    const { outbox, sharedAs, shared, filter, delivered } = this.#options;
    const whole = this.#gap === null && this.#next === block.firstSeq && to === block.lastSeq;
    // What may be told of a block with times to live changes with the time.
    const name = whole && !block.expiring ? sharedAs(replay) : null;
    const make = () => this.#encode(block, { to, replay });
    const lines = name === null ? make() : shared.get(block, `${name} ${filter.key}`, make);
    this.#next = to + 1;
    if (lines.bytes.byteLength === 0) return;
    outbox.push(lines.bytes);
    delivered(lines.lastSeq);
  }

  #encode(
    block: Block,
    { to, replay }: { to: number; replay: boolean },
  ): { bytes: Uint8Array; lastSeq: number } {
    const { filter, log, encode, onGap } = this.#options;
    let text = "";
    let lastSeq = 0;
    for (const event of block.events) {
      if (event.seq < this.#next || event.seq > to) continue;
      if (!filter.matches(event) || log.isExpired(event)) continue;
      const line = encode(event, { replay, gap: this.#gap });
      if (line === "") continue;
      text += line;
      if (this.#gap !== null) onGap();
      this.#gap = null;
      lastSeq = event.seq;
    }
    return { bytes: encoder.encode(text), lastSeq };
  }
}

const encoder = new TextEncoder();
