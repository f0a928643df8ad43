/**
 * Opening files of the runtime directory without being led elsewhere.
 *
 * Deno follows symbolic links and has no flag against it, so every open is followed by a comparison: what was
 * opened must be what stands at the path, a regular file with one link, ours, and no wider open than asked.
 * Nothing is truncated before that holds. Every file that the daemon keeps is opened here.
 */

import { basename, dirname } from "@std/path/posix";
import { PosternError, shown } from "../core/errors.ts";

/** What a file must satisfy. */
export interface OwnFileOptions {
  /** The owner it must have; `null` where the platform knows none. */
  readonly uid: number | null;
  /** The widest mode it may have, and the mode it is created with. @default {0o600} */
  readonly mode?: number;
  /** Writes go to the end, whoever else writes. @default {false} */
  readonly append?: boolean;
}

/** What a file that is read whole must satisfy. */
export interface ReadOptions extends OwnFileOptions {
  /** Larger files are refused. @default {65536} */
  readonly limit?: number;
}

/**
 * Opens a file of ours for reading and writing, and creates it if it is missing. Its content is left alone.
 *
 * @param path Where it is.
 * @param options What it must satisfy.
 * @returns The open file.
 * @throws {PosternError} `permission_denied` when something else stands at the path, `storage_full` when it is missing
 * and the disk takes nothing.
 */
export function openOwnFile(path: string, options: OwnFileOptions): Deno.FsFile {
  const access = { read: true, write: true, append: options.append ?? false };
  try {
    return Deno.openSync(path, { ...access, createNew: true, mode: options.mode ?? 0o600 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return openChecked(path, access, options);
    throw storageRefusal(`opening ${basename(path)}`, error) ?? refusal(path, messageOf(error));
  }
}

/**
 * What the file system says of a full or read-only disk, in our word for it and without a path, because clients are
 * told; `null` for anything else.
 */
export function storageRefusal(action: string, error: unknown): PosternError | null {
  const text = messageOf(error);
  const isOne = /No space left|Read-only file system|quota|os error (28|30|122)\b/i.test(text);
  if (!isOne) return null;
  const why = text.replace(/(\(os error \d+\)).*$/s, "$1");
  return new PosternError("storage_full", `${action}: the disk takes no more: ${why}`);
}

/**
 * Opens a file of ours that is there, for reading.
 *
 * @throws {PosternError} `permission_denied` when something else stands at the path.
 */
export function openOwnFileToRead(path: string, options: OwnFileOptions): Deno.FsFile {
  return openChecked(path, { read: true }, options);
}

/**
 * The text of a file of ours, or `null` when there is none.
 *
 * @param path Where it is.
 * @param options What it must satisfy.
 * @returns Its text.
 * @throws {PosternError} `permission_denied` when something else stands at the path, `too_large` beyond the limit.
 */
export function readOwnFile(path: string, options: ReadOptions): string | null {
  if (lookAt(path) === null) return null;
  using file = openChecked(path, { read: true }, options);
  const limit = options.limit ?? 65_536;
  const size = file.statSync().size;
  if (size > limit) {
    throw new PosternError(
      "too_large",
      `reading ${shown(path)}: at most ${limit} bytes are allowed, not ${size}`,
    );
  }
  return new TextDecoder().decode(readAll(file, size));
}

/**
 * Replaces a file of ours in one step: a reader sees the old text or the new one, whole, also after a crash. The new
 * one is on disk when this returns.
 *
 * The new text is written beside it under the fixed name `<path>.new`, so that crashes leave one file at most.
 *
 * @param path Where it is.
 * @param text What it shall hold.
 * @param options What an existing file must satisfy.
 * @throws {PosternError} `permission_denied` when something else stands at either path, `storage_full`; an error of
 * the file system's. It holds the new text all the same when only the directory's sync has failed.
 */
export function replaceOwnFile(path: string, text: string, options: OwnFileOptions): void {
  const present = lookAt(path);
  if (present !== null) check(path, present, options);
  const temporary = `${path}.new`;
  try {
    writeNew(temporary, text, options);
  } catch (error) {
    removeIfPossible(temporary);
    throw error;
  }
  Deno.renameSync(temporary, path);
  syncDirectory(dirname(path));
}

function writeNew(path: string, text: string, options: OwnFileOptions): void {
  {
    using file = openOwnFile(path, options);
    file.truncateSync(0);
    writeAll(file, new TextEncoder().encode(text));
    file.syncSync();
  }
  // The umask may have taken bits that are wanted, as for a public key.
  Deno.chmodSync(path, options.mode ?? 0o600);
}

/** Removes what a crash left of a file of ours that was to be replaced; what is not ours stays. */
export function removeLeftover(path: string, uid: number | null): void {
  try {
    const present = lookAt(path);
    if (present === null) return;
    check(path, present, { uid });
    Deno.removeSync(path);
  } catch {
    // Whoever writes the file next says what stands there.
  }
}

/** Makes sure that the names in a directory, as they are now, outlive a loss of power. */
export function syncDirectory(path: string): void {
  using directory = Deno.openSync(path);
  directory.syncSync();
}

/** Removes a file if it is there. A link is removed itself, not what it points to. */
export function removeIfPresent(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Removes a file if it is there and can be removed, which a read-only disk refuses. @returns whether it is gone */
export function removeIfPossible(path: string): boolean {
  try {
    removeIfPresent(path);
    return true;
  } catch {
    return false;
  }
}

/** Writes all of it; one `write` may take less than it is given. */
export function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}

/** What stands at a path, a link as itself; `null` for nothing. */
export function lookAt(path: string): Deno.FileInfo | null {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** A mode as people write it. */
export function shownMode(mode: number | null): string {
  return mode === null ? "unknown" : (mode & 0o7777).toString(8).padStart(4, "0");
}

function openChecked(path: string, access: Deno.OpenOptions, options: OwnFileOptions) {
  // Looked at first as well: opening a pipe would wait for its other end.
  const before = lookAt(path);
  if (before === null) throw refusal(path, "it vanished while it was opened");
  check(path, before, options);
  const file = Deno.openSync(path, access);
  try {
    const opened = file.statSync();
    const now = lookAt(path);
    if (now === null || now.dev !== opened.dev || now.ino !== opened.ino) {
      throw refusal(path, "it was exchanged while it was opened");
    }
    check(path, opened, options);
    check(path, now, options);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

function check(path: string, info: Deno.FileInfo, options: OwnFileOptions): void {
  if (info.isSymlink) throw refusal(path, "it is a symbolic link, a regular file is needed");
  if (!info.isFile) throw refusal(path, "it is no regular file");
  if (info.nlink !== null && info.nlink > 1) {
    throw refusal(path, `it has ${info.nlink} hard links, one is allowed`);
  }
  if (options.uid !== null && info.uid !== null && info.uid !== options.uid) {
    throw refusal(path, `it belongs to user ${info.uid}, not to user ${options.uid}`);
  }
  const widest = options.mode ?? 0o600;
  if (info.mode !== null && (info.mode & 0o777 & ~widest) !== 0) {
    const most = shownMode(widest);
    throw refusal(path, `it has mode ${shownMode(info.mode)}, at most ${most} is allowed`);
  }
}

function readAll(file: Deno.FsFile, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let done = 0;
  while (done < size) {
    const count = file.readSync(bytes.subarray(done));
    if (count === null) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

function refusal(path: string, why: string): PosternError {
  return new PosternError("permission_denied", `opening a file: ${path} is refused: ${why}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
