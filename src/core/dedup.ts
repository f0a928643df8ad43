/**
 * Which dedup keys are taken, so that a repeated send answers what the first one answered.
 *
 * A key is remembered as long as its event is retained, and from the moment it waits for its commit.
 * Entries stand in the order of their seqs, so the oldest leave from the front with retention, which also
 * bounds the map: a key's bytes count as bytes of its event.
 */

import type { DedupEntry } from "./event.ts";
import type { Appended } from "./group_commit.ts";
import { Ticket } from "./ticket.ts";

/** The taken keys of one log. */
export class DedupKeys {
  readonly #byKey = new Map<string, Ticket<Appended>>();
  /** Keys by seq, for the way out. */
  readonly #bySeq = new Map<string, number>();

  constructor(entries: Iterable<DedupEntry>) {
    for (const { key, seq, msgId } of entries) {
      // A key that was forgotten and taken again may still stand in its old block, too.
      this.#bySeq.delete(key);
      this.#byKey.set(key, Ticket.of({ seq, msgId }));
      this.#bySeq.set(key, seq);
    }
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** The outcome of the send that took the key, or `undefined` when it is free. */
  find(key: string): Ticket<Appended> | undefined {
    return this.#byKey.get(key);
  }

  /** Takes a key for a send that waits for its commit; gives it back if that fails. */
  take(key: string, outcome: Ticket<Appended>): void {
    this.#byKey.set(key, outcome);
    outcome.whenSettled((settled) => {
      if (settled.ok) this.#bySeq.set(key, settled.value.seq);
      else this.#byKey.delete(key);
    });
  }

  /** Forgets the keys of events before `front`. */
  forgetBefore(front: number): void {
    for (const [key, seq] of this.#bySeq) {
      if (seq >= front) return;
      this.#bySeq.delete(key);
      this.#byKey.delete(key);
    }
  }
}
