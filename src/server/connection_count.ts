/** How many connections are open, of one server or of all that share the count, so that one limit holds for all. */

/** A count of open connections. */
export class ConnectionCount {
  #open = 0;

  get open(): number {
    return this.#open;
  }

  /** One more is open. */
  enter(): void {
    this.#open++;
  }

  /** One that had entered has ended. */
  leave(): void {
    this.#open--;
  }
}
