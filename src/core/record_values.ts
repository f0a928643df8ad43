/**
 * The values that one record holds, by slot, and their characters in the account of all records.
 *
 * Invariant: a slot has the latest update whose sequence falls on it. Bound: `capacity` values.
 */

import type { RecordUpdate } from "./record.ts";

/** A record's values. */
export class RecordValues {
  readonly #capacity: number;
  readonly #hold: (chars: number) => void;
  readonly #slots = new Map<number, RecordUpdate>();

  /** @param hold Accounts for characters that are kept no longer; whoever keeps a value has accounted for it. */
  constructor(capacity: number, hold: (chars: number) => void) {
    this.#capacity = capacity;
    this.#hold = hold;
  }

  /** Characters of the value that one of this sequence takes the place of. */
  charsReplacedBy(sequence: number): number {
    return this.#slots.get(sequence % this.#capacity)?.value.length ?? 0;
  }

  keep(update: RecordUpdate): void {
    this.#hold(-this.charsReplacedBy(update.sequence));
    this.#slots.set(update.sequence % this.#capacity, update);
  }

  clear(): void {
    for (const { value } of this.#slots.values()) this.#hold(-value.length);
    this.#slots.clear();
  }

  /** The last values, oldest first. */
  history(limit: number): RecordUpdate[] {
    const values = [...this.#slots.values()].sort((a, b) => a.sequence - b.sequence);
    return values.slice(Math.max(0, values.length - limit));
  }
}
