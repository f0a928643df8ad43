/**
 * How far a volatile record's sequence may go: a bound on disk, so that after a crash it goes on above what was told.
 *
 * Invariant: no sequence beyond a bound is told before that bound is on disk. Bound: one write on its way for each
 * `BOUND_STRIDE / 2` sequences, whatever waits for it.
 */

import { Ticket } from "./ticket.ts";

/** How far ahead of the sequence the bound is set. */
const BOUND_STRIDE = 65_536;

/** The bound of one record. */
export class SequenceBound {
  /** What a definition that is stored now says. */
  bound = BOUND_STRIDE;
  #stored = 0;
  readonly #store: () => Ticket<void>;
  /** The write that was put last. */
  #storing: Ticket<void> = Ticket.of<void>(undefined);

  /** @param store Stores the definition with the bound of then. */
  constructor(store: () => Ticket<void>) {
    this.#store = store;
  }

  /** Takes the bound that was stored. */
  restore(bound: number): void {
    this.bound = this.#stored = bound;
  }

  /** Notes that the definition is on disk, with the first bound. */
  firstStored(): void {
    this.#stored = Math.max(this.#stored, BOUND_STRIDE);
  }

  /**
   * Moves the bound ahead of a sequence.
   *
   * @param othersWait Whether sequences before it wait to be told.
   * @returns What the sequence waits for; `null` when it may be told at once.
   */
  reserve(sequence: number, othersWait: boolean): Ticket<void> | null {
    if (sequence > this.bound - BOUND_STRIDE / 2) {
      const bound = this.bound = sequence + BOUND_STRIDE;
      this.#storing = this.#store();
      this.#storing.whenSettled((outcome) => {
        if (outcome.ok) this.#stored = Math.max(this.#stored, bound);
        else if (this.bound === bound) this.bound = this.#stored;
      });
    }
    return sequence > this.#stored || othersWait ? this.#storing : null;
  }

  /** Sets it to what was really told. @returns The write of that; `null` when it is on disk already. */
  settle(sequence: number): Ticket<void> | null {
    if (this.#stored === sequence) return null;
    this.restore(sequence);
    return this.#store();
  }
}
