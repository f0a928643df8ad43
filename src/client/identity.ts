/**
 * Who this client is, over reconnects, restarts of either side and programs of the same kind.
 *
 * The daemon mints a secret once for each kind of client, and the client keeps it in a file of mode 0600 in the
 * daemon's directory; whoever shows it is the same originator as before. Where that file cannot be written the
 * identity lasts as long as this client does. Of several programs that begin at once one is first, and the others
 * take what it has kept. What others could have put there, or could read, is refused and left as it is.
 */

import { join } from "@std/path/posix";
import { PosternError, shown } from "./errors.ts";

const KIND = /^[A-Za-z0-9_-]{1,64}$/;
const CLIENT_ID = /^[0-9A-Za-z_.-]{16,128}$/;
const MAX_FILE_BYTES = 1024;

/**
 * Which rule a kind of client breaks; `null` for none.
 *
 * @returns What is to be said behind the name of what it was given as.
 */
export function whyNoKind(kind: string): string | null {
  return KIND.test(kind) ? null : `must be 1 to 64 of [A-Za-z0-9_-], got ${shown(kind)}`;
}

/** The identity of one kind of client, and where it is kept. */
export class ClientIdentity {
  readonly kind: string;
  readonly #path: string;
  /** What the daemon was shown last, or has minted since. */
  #clientId: string | null = null;

  /**
   * @param directory The daemon's.
   * @throws {PosternError} `invalid_params` for a kind that is no name
   */
  constructor(directory: string, kind: string) {
    const wrong = whyNoKind(kind);
    if (wrong !== null) {
      throw new PosternError("invalid_params", `clientKind: ${wrong}`, { field: "clientKind" });
    }
    this.kind = kind;
    this.#path = join(directory, "clients", `${kind}.id`);
  }

  /**
   * What to show the daemon; `null` the first time.
   *
   * @throws {PosternError} `permission_denied` for a file that cannot be trusted
   */
  clientId(): string | null {
    return this.#clientId = this.#read() ?? this.#clientId;
  }

  /**
   * Keeps what the daemon has minted, because it knew nothing of what it was shown, which is kept as well.
   *
   * @returns What is kept: another one when another program was faster.
   * @throws {PosternError} `permission_denied` for a file that cannot be trusted, or replaced
   */
  keep(minted: string): string {
    try {
      return this.#clientId = this.#write(minted);
    } catch (error) {
      if (!isUnwritable(error)) throw error;
      return this.#clientId = minted;
    }
  }

  #write(minted: string): string {
    try {
      Deno.writeTextFileSync(this.#path, `${minted}\n`, { createNew: true, mode: 0o600 });
      return minted;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    const present = this.#read();
    if (present !== null && present !== this.#clientId) return present;
    if (present !== null) this.#replace(`${this.#path}.refused`, present);
    this.#replace(this.#path, minted);
    return minted;
  }

  /** Replaces a file, or leaves it as it is; nobody sees half of it, and nothing else is left behind. */
  #replace(path: string, secret: string): void {
    const temporary = `${this.#path}.${crypto.randomUUID()}`;
    try {
      Deno.writeTextFileSync(temporary, `${secret}\n`, { createNew: true, mode: 0o600 });
      Deno.renameSync(temporary, path);
    } catch (error) {
      if (isUnwritable(error)) throw error;
      throw refusal(path, `must be a file that can be replaced: ${(error as Error).message}`);
    } finally {
      removeIfThere(temporary);
    }
  }

  /**
   * What is kept; `null` when that is nothing, or nothing that could be an id.
   *
   * @throws {PosternError} `permission_denied` for what is no file of ours alone
   */
  #read(): string | null {
    const info = infoOf(this.#path);
    if (info === null) return null;
    const wrong = whyNotOurs(info);
    if (wrong !== null) throw refusal(this.#path, wrong);
    try {
      const text = Deno.readTextFileSync(this.#path).trim();
      return CLIENT_ID.test(text) ? text : null;
    } catch {
      return null;
    }
  }
}

/** Of the name itself, where a link leads does not count. */
function infoOf(path: string): Deno.FileInfo | null {
  try {
    return Deno.lstatSync(path);
  } catch {
    return null;
  }
}

/** Which rule a file that keeps a secret breaks; `null` for none. Nothing of it has been opened yet. */
function whyNotOurs({ isFile, isSymlink, uid, mode, size }: Deno.FileInfo): string | null {
  if (isSymlink) return "must be a file, and is a symbolic link";
  if (!isFile) return "must be a regular file";
  const own = ownUid();
  if (uid !== null && own !== null && uid !== own) {
    return `must belong to the user ${own}, and belongs to ${uid}`;
  }
  const open = whyNotPrivate(mode);
  if (open !== null) return open;
  return size > MAX_FILE_BYTES ? `must be at most ${MAX_FILE_BYTES} bytes, and has ${size}` : null;
}

/** Which rule the mode of a file that keeps a secret breaks; `null` for none, or where there are no modes. */
function whyNotPrivate(mode: number | null): string | null {
  if (mode === null || (mode & 0o077) === 0) return null;
  return `must be for its owner only (mode 0600), and has mode 0${(mode & 0o777).toString(8)}`;
}

/** Which user we are; `null` where that is not known, or we may not know it. Nobody is asked for the right. */
function ownUid(): number | null {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "uid" });
  return state === "granted" ? Deno.uid() : null;
}

function refusal(path: string, rule: string): PosternError {
  return new PosternError("permission_denied", `the client's secret: "${path}" ${rule}`);
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It has its name by now, or was never made.
  }
}

function isUnwritable(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.NotADirectory ||
    (error as { code?: string }).code === "EROFS" || (error as { code?: string }).code === "ENOSPC";
}
