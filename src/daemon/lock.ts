/**
 * The lock that decides who is the daemon of a directory.
 *
 * The file is locked for the life of the process and never unlinked, so there is one lock and one answer. What
 * other files say about a running daemon, a pid above all, serves messages only.
 */

import { join } from "@std/path/posix";
import { PosternError } from "../core/errors.ts";
import { readTraces } from "./traces.ts";
import { openOwnFile } from "./safe_file.ts";

/** A lock that is held until `release`, or until the process ends. */
export interface Lock {
  release(): void;
}

/** Whoever only looks whether a daemon runs holds the lock for a moment; that is no daemon. */
const TRIES = 5;
const PAUSE_MS = 20;

/**
 * Takes the directory's lock.
 *
 * @param directory The runtime directory.
 * @param uid The user the file must belong to.
 * @returns The lock.
 * @throws {PosternError} `conflict`, naming who seems to hold it; `permission_denied` for a foreign file.
 */
export async function takeLock(directory: string, uid: number | null): Promise<Lock> {
  const file = openOwnFile(join(directory, "daemon.lock"), { uid });
  for (let tries = 1; tries <= TRIES; tries++) {
    if (file.tryLockSync(true)) return { release: () => file.close() };
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  file.close();
  throw new PosternError(
    "conflict",
    `taking the lock: a daemon is already running in ${directory}: ${holder(directory, uid)}`,
  );
}

function holder(directory: string, uid: number | null): string {
  const { pid, startedAt, version } = readTraces(directory, uid) ?? {};
  if (pid === undefined || pid === null) return "it has not said its pid yet";
  const since = startedAt ? `, started ${startedAt}` : ", starting";
  return `pid ${pid}${version ? `, version ${version}` : ""}${since}`;
}
