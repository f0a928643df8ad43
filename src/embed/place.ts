/**
 * Where a program's daemon has its files and its socket, and that they are nobody else's.
 *
 * Invariants: the directory is private and locked from the beginning to `release`; a socket is taken away only when
 * nobody listens on it, and only while no other program that is built so does the same beside it: that is what the
 * file `<socket>.lock` is for, which goes away with the work that it guards.
 */

import { dirname, isAbsolute, join } from "@std/path/posix";
import { PosternError, shown } from "../core/errors.ts";
import { utf8Length } from "../core/text.ts";
import { removeDiscovery } from "../daemon/discovery.ts";
import { type Lock, takeLock } from "../daemon/lock.ts";
import { prepareDirectory, SOCKET_NAMES } from "../daemon/runtime_directory.ts";
import { lookAt, openOwnFile, removeIfPresent } from "../daemon/safe_file.ts";
import { MAX_SOCKET_PATH_BYTES, reclaimSocket } from "../daemon/socket_path.ts";

/** How long another program may take to start beside us. */
const MAX_TRIES = 500;
const PAUSE_MS = 20;

/** What a program wants; `null` leaves it to us. */
export interface Wanted {
  readonly directory: string | null;
  readonly socketPath: string | null;
}

/** A directory and a socket's path that are ours. */
export class Place {
  readonly directory: string;
  readonly socketPath: string;
  readonly uid: number | null;
  readonly #isTemporary: boolean;
  readonly #lock: Lock;

  private constructor(directory: string, socketPath: string, held: Held) {
    this.directory = directory;
    this.socketPath = socketPath;
    this.uid = held.uid;
    this.#isTemporary = held.isTemporary;
    this.#lock = held.lock;
  }

  /**
   * Makes or checks the directory, and takes it.
   *
   * @throws PosternError `conflict` when a daemon runs there, `permission_denied` when it is not private,
   * `invalid_params` for a socket's path that cannot be used.
   */
  static async take(wanted: Wanted): Promise<Place> {
    const isTemporary = wanted.directory === null;
    const directory = wanted.directory ?? temporaryDirectory();
    const uid = Deno.uid();
    let lock: Lock | null = null;
    try {
      const socketPath = wanted.socketPath ?? join(directory, SOCKET_NAMES[0]);
      requireUsable(socketPath, directory);
      prepareDirectory(directory, uid);
      lock = await takeLock(directory, uid);
      for (const name of SOCKET_NAMES) await reclaimSocket(join(directory, name), uid);
      removeDiscovery(directory);
      return new Place(directory, socketPath, { uid, isTemporary, lock });
    } catch (error) {
      lock?.release();
      if (isTemporary) Deno.removeSync(directory, { recursive: true });
      throw error;
    }
  }

  /**
   * Does what makes somebody listen on the socket, with nothing in its way.
   *
   * @throws PosternError `conflict` when another program listens there, `permission_denied` when it is no socket of ours.
   */
  listen<T>(begin: () => Promise<T>): Promise<T> {
    return this.#alone(async () => {
      await this.#reclaim();
      return await begin();
    });
  }

  /** Takes away what nobody else uses: the dead socket, a temporary directory, the lock. */
  async release(): Promise<void> {
    try {
      // What another program listens on by now stays, and so does what cannot be removed: it is dead.
      await this.#alone(() => this.#reclaim()).catch(() => {});
      if (this.#isTemporary) await Deno.remove(this.directory, { recursive: true });
    } finally {
      this.#lock.release();
    }
  }

  async #reclaim(): Promise<void> {
    try {
      await reclaimSocket(this.socketPath, this.uid);
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== "conflict") throw error;
      throw new PosternError(
        "conflict",
        `withRemoteAccess: socketPath: another program listens on ${shown(this.socketPath)}`,
        { field: "socketPath" },
      );
    }
  }

  /** Two programs that find a socket dead at once would each remove the other's new one. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    // In the directory of the files its own lock does.
    if (dirname(this.socketPath) === this.directory) return await work();
    const path = `${this.socketPath}.lock`;
    using _file = await this.#lockFile(path);
    try {
      return await work();
    } finally {
      // Before the lock goes: whoever has waited for it sees that its file is another's.
      removeIfPresent(path);
    }
  }

  async #lockFile(path: string): Promise<Deno.FsFile> {
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      const file = openLock(path, this.uid);
      if (file !== null && file.tryLockSync(true) && isAt(path, file)) return file;
      file?.close();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    throw new PosternError(
      "conflict",
      `withRemoteAccess: socketPath: another program holds the lock ${shown(path)}`,
      { field: "socketPath" },
    );
  }
}

interface Held {
  readonly uid: number | null;
  readonly isTemporary: boolean;
  readonly lock: Lock;
}

/** A socket's path is short; the place for temporary files that the system names may be deep. */
function temporaryDirectory(): string {
  return Deno.realPathSync(Deno.makeTempDirSync({ prefix: "postern_", dir: "/tmp" }));
}

/** `null` when the one who had it took it away just now. */
function openLock(path: string, uid: number | null): Deno.FsFile | null {
  try {
    return openOwnFile(path, { uid });
  } catch (error) {
    const now = lookAt(path);
    if (now === null || (now.isFile && now.uid === uid)) return null;
    throw error;
  }
}

function isAt(path: string, file: Deno.FsFile): boolean {
  const [opened, now] = [file.statSync(), lookAt(path)];
  return now !== null && now.dev === opened.dev && now.ino === opened.ino;
}

function requireUsable(path: string, directory: string): void {
  const parent = dirname(path);
  const bytes = utf8Length(path);
  if (!isAbsolute(path) || path.includes("\0")) throw refused(path, "must be an absolute path");
  if (bytes > MAX_SOCKET_PATH_BYTES) {
    throw refused(path, `must have at most ${MAX_SOCKET_PATH_BYTES} bytes, it has ${bytes}`);
  }
  // What else lies in the directory is refused at the next start.
  if (parent === directory) {
    if (path === join(directory, SOCKET_NAMES[0])) return;
    throw refused(path, `must be named ${SOCKET_NAMES[0]} in the directory of the files`);
  }
  if (lookAt(parent) === null) throw refused(path, `its directory ${parent} does not exist`);
}

function refused(path: string, rule: string): PosternError {
  return new PosternError(
    "invalid_params",
    `withRemoteAccess: socketPath: ${rule}, got ${shown(path)}`,
    {
      field: "socketPath",
    },
  );
}
