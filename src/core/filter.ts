/**
 * Which events a reader asked for: a set of kinds and a list of topic patterns, both optional.
 *
 * A filter is immutable, and equal filters have equal `key`s, so that readers who want the same can share
 * work.
 */

import type { Kind, LogEvent } from "./event.ts";

/** A compiled filter. */
export class Filter {
  /** Equal for filters that let the same events through by the same rules. */
  readonly key: string;
  readonly #kinds: ReadonlySet<Kind> | null;
  readonly #topics: readonly (readonly string[])[] | null;

  /**
   * @param kinds Kinds to let through; `undefined` for all, an empty list for none.
   * @param topics Topic patterns of which one must match; `undefined` for all, and events without a topic.
   */
  constructor(kinds?: readonly Kind[], topics?: readonly string[]) {
    this.#kinds = kinds ? new Set(kinds) : null;
    this.#topics = topics ? topics.map((pattern) => pattern.split(".")) : null;
    const kindKey = kinds ? [...new Set(kinds)].sort().join(",") : "*";
    const topicKey = topics ? [...new Set(topics)].sort().join(",") : "*";
    this.key = `${kindKey}|${topicKey}`;
  }

  /** Whether every event passes. */
  get passesAll(): boolean {
    return this.#kinds === null && this.#topics === null;
  }

  matches(event: LogEvent): boolean {
    if (this.#kinds !== null && !this.#kinds.has(event.kind)) return false;
    if (this.#topics === null) return true;
    if (event.topic === null) return false;
    const segments = event.topic.split(".");
    return this.#topics.some((pattern) => matchesPattern(pattern, segments));
  }
}

/** A filter that lets every event through. */
export const ALL_EVENTS: Filter = new Filter();

function matchesPattern(pattern: readonly string[], topic: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === ">") return topic.length > i;
    if (i >= topic.length) return false;
    if (pattern[i] !== "*" && pattern[i] !== topic[i]) return false;
  }
  return pattern.length === topic.length;
}
