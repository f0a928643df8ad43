/**
 * Which events a reader asked for: a set of kinds and a list of topic patterns, both optional.
 *
 * A filter is immutable, and equal filters have equal `key`s, so that readers who want the same can share
 * work.
 */

import type { Kind, LogEvent } from "./event.ts";

/** What a reader wants to see; all of it must hold. */
export interface Wanted {
  readonly kinds?: readonly Kind[] | undefined;
  /** Patterns of which the topic must match one; events without a topic do not. */
  readonly topics?: readonly string[] | undefined;
  /** Patterns of which the channel must match one: the topic, else `event.<kind>`. */
  readonly channels?: readonly string[] | undefined;
}

/** A compiled filter. */
export class Filter {
  /** Equal for filters that let the same events through by the same rules. */
  readonly key: string;
  readonly #kinds: ReadonlySet<Kind> | null;
  readonly #topics: NamePatterns | null;
  readonly #channels: NamePatterns | null;

  /** @param wanted What to let through; what is left out lets everything through, an empty list nothing. */
  constructor(wanted: Wanted = {}) {
    const { kinds, topics, channels } = wanted;
    this.#kinds = kinds ? new Set(kinds) : null;
    this.#topics = patternsOf(topics);
    this.#channels = patternsOf(channels);
    this.key = [kinds, topics, channels]
      .map((list) => list ? [...new Set<string>(list)].sort().join(",") : "*").join("|");
  }

  /** Whether every event passes. */
  get passesAll(): boolean {
    return this.#kinds === null && this.#topics === null && this.#channels === null;
  }

  matches(event: Pick<LogEvent, "kind" | "topic">): boolean {
    if (this.#kinds !== null && !this.#kinds.has(event.kind)) return false;
    if (!matchesAny(this.#topics, event.topic)) return false;
    if (this.#channels === null) return true;
    return matchesAny(this.#channels, event.topic ?? `event.${event.kind}`);
  }
}

/** Patterns of dotted names, of which one must match. */
export class NamePatterns {
  readonly #patterns: readonly (readonly string[])[];

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map((pattern) => pattern.split("."));
  }

  matches(name: string): boolean {
    const segments = name.split(".");
    return this.#patterns.some((pattern) => matchesPattern(pattern, segments));
  }
}

function patternsOf(patterns: readonly string[] | undefined): NamePatterns | null {
  return patterns ? new NamePatterns(patterns) : null;
}

function matchesAny(patterns: NamePatterns | null, name: string | null): boolean {
  return patterns === null || (name !== null && patterns.matches(name));
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
