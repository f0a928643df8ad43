/**
 * The lock that decides who is the daemon of a directory.
 *
 * The file is locked for the life of the process and never unlinked, so there is one lock and one answer. What
 * other files say about a running daemon, a pid above all, serves messages only.
 */

import { join } from "@std/path";
import { PosternError } from "../core/errors.ts";
import { readTraces } from "./traces.ts";
import { openOwnFile } from "./safe_file.ts";

/** A lock that is held until `release`, or until the process ends. */
export interface Lock {
  release(): void;
}

/**
 * Takes the directory's lock.
 *
 * @param directory The runtime directory.
 * @param uid The user the file must belong to.
 * @returns The lock.
 * @throws {PosternError} `conflict`, naming who seems to hold it; `permission_denied` for a foreign file.
 */
export function takeLock(directory: string, uid: number | null): Lock {
  const file = openOwnFile(join(directory, "daemon.lock"), { uid });
  if (file.tryLockSync(true)) return { release: () => file.close() };
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
