/**
 * Turns of the event loop for whoever has much to do, one at a time, in the order of asking.
 *
 * Between two turns everybody who has little to do is served, so that a flood on some connections delays the
 * others by a few turns and not by all of the flood. Bound: one waiter a connection.
 */

/** While turns follow each other, sockets are looked at every 61 turns only; after so long they are at once. */
const ROW_MS = 16;

/** A row of waiters of whom one a turn goes on. One server has one row. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #running = false;
  /** When the turns began that have followed each other since. */
  #began = 0;

  /**
   * Resolves when it is this caller's turn.
   *
   * @param workedMs How long others have waited for the caller already.
   */
  next(workedMs = 0): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#running) return;
      this.#running = true;
      this.#began = performance.now() - workedMs;
      setImmediate(() => this.#turn());
    });
  }

  #turn(): void {
    if (this.#waiting.length === 0) {
      this.#running = false;
    } else if (performance.now() - this.#began > ROW_MS) {
      // An event loop with nothing to do at once, if only for a millisecond, looks at every socket.
      setTimeout(() => {
        this.#began = performance.now();
        this.#turn();
      }, 0);
    } else {
      this.#waiting.shift()!();
      // Once more even if nobody waits: whoever goes on may ask again before.
      setImmediate(() => this.#turn());
    }
  }
}
