/**
 * What a daemon leaves in its directory while it runs: its pid and its discovery file.
 *
 * Both go away on an orderly stop. Whoever holds the lock and finds them knows that the last daemon did not stop
 * in order, or could not remove them from a disk that was read-only; whoever does not hold it may only use them in
 * messages. They are read with mistrust: a wrong field is no field.
 */

import { join } from "@std/path/posix";
import { PosternError } from "../core/errors.ts";
import { readOwnFile, removeIfPossible, replaceOwnFile } from "./safe_file.ts";

/** What was found of a daemon. */
export interface Traces {
  readonly pid: number | null;
  readonly startedAt: string | null;
  readonly version: string | null;
  readonly epoch: string | null;
}

/**
 * The traces in a directory, or `null` when there are none.
 *
 * @throws {PosternError} `permission_denied` when something foreign stands in their place.
 */
export function readTraces(directory: string, uid: number | null): Traces | null {
  const pid = readOrNothing(join(directory, "daemon.pid"), uid);
  const discovery = readOrNothing(join(directory, "daemon.json"), uid);
  if (pid === null && discovery === null) return null;
  const facts = fieldsOf(discovery);
  return {
    pid: /^[1-9][0-9]{0,9}\n?$/.test(pid ?? "") ? Number(pid) : wholeNumber(facts.pid),
    startedAt: shortText(facts.started_at),
    version: shortText(facts.version),
    epoch: shortText(facts.epoch),
  };
}

/** Writes the pid for people and service managers. */
export function writePid(directory: string, pid: number, uid: number | null): void {
  replaceOwnFile(join(directory, "daemon.pid"), `${pid}\n`, { uid });
}

/** Removes the pid file; the last thing that an orderly stop does. */
export function removePid(directory: string): void {
  removeIfPossible(join(directory, "daemon.pid"));
}

function readOrNothing(path: string, uid: number | null): string | null {
  try {
    return readOwnFile(path, { uid });
  } catch (error) {
    // Far too long for what it should be: not readable, and no reason not to start.
    if (error instanceof PosternError && error.code === "too_large") return "";
    throw error;
  }
}

function fieldsOf(text: string | null): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function wholeNumber(value: unknown): number | null {
  return Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : null;
}

function shortText(value: unknown): string | null {
  return typeof value === "string" && /^[\x21-\x7e]{1,64}$/.test(value) ? value : null;
}
