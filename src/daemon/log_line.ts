/**
 * One line of the daemon's log: time, level, message, fields as `key=value`.
 *
 * A line is one line whatever it is given, without control characters, and bounded: a client's bad input cannot
 * forge an entry or flood the disk with one. Nothing that looks like a secret gets in, whoever passed it on.
 */

import { withoutSecrets } from "../core/errors.ts";

/** Of a message or a field, so many characters are written. */
const MAX_PART = 1024;
/** Of the fields of one line, so many are written. */
const MAX_FIELDS = 32;

/** How much a line matters. */
export type Level = "debug" | "info" | "warn" | "error";

/** What a line tells. */
export interface Entry {
  readonly level: Level;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  readonly atMs: number;
}

/** The line, with its newline. */
export function logLine(entry: Entry): string {
  const { level, message, fields = {}, atMs } = entry;
  const head = `${new Date(atMs).toISOString()} ${level.toUpperCase().padEnd(5)} ${clean(message)}`;
  const tail = Object.entries(fields).slice(0, MAX_FIELDS)
    .map(([key, value]) => ` ${clean(key)}=${shownValue(value)}`);
  return `${head}${tail.join("")}\n`;
}

function shownValue(value: unknown): string {
  const text = textOf(value);
  return /^[^\s"=]+$/.test(text) ? clean(text) : `"${clean(text).replaceAll(/["\\]/g, "\\$&")}"`;
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return value.stack ?? `${value.name}: ${value.message}`;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

function clean(text: string): string {
  const harmless = withoutSecrets(text.slice(0, 2 * MAX_PART));
  const cut = harmless.length > MAX_PART ? `${harmless.slice(0, MAX_PART)}...` : harmless;
  return cut.replaceAll(/\s*[\r\n]+\s*/g, " | ").replaceAll(/[\p{Cc}\u2028\u2029]/gu, "?");
}
