/**
 * Finding a daemon: its discovery file, its socket, its token.
 *
 * `daemon.json` is the truth about where a running daemon listens, and it may be missing, old or from a later
 * version: whatever cannot be used is passed over, and the usual names stand in. It is trusted as far as its
 * directory: a token is only ever read from inside the directory that also names the socket it goes to.
 */

import { isAbsolute, join, normalize, relative } from "@std/path/posix";
import { type Environment, resolveDirectory } from "./directory.ts";
import { PosternError } from "./errors.ts";

/**
 * What `daemon.json` says, as far as it can be read.
 *
 * @example
 * ```ts
 * import { type Discovery, readDiscovery, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * const found: Discovery | null = readDiscovery(daemon.directory);
 * assert(found?.socketPath?.startsWith("/"));
 * ```
 */
export interface Discovery {
  readonly pid: number | null;
  readonly version: string | null;
  readonly startedAt: string | null;
  readonly mode: string | null;
  /** Absolute path of the NDJSON socket. */
  readonly socketPath: string | null;
  /** Absolute path of the token file, if it lies in the directory. */
  readonly tokenPath: string | null;
}

/**
 * Where to connect, and with what.
 *
 * @example
 * ```ts
 * import { findTarget, type Target } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const target: Target = findTarget({ dir: "/nowhere", env: new Map() });
 * assert(target.tokenPath === "/nowhere/ipc-token");
 * ```
 */
export interface Target {
  readonly directory: string;
  readonly socketPath: string;
  readonly tokenPath: string;
  readonly discovery: Discovery | null;
}

/**
 * What decides about the target; each given path wins over what is found.
 *
 * @example
 * ```ts
 * import { findTarget, type TargetOptions } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const options: TargetOptions = { dir: "/nowhere", socketPath: "/elsewhere/s", env: new Map() };
 * assert(findTarget(options).socketPath === "/elsewhere/s");
 * ```
 */
export interface TargetOptions {
  readonly dir?: string;
  readonly instance?: string;
  readonly socketPath?: string;
  readonly tokenPath?: string;
  readonly env?: Environment;
}

/** More than any discovery file has. */
const MAX_DISCOVERY_BYTES = 64 * 1024;

/**
 * Where the daemon of these options is, whether it runs or not.
 *
 * @param options By default the usual directory.
 * @returns Absolute paths.
 * @throws {PosternError} `invalid_params` as {@linkcode resolveDirectory}
 *
 * @example
 * ```ts
 * import { findTarget } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const target = findTarget({ dir: "/nowhere", env: new Map() });
 * assert(target.socketPath === "/nowhere/postern.sock" && target.discovery === null);
 * ```
 */
export function findTarget(options: TargetOptions = {}): Target {
  const env = options.env ?? Deno.env;
  const directory = resolveDirectory(options);
  const discovery = readDiscovery(directory);
  return {
    directory,
    discovery,
    socketPath: options.socketPath || env.get("POSTERN_SOCKET_PATH") ||
      (discovery?.socketPath ?? join(directory, "postern.sock")),
    tokenPath: options.tokenPath || env.get("POSTERN_TOKEN_FILE") ||
      (discovery?.tokenPath ?? join(directory, "ipc-token")),
  };
}

/**
 * What a running daemon left for its clients; `null` when there is nothing that can be read.
 *
 * @param directory Its runtime directory.
 * @returns What the file says, as far as it can be used.
 *
 * @example
 * ```ts
 * import { readDiscovery, startTemporaryDaemon } from "@postern/postern/client";
 *
 * await using daemon = await startTemporaryDaemon();
 * const { pid, version } = readDiscovery(daemon.directory)!;
 * console.log(`process ${pid} runs version ${version}`);
 * ```
 */
export function readDiscovery(directory: string): Discovery | null {
  try {
    const text = readBounded(join(directory, "daemon.json"), MAX_DISCOVERY_BYTES);
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? toDiscovery(directory, value) : null;
  } catch {
    return null;
  }
}

/**
 * The token in a file, or `null` when there is no such file.
 *
 * @throws {PosternError} `permission_denied` when it may not be read, `auth_failed` when it holds no token.
 */
export function readToken(path: string): string | null {
  let text: string;
  try {
    text = readBounded(path, 1024).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw new PosternError(
      "permission_denied",
      `reading the token: "${path}" cannot be read: ${(error as Error).message}`,
    );
  }
  if (/^[0-9A-Za-z_.-]{16,512}$/.test(text)) return text;
  throw new PosternError("auth_failed", `reading the token: "${path}" does not hold one`);
}

function readBounded(path: string, limit: number): string {
  const info = Deno.statSync(path);
  if (!info.isFile || info.size > limit) throw new Error("it is no file of a likely size");
  return Deno.readTextFileSync(path);
}

function toDiscovery(directory: string, value: Record<string, unknown>): Discovery {
  const sockets = value.sockets as Record<string, unknown> | undefined;
  const token = textOf(value.token_path);
  const tokenPath = token === null ? null : absolute(directory, token);
  return {
    pid: typeof value.pid === "number" ? value.pid : null,
    version: textOf(value.version),
    startedAt: textOf(value.started_at),
    mode: textOf(value.mode),
    socketPath: textOf(sockets?.ndjson) === null
      ? null
      : absolute(directory, String(sockets?.ndjson)),
    tokenPath: tokenPath !== null && isInside(directory, tokenPath) ? tokenPath : null,
  };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function absolute(directory: string, path: string): string {
  return normalize(isAbsolute(path) ? path : join(directory, path));
}

/** Whether a path lies in a directory, by their names alone. */
function isInside(directory: string, path: string): boolean {
  const way = relative(directory, path);
  return way !== "" && way !== ".." && !way.startsWith("../") && !isAbsolute(way);
}
