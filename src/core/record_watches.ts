/**
 * Who watches which records, by name or by pattern.
 *
 * Invariants: a watch has every record that it matches from the record's first moment to its last; it takes from a
 * mailbox only by the exact name and where it may: a pattern has no mailboxes. Bounded by the connections'
 * subscriptions.
 */

import { isTopic } from "./event.ts";
import { NamePatterns } from "./filter.ts";
import type { LiveRecord, RecordWatcher } from "./record.ts";

/** A watch by name or pattern. */
export interface RecordWatch {
  /** Nothing is told after this. */
  end(): void;
  /** Asks the mailboxes it watches for what they hold: the watcher is ready again. */
  ready(): void;
  /** Those that it watches now. */
  records(): LiveRecord[];
}

/** Whether a watcher may take from the mailbox of this name. */
export type MayTake = (name: string) => boolean;

/** One watch. */
export class Watching implements RecordWatch {
  readonly pattern: string;
  readonly watcher: RecordWatcher;
  readonly isExact: boolean;
  readonly #patterns: NamePatterns;
  readonly #mayTake: MayTake;
  readonly #onEnd: () => void;
  readonly #records = new Set<LiveRecord>();

  constructor(
    pattern: string,
    watcher: RecordWatcher,
    options: { readonly mayTake: MayTake; readonly onEnd: () => void },
  ) {
    this.pattern = pattern;
    this.watcher = watcher;
    this.isExact = isTopic(pattern);
    this.#patterns = new NamePatterns([pattern]);
    this.#mayTake = options.mayTake;
    this.#onEnd = options.onEnd;
  }

  matches({ definition: { name, bufferType } }: LiveRecord): boolean {
    if (!this.#patterns.matches(name)) return false;
    return bufferType !== "mailbox" || (this.isExact && this.#mayTake(name));
  }

  /** Watches a record that it matches. */
  enter(record: LiveRecord, initial: boolean): void {
    this.#records.add(record);
    record.watch(this.watcher, initial);
  }

  /** The record is not there any more. */
  leave(record: LiveRecord): void {
    this.#records.delete(record);
  }

  records(): LiveRecord[] {
    return [...this.#records];
  }

  end(): void {
    this.#onEnd();
    for (const record of this.#records) record.unwatch(this.watcher);
    this.#records.clear();
  }

  ready(): void {
    // Only a name has mailboxes.
    if (this.isExact) { for (const record of this.#records) record.offer(); }
  }
}

/** All watches of one daemon. */
export class RecordWatches {
  readonly #byName = new Map<string, Set<Watching>>();
  readonly #byPattern = new Set<Watching>();

  /** Adds a watch that has no records yet. */
  open(pattern: string, watcher: RecordWatcher, mayTake: MayTake): Watching {
    const watching: Watching = new Watching(pattern, watcher, {
      mayTake,
      onEnd: () => this.#remove(watching),
    });
    if (!watching.isExact) this.#byPattern.add(watching);
    else {
      const others = this.#byName.get(pattern);
      if (others === undefined) this.#byName.set(pattern, new Set([watching]));
      else others.add(watching);
    }
    return watching;
  }

  /** A record is there from now on. */
  enter(record: LiveRecord): void {
    for (const watching of this.#of(record)) {
      if (watching.matches(record)) watching.enter(record, false);
    }
  }

  /** A record is not there any more. */
  leave(record: LiveRecord): void {
    for (const watching of this.#of(record)) watching.leave(record);
  }

  /** Those that may have it. */
  #of(record: LiveRecord): Watching[] {
    return [...this.#byName.get(record.definition.name) ?? [], ...this.#byPattern];
  }

  #remove(watching: Watching): void {
    this.#byPattern.delete(watching);
    const others = this.#byName.get(watching.pattern);
    others?.delete(watching);
    if (others?.size === 0) this.#byName.delete(watching.pattern);
  }
}
