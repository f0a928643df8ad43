/**
 * Who this client is, over reconnects, restarts of either side and programs of the same kind.
 *
 * The daemon mints a secret once for each kind of client, and the client keeps it in a file of mode 0600 in the
 * daemon's directory; whoever shows it is the same originator as before. Where that file cannot be written the
 * identity lasts as long as this client does. Of several programs that begin at once one is first, and the others
 * take what it has kept.
 */

import { join } from "@std/path/posix";
import { PosternError, shown } from "./errors.ts";

const KIND = /^[A-Za-z0-9_-]{1,64}$/;
const CLIENT_ID = /^[0-9A-Za-z_.-]{16,128}$/;

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
    if (!KIND.test(kind)) {
      throw new PosternError(
        "invalid_params",
        `clientKind: must be 1 to 64 of [A-Za-z0-9_-], got ${shown(kind)}`,
        { field: "clientKind" },
      );
    }
    this.kind = kind;
    this.#path = join(directory, "clients", `${kind}.id`);
  }

  /** What to show the daemon; `null` the first time. */
  clientId(): string | null {
    return this.#clientId = this.#read() ?? this.#clientId;
  }

  /**
   * Keeps what the daemon has minted, because it knew nothing of what it was shown.
   *
   * @returns What is kept: another one when another program was faster.
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
    const temporary = `${this.#path}.${crypto.randomUUID()}`;
    Deno.writeTextFileSync(temporary, `${minted}\n`, { createNew: true, mode: 0o600 });
    Deno.renameSync(temporary, this.#path);
    return minted;
  }

  /** What is kept; `null` when that is nothing, or nothing that could be an id. */
  #read(): string | null {
    try {
      const text = Deno.readTextFileSync(this.#path).trim();
      return CLIENT_ID.test(text) ? text : null;
    } catch {
      return null;
    }
  }
}

function isUnwritable(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.NotADirectory ||
    (error as { code?: string }).code === "EROFS" || (error as { code?: string }).code === "ENOSPC";
}
