/**
 * Where the sockets are, and taking away those that a dead daemon left.
 *
 * A socket's path has a hard limit, and a cut one would collide with another's: a path that is too long moves
 * whole, to a private directory with a name made from the long one. A socket is only ever unlinked under the
 * lock, and only after it refused a connection: slow is not dead.
 */

import { join } from "@std/path/posix";
import { PosternError, shown } from "../core/errors.ts";
import { checkSharedDirectory, preparePrivateDirectory } from "./runtime_directory.ts";
import { lookAt, removeIfPresent } from "./safe_file.ts";

/** macOS allows 103 bytes before the closing zero, Linux 107; one rule for both. */
export const MAX_SOCKET_PATH_BYTES = 103;

const TOO_LONG = `in the directory its path would have more than ${MAX_SOCKET_PATH_BYTES} bytes`;

/** What decides about the sockets' directory. */
export interface SocketPlaceOptions {
  readonly directory: string;
  readonly uid: number | null;
  /** `socket.dir` of the configuration. */
  readonly socketDir?: string | null;
  /** Whether a group is to reach the sockets: `socket.mode` is 0660. @default {false} */
  readonly isShared?: boolean;
  /** A path for the NDJSON socket that wins over everything. */
  readonly socketPath?: string | null;
  /** `$XDG_RUNTIME_DIR`. */
  readonly runtimeDir?: string | null;
  /** Where the last resort lies. @default {"/tmp"} */
  readonly temporaryDir?: string;
}

/** Where the sockets are. */
export interface SocketPlace {
  readonly ndjson: string;
  readonly http: string;
  /** The directory that holds them, if it is not the runtime directory: it needs grants of its own. */
  readonly extraDirectory: string | null;
  /** Whether that directory was made for the sockets alone, and goes away with them. */
  readonly isTemporary: boolean;
  /** Why it is not the runtime directory. */
  readonly because: string | null;
}

/**
 * Chooses and prepares the directory of the sockets.
 *
 * @param options What decides.
 * @returns The sockets' paths.
 * @throws {PosternError} `invalid_params` when a configured place is too long, or is to be shared and cannot be;
 * `permission_denied` when it is not private, or not as private as a shared one must be.
 */
export async function chooseSocketPlace(options: SocketPlaceOptions): Promise<SocketPlace> {
  const { directory, uid } = options;
  if (options.socketPath) return configured(options.socketPath, options, "POSTERN_SOCKET_PATH");
  if (options.socketDir) {
    return configured(join(options.socketDir, "postern.sock"), options, "socket.dir");
  }
  if (options.isShared) throw outOfReach(directory);
  if (fits(join(directory, "postern.sock"))) return place(directory, null, null);
  for (const candidate of await fallbacks(options)) {
    if (!fits(join(candidate, "postern.sock"))) continue;
    preparePrivateDirectory(candidate, uid);
    return place(candidate, candidate, TOO_LONG);
  }
  throw tooLong(join(directory, "postern.sock"));
}

/**
 * Takes away a socket that nobody listens on. The caller holds the lock.
 *
 * @param path The socket's path.
 * @param uid The user it must belong to.
 * @returns Whether there was one.
 * @throws {PosternError} `conflict` when somebody listens there, `permission_denied` when it is no socket of ours.
 */
export async function reclaimSocket(path: string, uid: number | null): Promise<boolean> {
  const info = lookAt(path);
  if (info === null) return false;
  if (!info.isSocket) throw refusal(path, "it is no socket");
  if (uid !== null && info.uid !== null && info.uid !== uid) {
    throw refusal(path, `it belongs to user ${info.uid}, not to user ${uid}`);
  }
  if (await answers(path)) {
    throw new PosternError(
      "conflict",
      `taking over a socket: another program listens on ${path}, although the lock is free`,
    );
  }
  return removeIfPresent(path);
}

/**
 * Whether somebody listens on a socket.
 *
 * @throws {PosternError} `permission_denied` when that cannot be tried.
 */
export async function answers(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    if (error instanceof Deno.errors.NotFound) return false;
    throw refusal(path, `it cannot be tried: ${error instanceof Error ? error.message : error}`);
  }
}

function configured(path: string, options: SocketPlaceOptions, source: string): SocketPlace {
  if (!path.startsWith("/") || !path.endsWith("/postern.sock")) {
    throw new PosternError(
      "invalid_params",
      `choosing the socket: ${source} must give an absolute path that ends in /postern.sock, not ${
        shown(path)
      }`,
    );
  }
  if (!fits(path)) throw tooLong(path);
  const directory = path.slice(0, path.lastIndexOf("/"));
  if (directory === options.directory) {
    if (options.isShared) throw outOfReach(directory);
    return place(directory, null, null);
  }
  if (options.isShared) checkSharedDirectory(directory, options.uid);
  else preparePrivateDirectory(directory, options.uid);
  return place(directory, directory, source);
}

function place(directory: string, extra: string | null, because: string | null): SocketPlace {
  return {
    ndjson: join(directory, "postern.sock"),
    http: join(directory, "http.sock"),
    extraDirectory: extra,
    isTemporary: because === TOO_LONG,
    because,
  };
}

async function fallbacks(options: SocketPlaceOptions): Promise<string[]> {
  const name = await shortName(options.directory);
  const temporary = join(realOf(options.temporaryDir ?? "/tmp"), `postern-${options.uid}-${name}`);
  const runtime = options.runtimeDir ?? null;
  return runtime !== null && isPrivate(runtime, options.uid)
    ? [join(runtime, `postern-${name}`), temporary]
    : [temporary];
}

/** Not ours or not private: then it is not used, and the next place is. */
function isPrivate(path: string, uid: number | null): boolean {
  const info = path.startsWith("/") ? lookAt(path) : null;
  return info !== null && info.isDirectory && realOf(path) === path &&
    (uid === null || info.uid === uid) && info.mode !== null && (info.mode & 0o077) === 0;
}

function realOf(path: string): string {
  return Deno.realPathSync(path);
}

async function shortName(path: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(path));
  return new Uint8Array(digest).slice(0, 8).toHex();
}

function fits(path: string): boolean {
  return new TextEncoder().encode(path).length <= MAX_SOCKET_PATH_BYTES;
}

function tooLong(path: string): PosternError {
  const bytes = new TextEncoder().encode(path).length;
  return new PosternError(
    "invalid_params",
    `choosing the socket: a path may have ${MAX_SOCKET_PATH_BYTES} bytes, ${path} has ${bytes}`,
  );
}

function outOfReach(directory: string): PosternError {
  return new PosternError(
    "invalid_params",
    `choosing the socket: socket.mode "0660" needs socket.dir, a directory that the group may enter, not ${directory}`,
  );
}

function refusal(path: string, why: string): PosternError {
  return new PosternError("permission_denied", `taking over a socket: ${path} is refused: ${why}`);
}
