/**
 * A stream of events at the pace of whoever reads it.
 *
 * It has a connection of its own. When the reader falls behind by MAX_EVENTS events or MAX_CHARS characters
 * the connection is not read until half of that is taken; the daemon then waits and continues from its log.
 * So a slow reader costs neither memory, nor other requests of the same program, nor any event. Beyond the
 * bound lies at most what one read of the socket held.
 */

import type { Closed, Connection, EventListener } from "./connection.ts";
import type { InboundEvent } from "./messages.ts";

/** What the daemon promised when the subscription began. */
export interface SubscriptionStart {
  readonly subscription_id?: string;
  /** How many stored events come first. */
  readonly replayed: number;
  /** Events up to this seq were there before; those after it are live. */
  readonly replay_to_seq: number;
}

/** Opens the connection and subscribes on it; events go to the given function. */
export type SubscriptionOpener = (
  onEvent: EventListener,
) => Promise<{ connection: Connection; start: SubscriptionStart }>;

const MAX_EVENTS = 1024;
const MAX_CHARS = 1024 * 1024;

interface Held {
  readonly event: InboundEvent;
  readonly chars: number;
}

/** An async iterable of events. It ends when it is closed, and throws when the connection is lost. */
export class Subscription implements AsyncIterableIterator<InboundEvent> {
  /** Resolves once the daemon has accepted the subscription; from then on no event is missed. */
  readonly started: Promise<SubscriptionStart>;
  #held: Held[] = [];
  #taken = 0;
  #heldChars = 0;
  #connection: Connection | null = null;
  #closed = false;
  #failure: Error | null = null;
  #arrival: PromiseWithResolvers<void> | null = null;
  readonly #onClose: () => void;

  constructor(open: SubscriptionOpener, onClose: () => void = () => {}) {
    this.#onClose = onClose;
    this.started = this.#open(open);
    // Who iterates learns of a failure there.
    this.started.catch(() => {});
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next event, as soon as there is one. */
  async next(): Promise<IteratorResult<InboundEvent, undefined>> {
    for (;;) {
      if (this.#closed) return { done: true, value: undefined };
      const held = this.#take();
      if (held !== null) return { done: false, value: held };
      if (this.#failure !== null) {
        const failure = this.#failure;
        this.close();
        throw failure;
      }
      this.#arrival ??= Promise.withResolvers();
      await this.#arrival.promise;
    }
  }

  /** Ends the stream; `for await` calls this when it is left. */
  return(): Promise<IteratorResult<InboundEvent, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends the stream. Events not taken yet are not lost: they are in the daemon's log. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#held = [];
    this.#connection?.close("the subscription was closed");
    this.#wake();
    this.#onClose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  async #open(open: SubscriptionOpener): Promise<SubscriptionStart> {
    try {
      const { connection, start } = await open((event, chars) => this.#arrived(event, chars));
      this.#connection = connection;
      connection.closed.then((closed) => this.#lost(closed));
      if (this.#closed) connection.close("the subscription was closed");
      else if (this.#isFull()) connection.pause();
      return start;
    } catch (error) {
      this.#failure = error as Error;
      this.#wake();
      this.#onClose();
      throw error;
    }
  }

  #arrived(event: InboundEvent, chars: number): void {
    if (this.#closed) return;
    this.#held.push({ event, chars });
    this.#heldChars += chars;
    if (this.#isFull()) this.#connection?.pause();
    this.#wake();
  }

  #take(): InboundEvent | null {
    const held = this.#held[this.#taken];
    if (held === undefined) return null;
    this.#taken++;
    this.#heldChars -= held.chars;
    if (this.#taken === this.#held.length || this.#taken >= MAX_EVENTS) {
      this.#held = this.#held.slice(this.#taken);
      this.#taken = 0;
    }
    if (this.#isHalfEmpty()) this.#connection?.resume();
    return held.event;
  }

  #isFull(): boolean {
    return this.#held.length - this.#taken >= MAX_EVENTS || this.#heldChars >= MAX_CHARS;
  }

  #isHalfEmpty(): boolean {
    return this.#held.length - this.#taken <= MAX_EVENTS / 2 && this.#heldChars <= MAX_CHARS / 2;
  }

  #lost(closed: Closed): void {
    if (closed.by !== "client") this.#failure = closed.error;
    else this.#closed = true;
    this.#wake();
  }

  #wake(): void {
    this.#arrival?.resolve();
    this.#arrival = null;
  }
}
