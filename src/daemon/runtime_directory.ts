/**
 * The runtime directory: made or checked before anything in it is used.
 *
 * It is absolute, its own real path, ours, closed to everyone else, and holds no link, no other user's file and
 * no socket but our own: the daemon's permissions end at this directory, and a link in it would be a way out.
 * Its parents are trusted: whoever may rename them may put another directory in its place.
 */

import { isAbsolute, join } from "@std/path/posix";
import { PosternError, shown } from "../core/errors.ts";
import { lookAt, shownMode } from "./safe_file.ts";

/** Directories that are made in it. */
export const SUBDIRECTORIES = ["log", "clients", "blobs"] as const;

/** Sockets that may lie in it. */
export const SOCKET_NAMES = ["postern.sock", "http.sock"] as const;

/** The widest mode of a directory that a group finds sockets in. */
const SHARED_MODE = 0o750;

/**
 * Makes the directory with its subdirectories, or checks the ones that are there.
 *
 * An empty directory of ours that others may read is closed to them; one with files in it is refused, because
 * nobody knows who put them there.
 *
 * @param directory The absolute path.
 * @param uid The user it must belong to; `null` where the platform knows none.
 * @throws {PosternError} `permission_denied` when it is not private, `invalid_params` when it is no path to use.
 */
export function prepareDirectory(directory: string, uid: number | null): void {
  preparePrivateDirectory(directory, uid);
  for (const name of SUBDIRECTORIES) preparePrivateDirectory(join(directory, name), uid);
  for (const path of [directory, ...SUBDIRECTORIES.map((name) => join(directory, name))]) {
    checkEntries(directory, path, uid);
  }
}

/**
 * Checks what lies in the directory, or in a subdirectory of it.
 *
 * @param directory The runtime directory.
 * @param path It, or one of its subdirectories.
 * @throws {PosternError} `permission_denied` for a link, another user's file, or a foreign socket.
 */
export function checkEntries(directory: string, path: string, uid: number | null): void {
  for (const entry of Deno.readDirSync(path)) checkEntry(directory, join(path, entry.name), uid);
}

/**
 * Makes a directory that only its owner may enter, or checks one.
 *
 * @param path The absolute path, without a link anywhere in it.
 * @param uid The user it must belong to.
 * @throws {PosternError} `permission_denied`, `invalid_params`
 */
export function preparePrivateDirectory(path: string, uid: number | null): void {
  requireAbsolute(path);
  if (lookAt(path) === null) make(path);
  checkMode(path, checkOwn(path, uid).mode);
}

/**
 * Checks a directory that somebody else made so that a group finds sockets in it, such as a service manager.
 *
 * It is ours, the group may enter it and not change it, and others may neither: nobody but us puts a socket there.
 *
 * @param path The absolute path, without a link anywhere in it.
 * @param uid The user it must belong to.
 * @throws {PosternError} `permission_denied`, `invalid_params`
 */
export function checkSharedDirectory(path: string, uid: number | null): void {
  requireAbsolute(path);
  if (lookAt(path) === null) {
    throw refusal(path, "it is missing; whoever shares it makes it, mode 0750, with its group");
  }
  const { mode } = checkOwn(path, uid);
  if (mode !== null && (mode & 0o777 & ~SHARED_MODE) !== 0) {
    const most = shownMode(SHARED_MODE);
    throw refusal(path, `it has mode ${shownMode(mode)}, at most ${most} is allowed`);
  }
  for (const entry of Deno.readDirSync(path)) checkEntry(path, join(path, entry.name), uid);
}

function requireAbsolute(path: string): void {
  if (isAbsolute(path) && !path.includes("\0")) return;
  throw new PosternError(
    "invalid_params",
    `checking a directory: ${shown(path)} is not absolute`,
  );
}

/** @returns What stands at the path: a directory of ours, under its real name. */
function checkOwn(path: string, uid: number | null): Deno.FileInfo {
  const info = lookAt(path);
  if (info === null) throw refusal(path, "it vanished");
  if (info.isSymlink) throw refusal(path, "it is a symbolic link");
  if (!info.isDirectory) throw refusal(path, "it is no directory");
  const real = Deno.realPathSync(path);
  if (real !== path) throw refusal(path, `its real path is ${real}; name that one`);
  if (uid !== null && info.uid !== null && info.uid !== uid) {
    throw refusal(path, `it belongs to user ${info.uid}, not to user ${uid}`);
  }
  return info;
}

function make(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw refusal(path, `it cannot be made: ${error instanceof Error ? error.message : error}`);
  }
  // The umask takes bits from a new directory; ours takes the x bit that a directory needs.
  Deno.chmodSync(path, 0o700);
}

function checkMode(path: string, mode: number | null): void {
  if (mode === null || (mode & 0o777) === 0o700) return;
  if (!Deno.readDirSync(path)[Symbol.iterator]().next().done) {
    throw refusal(path, `it has mode ${shownMode(mode)}, 0700 is needed (chmod 700)`);
  }
  Deno.chmodSync(path, 0o700);
}

function checkEntry(directory: string, path: string, uid: number | null): void {
  const info = lookAt(path);
  if (info === null) return;
  if (info.isSymlink) {
    throw refusal(path, "it is a symbolic link, which may lead out of the directory");
  }
  if (uid !== null && info.uid !== null && info.uid !== uid) {
    throw refusal(path, `it belongs to user ${info.uid}, not to user ${uid}`);
  }
  if (info.isFile && info.nlink !== null && info.nlink > 1) {
    throw refusal(path, `it has ${info.nlink} hard links, one is allowed`);
  }
  if (info.isFile || info.isDirectory) return;
  const ours = SOCKET_NAMES.some((name) => path === join(directory, name));
  if (!info.isSocket || !ours) {
    throw refusal(path, "it is neither a file nor a socket of the daemon");
  }
}

function refusal(path: string, why: string): PosternError {
  return new PosternError(
    "permission_denied",
    `checking the directory: ${path} is refused: ${why}`,
  );
}
