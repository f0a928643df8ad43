/**
 * Patterns of record names: dot-separated segments, `*` for one segment, a last `>` for one or more.
 *
 * A name is a pattern that only it matches.
 */

import { shown } from "../client/errors.ts";
import { isTopicPattern } from "../core/topics.ts";
import { UsageError } from "./exit_codes.ts";

/** @throws {UsageError} when it is no pattern. */
export function requirePattern(text: string): string {
  if (isTopicPattern(text)) return text;
  throw new UsageError(
    `a pattern is a name such as sensor.temp, sensor.* or sensor.>, not ${shown(text)}`,
  );
}

/**
 * Requires of patterns that no record can match two of them, for it would be told twice.
 *
 * @throws {UsageError} that names two that overlap.
 */
export function requireApart(patterns: readonly string[]): void {
  for (const [at, one] of patterns.entries()) {
    const other = patterns.slice(at + 1).find((later) => overlaps(one, later));
    if (other === undefined) continue;
    throw new UsageError(
      `${shown(one)} and ${shown(other)} overlap, and a record of both would be told twice`,
    );
  }
}

/** Whether there can be a name that matches both. */
export function overlaps(one: string, other: string): boolean {
  const [a, b] = [one.split("."), other.split(".")];
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    if (a[at] === ">" || b[at] === ">") return true;
    if (a[at] !== b[at] && a[at] !== "*" && b[at] !== "*") return false;
  }
  return a.length === b.length;
}
