/**
 * A store whose commits are counted and timed, and which knows whether the last one was stored, and logs when that
 * changes.
 */

import type { Block, BlockInfo } from "../core/event.ts";
import type { Metrics } from "../core/metrics.ts";
import { Ailing } from "./ailing.ts";
import type { CommitBatch, CommitOutcome, Log, LogStore, StoreState } from "../core/ports.ts";

/** The store behind it, unchanged. */
export class MeasuredStore implements LogStore {
  readonly #store: LogStore;
  readonly #metrics: Metrics;
  readonly #ailing: Ailing;

  constructor(store: LogStore, metrics: Metrics, log: Log) {
    this.#store = store;
    this.#metrics = metrics;
    this.#ailing = new Ailing("store", log);
  }

  get state(): StoreState {
    return this.#store.state;
  }

  /** Whether the last commit was not stored. */
  get isFailing(): boolean {
    return this.#ailing.state === "failing";
  }

  async commit(batch: CommitBatch): Promise<CommitOutcome> {
    const began = performance.now();
    const outcome = await this.#store.commit(batch);
    this.#metrics.commitSeconds.observe((performance.now() - began) / 1000);
    this.#ailing.now(outcome.failure);
    if (outcome.failure === undefined) this.#metrics.commits++;
    else this.#metrics.failedCommits++;
    return outcome;
  }

  load(first: BlockInfo, limit: number): Promise<Block[]> {
    return this.#store.load(first, limit);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
