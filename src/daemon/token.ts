/**
 * The owner's token: 256 random bits as 64 hex digits in a file that only the owner can read.
 *
 * It is created in one step and never through a link. A file that others could have read or written is refused,
 * not repaired: who has seen it stays unknown. To rotate it, ask the daemon to (`token.rotate`), or replace the file
 * and send SIGHUP.
 */

import { PosternError } from "../core/errors.ts";
import { lookAt, readOwnFile, replaceOwnFile } from "./safe_file.ts";

/**
 * The token in a file, which is made if it is missing.
 *
 * @param path Where it is.
 * @param uid The user it must belong to; `null` where the platform knows none.
 * @returns 64 hex digits, in lower case.
 * @throws {PosternError} `permission_denied` when it is no private file of ours, `invalid_params` when it holds no
 *   token.
 */
export function loadOrCreateToken(path: string, uid: number | null): Promise<string> {
  return Promise.try(() => load(path, uid) ?? create(path, uid));
}

function load(path: string, uid: number | null): string | null {
  const text = readOwnFile(path, { uid, limit: 1024 });
  if (text === null) return null;
  const token = text.trim().toLowerCase();
  if (/^[0-9a-f]{64}$/.test(token)) return token;
  throw new PosternError(
    "invalid_params",
    `reading the token: ${path} must hold 64 hex digits, not ${token.length} other characters; ` +
      "remove it to have a new one made",
  );
}

/** A token that was put into the file. */
export interface Replaced {
  readonly token: string;
  /** Why it may not outlive a loss of power; `null` when it does. */
  readonly doubt: string | null;
}

/**
 * Puts a new token into the file, in one step: a reader finds the one or the other.
 *
 * @returns What the file holds now.
 * @throws {PosternError} `permission_denied` when something else stands there, `storage_full` when it cannot be
 * written; then it holds what it held.
 */
export function replaceToken(path: string, uid: number | null): Replaced {
  const token = newToken();
  try {
    replaceOwnFile(path, token, { uid });
    return { token, doubt: null };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (holds(path, uid, token)) return { token, doubt: why };
    if (error instanceof PosternError) throw error;
    throw new PosternError("storage_full", `writing the token: ${path} cannot be replaced: ${why}`);
  }
}

function holds(path: string, uid: number | null, token: string): boolean {
  try {
    return load(path, uid) === token;
  } catch {
    return false;
  }
}

/** How long ago the token was written, in milliseconds; below 0 if the clock was ahead then. */
export function tokenAgeMs(path: string, nowMs: number): number {
  const written = lookAt(path)?.mtime ?? null;
  return written === null ? 0 : nowMs - written.getTime();
}

function create(path: string, uid: number | null): string {
  const token = newToken();
  replaceOwnFile(path, token, { uid });
  return token;
}

/** Without a newline: clients of the AXON spec send what the file holds. */
function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toHex();
}
