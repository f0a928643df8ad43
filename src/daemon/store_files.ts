/**
 * Makes sure that the database's files are ours before SQLite opens them by name.
 *
 * SQLite follows links and asks nobody; whoever put a link in their place would be given the log.
 */

import { join } from "@std/path/posix";
import { lookAt, openOwnFile } from "./safe_file.ts";

/** The database, and what SQLite keeps beside it. */
const DATABASE = "events.kv";
const BESIDE = ["events.kv-wal", "events.kv-shm"];

/**
 * Checks the files that are there, and creates the database's if it is not.
 *
 * @returns The path of the database.
 * @throws PosternError `permission_denied` when one is not a regular file of ours.
 */
export function prepareStoreFiles(directory: string, uid: number | null): string {
  const path = join(directory, DATABASE);
  openOwnFile(path, { uid }).close();
  for (const name of BESIDE) {
    const beside = join(directory, name);
    if (lookAt(beside) !== null) openOwnFile(beside, { uid }).close();
  }
  return path;
}
