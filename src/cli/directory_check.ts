/**
 * The daemon's directory looked over as a start looks it over, without making or changing anything.
 *
 * It is the daemon's own code that checks. That code also makes what is missing and closes what is empty, so it
 * is asked only about directories where it finds nothing of the kind to do.
 */

import { join } from "@std/path/posix";
import {
  checkEntries,
  preparePrivateDirectory,
  SUBDIRECTORIES,
} from "../daemon/runtime_directory.ts";
import { lookAt } from "../daemon/safe_file.ts";

/**
 * Checks a runtime directory; one that is missing is right, a start makes it.
 *
 * @param directory The absolute path.
 * @param uid The user it must belong to; `null` where the platform knows none.
 * @throws {PosternError} `permission_denied`, `invalid_params`, as a start would.
 */
export function checkDirectory(directory: string, uid: number | null): void {
  const all = [directory, ...SUBDIRECTORIES.map((name) => join(directory, name))];
  for (const path of all.filter(isSettled)) {
    preparePrivateDirectory(path, uid);
    checkEntries(directory, path, uid);
  }
}

/** Whether a start would leave what stands at the path as it is, or refuse it. */
function isSettled(path: string): boolean {
  const info = lookAt(path);
  if (info === null) return false;
  const isOpen = info.isDirectory && info.mode !== null && (info.mode & 0o777) !== 0o700;
  return !isOpen || !isEmpty(path);
}

/** One that cannot be read is another's, and for a start to refuse. */
function isEmpty(path: string): boolean {
  try {
    return Deno.readDirSync(path)[Symbol.iterator]().next().done === true;
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}
