/**
 * What is to be undone when a caller goes: leases that are released with it, calls that are cancelled.
 *
 * Invariant: each task is done once, when the caller goes, or at once where it has gone; or never, once it is taken
 * back. Bounded by whoever adds tasks: each belongs to something that is bounded itself.
 */

/** The end of one caller, for whoever has something to do then. */
export class Departure {
  readonly #tasks = new Set<() => void>();
  #isOver = false;

  /** Whether the caller has gone. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** How many tasks wait. */
  get size(): number {
    return this.#tasks.size;
  }

  /**
   * Has a task done when the caller goes.
   *
   * @returns Takes the task back.
   */
  add(task: () => void): () => void {
    // A function of its own: the same task may be added twice.
    const own = () => task();
    if (this.#isOver) own();
    else this.#tasks.add(own);
    return () => void this.#tasks.delete(own);
  }

  /** The caller has gone. Idempotent. */
  end(): void {
    this.#isOver = true;
    // One may take another back.
    for (const task of [...this.#tasks]) if (this.#tasks.delete(task)) task();
  }
}
