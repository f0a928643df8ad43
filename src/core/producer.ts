/**
 * Who sets records, as their metadata counts it.
 *
 * Bounds: `MAX_PRODUCED` records each.
 */

import type { LiveRecord } from "./record.ts";

/** Records that one who sets them counts as producer of; with more, the first is forgotten. */
const MAX_PRODUCED = 1000;

/** One who sets records: a connection, or a program that runs the daemon inside itself. */
export class Producer {
  readonly #records = new Set<LiveRecord>();
  #ended = false;

  /** Counts as a producer of the record from now on. */
  uses(record: LiveRecord): void {
    // What was sent before the end may begin after it.
    if (this.#ended || this.#records.has(record)) return;
    if (this.#records.size >= MAX_PRODUCED) this.#leave(this.#records.values().next().value!);
    this.#records.add(record);
    record.producers.add(this);
  }

  /** Counts no longer. */
  end(): void {
    this.#ended = true;
    for (const record of [...this.#records]) this.#leave(record);
  }

  #leave(record: LiveRecord): void {
    this.#records.delete(record);
    record.producers.delete(this);
  }
}
