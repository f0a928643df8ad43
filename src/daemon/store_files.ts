/**
 * Opens the store, and makes sure that the database's files are ours before SQLite opens them by name.
 *
 * SQLite follows links and asks nobody; whoever put a link in their place would be given the log.
 */

import { join } from "@std/path/posix";
import { PosternError } from "../core/errors.ts";
import type { Log, LogStore } from "../core/ports.ts";
import { openKvStore } from "../store/kv_store.ts";
import { openHeadHint } from "./head_hint.ts";
import { lookAt, openOwnFile, removeIfPossible, storageRefusal, writeAll } from "./safe_file.ts";

/** The database, and what SQLite keeps beside it. */
const DATABASE = "events.kv";
const WRITE_AHEAD = "events.kv-wal";
const BESIDE = [WRITE_AHEAD, "events.kv-shm"];
/** SQLite makes both anew when the last start ended in order, and cannot read without. */
const NEEDED_BYTES = 64 * 1024;

/**
 * Opens the store of a directory, or makes one.
 *
 * @throws PosternError `unsupported_version` for one of a newer format, `permission_denied` for files that are not what
 * they should be, `storage_full` when it cannot be opened for lack of room, `conflict` for a write-ahead log without its
 * database, `internal` for a database that cannot be read.
 */
export async function openStore(
  directory: string,
  { uid, log }: { readonly uid: number | null; readonly log: Log },
): Promise<LogStore> {
  const path = prepareStoreFiles(directory, uid);
  const hint = openHeadHint(directory, { uid, log });
  try {
    return await openKvStore({ path, hint, log, newEpoch: () => crypto.randomUUID() });
  } catch (error) {
    hint.close();
    if (error instanceof PosternError) throw error;
    // What SQLite says of a full disk is "disk I/O error".
    throw refusalOfRoom(join(directory, "daemon.probe.new"), uid) ?? damaged(error);
  }
}

/** It is left as it is: what can be done is a person's to decide. */
function damaged(error: unknown): PosternError {
  const why = error instanceof Error ? error.message : String(error);
  return new PosternError(
    "internal",
    `opening the store: events.kv cannot be read: ${why}; put a copy of events.kv, events.kv-wal and ` +
      "events.head back together, or move all three away to begin a new log",
  );
}

/** What the disk says to as much as the store needs; `null` when it takes that. */
function refusalOfRoom(path: string, uid: number | null): PosternError | null {
  try {
    using file = openOwnFile(path, { uid });
    writeAll(file, new Uint8Array(NEEDED_BYTES));
    return null;
  } catch (error) {
    const needed = `opening the store, which needs ${NEEDED_BYTES} bytes of room`;
    return storageRefusal(needed, error);
  } finally {
    removeIfPossible(path);
  }
}

/** SQLite would throw it away. */
function lacksDatabase(waiting: number): PosternError {
  return new PosternError(
    "conflict",
    `opening the store: ${DATABASE} is empty or gone, and ${WRITE_AHEAD} beside it holds ${waiting} bytes; ` +
      `put ${DATABASE} back, or move ${WRITE_AHEAD} away to begin a new log`,
  );
}

/**
 * Checks the files that are there, and creates the database's if it is not.
 *
 * @returns The path of the database.
 * @throws PosternError `permission_denied` when one is not a regular file of ours, `conflict` as `openStore`.
 */
function prepareStoreFiles(directory: string, uid: number | null): string {
  const path = join(directory, DATABASE);
  for (const name of BESIDE) {
    const beside = join(directory, name);
    if (lookAt(beside) !== null) openOwnFile(beside, { uid }).close();
  }
  const waiting = lookAt(join(directory, WRITE_AHEAD))?.size ?? 0;
  if (waiting > 0 && (lookAt(path)?.size ?? 0) === 0) throw lacksDatabase(waiting);
  openOwnFile(path, { uid }).close();
  return path;
}
