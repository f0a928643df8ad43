/** What differs between two configurations, and what is configured for parts that are not there yet. */

import type { Config } from "./config.ts";
import { DEFAULTS } from "./config_defaults.ts";

/** Keys of parts that are still to come. They are checked, so that a file can be written for both. */
export const WITHOUT_EFFECT: readonly string[] = [
  "daemon.auto_start",
  "daemon.idle_timeout_ms",
];

/** Sections that a reload takes over; any other change needs a restart. */
export const RELOADABLE: ReadonlySet<string> = new Set([
  "limits",
  "records",
  "permissions",
  "log",
]);

/** The keys that say something else than the defaults and change nothing in this version. */
export function keysWithoutEffect(config: Config): string[] {
  return changedKeys(DEFAULTS, config).filter((key) =>
    WITHOUT_EFFECT.some((part) => key === part || key.startsWith(`${part}.`))
  );
}

/** Dotted names of the leaves in which two configurations differ. */
export function changedKeys(before: unknown, after: unknown, prefix = ""): string[] {
  if (!isRecord(before) || !isRecord(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [prefix];
  }
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) =>
    changedKeys(before[name], after[name], prefix === "" ? name : `${prefix}.${name}`)
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
