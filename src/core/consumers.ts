/**
 * Consumers: named durable cursors into the log.
 *
 * Invariants: `ackedSeq` never moves back and is on disk before an ack is answered; an ack beyond what was
 * delivered is refused; nothing is pushed beyond `deliveredBound`, which is on disk before, so that after a
 * crash an ack of anything really delivered is accepted.
 *
 * Bound: `MAX_CONSUMERS` names. A consumer exists from its first delivery or ack on; connecting makes none.
 */

import { PosternError } from "./errors.ts";
import type { EventLog } from "./log.ts";
import type { Clock, Document, DocumentWrite } from "./ports.ts";
import { Ticket } from "./ticket.ts";

/** How many consumers one daemon keeps. One more is refused with `too_many`. */
export const MAX_CONSUMERS = 10_000;
/** How far ahead of the delivered events the bound on disk is set. */
const BOUND_STRIDE = 16_384;

/** A consumer's state as it is kept across restarts. */
export interface CursorState {
  readonly name: string;
  readonly ackedSeq: number;
  /** No event beyond this was ever pushed to the consumer; always at or ahead of what was. */
  readonly deliveredBound: number;
  readonly lastSeenMs: number;
}

/** How a cursor is stored. Persisted: a new field needs a default for the documents that lack it. */
export function cursorWrite(cursor: CursorState): DocumentWrite {
  const { name, ackedSeq, deliveredBound, lastSeenMs } = cursor;
  const fields = { acked_seq: ackedSeq, delivered_bound: deliveredBound, last_seen_ms: lastSeenMs };
  return { key: ["cursor", name], content: { fields } };
}

/** The cursors among some documents. */
export function cursorsIn(documents: readonly Document[]): CursorState[] {
  return documents.flatMap(({ key: [collection, name], fields }) =>
    collection !== "cursor" ? [] : [{
      name,
      ackedSeq: fields.acked_seq as number,
      deliveredBound: fields.delivered_bound as number,
      lastSeenMs: fields.last_seen_ms as number,
    }]
  );
}

/** One consumer's place in the log. */
export class Consumer {
  readonly name: string;
  readonly #log: EventLog;
  readonly #clock: Clock;
  #ackedSeq: number;
  #deliveredSeq: number;
  #bound: number;
  #storedBound: number;
  #lastSeenMs: number;
  /** The furthest place on its way to the disk. */
  #pendingAck = 0;
  #removed = false;

  constructor(state: CursorState, options: { log: EventLog; clock: Clock }) {
    this.name = state.name;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#ackedSeq = state.ackedSeq;
    // What was delivered before a crash is known only by its bound; nothing beyond the head can have been.
    this.#deliveredSeq = Math.min(state.deliveredBound, options.log.head);
    this.#bound = this.#storedBound = state.deliveredBound;
    this.#lastSeenMs = state.lastSeenMs;
  }

  get ackedSeq(): number {
    return this.#ackedSeq;
  }

  get deliveredSeq(): number {
    return this.#deliveredSeq;
  }

  get lastSeenMs(): number {
    return this.#lastSeenMs;
  }

