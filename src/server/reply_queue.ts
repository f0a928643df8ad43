/**
 * Keeps replies in the order of their requests, whichever is ready first.
 *
 * Bounded by the connection, which asks `inFlight` before it takes another request.
 */

/** A request's place in the order. */
export interface Slot {
  done: boolean;
  text: string | null;
}

/** The replies of one connection. */
export class ReplyQueue {
  readonly #send: (line: string) => void;
  #slots: Slot[] = [];
  #first = 0;
  #waiting: { atMost: number; resolve: () => void }[] = [];

  /** @param send Takes the next line, without its end. */
  constructor(send: (line: string) => void) {
    this.#send = send;
  }

  /** Requests without a reply. */
  get inFlight(): number {
    return this.#slots.length - this.#first;
  }

  /** Takes the next place. */
  open(): Slot {
    const slot: Slot = { done: false, text: null };
    this.#slots.push(slot);
    return slot;
  }

  /** Fills a place; `null` when the request gets no reply. */
  settle(slot: Slot, text: string | null): void {
    slot.done = true;
    slot.text = text;
    while (this.#first < this.#slots.length && this.#slots[this.#first]!.done) {
      const { text } = this.#slots[this.#first++]!;
      if (text !== null) this.#send(text);
    }
    if (this.#first === this.#slots.length) {
      this.#slots = [];
      this.#first = 0;
    } else if (this.#first > 1024) {
      this.#slots = this.#slots.slice(this.#first);
      this.#first = 0;
    }
    this.#tellWaiting();
  }

  /** Resolves when at most so many requests are without a reply. */
  atMost(count: number): Promise<void> {
    if (this.inFlight <= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ atMost: count, resolve }));
  }

  #tellWaiting(): void {
    if (this.#waiting.length === 0) return;
    const { inFlight } = this;
    const ready = this.#waiting.filter((one) => inFlight <= one.atMost);
    if (ready.length === 0) return;
    this.#waiting = this.#waiting.filter((one) => inFlight > one.atMost);
    for (const { resolve } of ready) resolve();
  }
}
