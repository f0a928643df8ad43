/**
 * Turns of the event loop for whoever has much to do, one at a time, in the order of asking.
 *
 * Between two turns everybody who has little to do is served, so that a flood on some connections delays the
 * others by one turn and not by all of the flood. Bound: one waiter a connection.
 */

/** A row of waiters of whom one a turn goes on. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #scheduled = false;

  /** Resolves when it is this caller's turn. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#waiting.shift()?.();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }
}