  /**
   * Prepares to push events up to `seq`; to be called before the push.
   *
   * @returns `null` when they may be pushed at once, else a ticket to wait for.
   */
  reserve(seq: number): Ticket<void> | null {
    if (seq > this.#bound - BOUND_STRIDE / 2) {
      this.#bound = seq + BOUND_STRIDE;
      const bound = this.#bound;
      const stored = this.#put(this.#ackedSeq);
      stored.whenSettled((outcome) => {
        if (outcome.ok) this.#storedBound = Math.max(this.#storedBound, bound);
        // Unless a later one is on its way, which may be stored.
        else if (this.#bound === bound) this.#bound = this.#storedBound;
      });
      if (seq > this.#storedBound) return stored;
    }
    return seq > this.#storedBound ? this.#put(this.#ackedSeq) : null;
  }

  /** Notes that events up to `seq` were pushed. */
  delivered(seq: number): void {
    this.#lastSeenMs = this.#clock.now();
    if (seq > this.#deliveredSeq) this.#deliveredSeq = seq;
  }

  /**
   * Moves the cursor forward. At or below the present place it changes nothing.
   *
   * @returns The place after it, once it is on disk.
   * @throws PosternError `ack_out_of_range` when `seq` is beyond what was delivered.
   */
  ack(seq: number): Ticket<number> {
    if (seq > this.#deliveredSeq) {
      throw new PosternError(
        "ack_out_of_range",
        `ack: up_to_seq ${seq} is beyond ${this.#deliveredSeq}, the highest seq delivered to consumer "${this.name}"`,
        { delivered_seq: this.#deliveredSeq },
      );
    }
    this.#lastSeenMs = this.#clock.now();
    if (seq <= this.#ackedSeq) return Ticket.of(this.#ackedSeq);
    return this.#put(seq).map(() => this.#ackedSeq = Math.max(this.#ackedSeq, seq));
  }

  /** Sets the bound on disk to what was really delivered, before a stop in order. */
  settle(): Ticket<void> | null {
    if (this.#storedBound === this.#deliveredSeq) return null;
    this.#bound = this.#storedBound = this.#deliveredSeq;
    return this.#put(this.#ackedSeq);
  }

  /** Nothing of it is stored any more: the name may be another's by now. */
  set removed(removed: boolean) {
    this.#removed = removed;
  }

  #put(ackedSeq: number): Ticket<void> {
    if (this.#removed) return Ticket.of<void>(undefined);
    const place = this.#pendingAck = Math.max(ackedSeq, this.#pendingAck);
    const state = {
      name: this.name,
      ackedSeq: place,
      deliveredBound: this.#bound,
      lastSeenMs: this.#lastSeenMs,
    };
    const stored = this.#log.put(cursorWrite(state));
    stored.whenSettled((outcome) => {
      // A refused ack must not reach the disk with what is stored next.
      if (!outcome.ok && this.#pendingAck === place) this.#pendingAck = this.#ackedSeq;
    });
    return stored;
  }
}

/** All consumers of one log. */
export class Consumers {
  readonly #log: EventLog;
  readonly #clock: Clock;
  readonly #byName = new Map<string, Consumer>();

  /** @param options The documents of the store among which the cursors are. */
  constructor(log: EventLog, options: { clock: Clock; documents: readonly Document[] }) {
    this.#log = log;
    this.#clock = options.clock;
    for (const state of cursorsIn(options.documents)) {
      this.#byName.set(state.name, new Consumer(state, { log, clock: this.#clock }));
    }
  }

  /** The consumer of that name, or `undefined` when nothing was ever delivered to it. */
  find(name: string): Consumer | undefined {
    return this.#byName.get(name);
  }

  /** Every consumer, in the order of their first delivery. */
  list(): Consumer[] {
    return [...this.#byName.values()];
  }

  /**
   * Moves a consumer's cursor. A name to which nothing was delivered can acknowledge nothing, and an attempt
   * makes no consumer of it.
   *
   * @returns The place after it, once it is on disk.
   * @throws PosternError `ack_out_of_range`
   */
  ack(name: string, seq: number): Ticket<number> {
    const state = { name, ackedSeq: 0, deliveredBound: 0, lastSeenMs: 0 };
    const consumer = this.#byName.get(name) ??
      new Consumer(state, { log: this.#log, clock: this.#clock });
    return consumer.ack(seq);
  }

  /**
   * The consumer of that name, new if need be.
   *
   * @throws PosternError `too_many`
   */
  open(name: string): Consumer {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    if (this.#byName.size >= MAX_CONSUMERS) {
      throw new PosternError(
        "too_many",
        `consumer "${name}" would be one more than the ${MAX_CONSUMERS} that are kept; remove one first`,
        { limit: MAX_CONSUMERS },
      );
    }
    const lastSeenMs = this.#clock.now();
    const state = { name, ackedSeq: 0, deliveredBound: 0, lastSeenMs };
    const consumer = new Consumer(state, { log: this.#log, clock: this.#clock });
    this.#byName.set(name, consumer);
    return consumer;
  }

  /**
   * Forgets a consumer; whoever takes the name next starts at 0. It stays when that cannot be stored.
   *
   * @throws PosternError `not_found`
   */
  remove(name: string): Ticket<void> {
    const consumer = this.#byName.get(name);
    if (consumer === undefined) {
      throw new PosternError("not_found", `consumer.remove: there is no consumer "${name}"`);
    }
    this.#byName.delete(name);
    consumer.removed = true;
    const removal = this.#log.put({ key: ["cursor", name], content: null });
    removal.whenSettled((outcome) => {
      if (outcome.ok || this.#byName.has(name)) return;
      this.#byName.set(name, consumer);
      consumer.removed = false;
    });
    return removal;
  }

  /** Notes for every consumer what was really delivered; for a stop in order, when nobody is served. */
  async settle(): Promise<void> {
    await Promise.all(this.list().map((consumer) => consumer.settle()?.promise().catch(() => {})));
  }

  /** Forgets the consumers to which nothing was delivered for so long, as AXON allows (4.3). */
  removeIdle(maxIdleMs: number): Consumer[] {
    const oldest = this.#clock.now() - maxIdleMs;
    const idle = this.list().filter((one) => one.lastSeenMs < oldest);
    for (const { name } of idle) this.remove(name);
    return idle;
  }
}
