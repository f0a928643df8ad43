/**
 * Where the daemon's directory is, by the same rule for the daemon and for every client.
 *
 * The rule depends on the environment, and a cron job's differs from a terminal's: whoever prints a message
 * about a missing daemon should name the directory that was looked into.
 */

import { basename, dirname, isAbsolute, join, resolve } from "@std/path/posix";
import { PosternError, shown } from "./errors.ts";

/**
 * How to look up an environment variable.
 *
 * @example
 * ```ts
 * import { type Environment, resolveDirectory } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const env: Environment = { get: (name) => name === "POSTERN_DIR" ? "/nowhere/mine" : undefined };
 * assert(resolveDirectory({ env }) === "/nowhere/mine");
 * ```
 */
export interface Environment {
  get(name: string): string | undefined;
}

/**
 * What decides about the directory, strongest first: `dir`, `POSTERN_DIR`, then the place for state.
 *
 * @example
 * ```ts
 * import { type DirectoryOptions, resolveDirectory } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const env = new Map([["XDG_STATE_HOME", "/nowhere"]]);
 * const options: DirectoryOptions = { instance: "work", env, os: "linux" };
 * assert(resolveDirectory(options) === "/nowhere/postern/work");
 * ```
 */
export interface DirectoryOptions {
  readonly dir?: string;
  /** Which of several daemons of one person. @default {"default"} */
  readonly instance?: string;
  readonly env?: Environment;
  readonly os?: typeof Deno.build.os;
}

const INSTANCE = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * The absolute path of the runtime directory, which need not exist.
 *
 * Links among its parents are followed, a link in its own place is not: the daemon refuses that.
 *
 * @param options What to go by.
 * @returns The path.
 * @throws {PosternError} `invalid_params` when an instance has a bad name, or no rule applies.
 *
 * @example
 * ```ts
 * import { resolveDirectory } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const env = new Map([["XDG_STATE_HOME", "/nowhere/state"]]);
 * assert(resolveDirectory({ env, os: "linux" }) === "/nowhere/state/postern/default");
 * ```
 */
export function resolveDirectory(options: DirectoryOptions = {}): string {
  const env = options.env ?? Deno.env;
  const named = options.dir || env.get("POSTERN_DIR");
  if (named) return withRealParent(resolve(named));
  const instance = options.instance ?? "default";
  if (!INSTANCE.test(instance)) {
    throw new PosternError(
      "invalid_params",
      `choosing a directory: an instance is 1 to 64 of A-Z a-z 0-9 _ -, not ${shown(instance)}`,
    );
  }
  return withRealParent(join(stateHome(env, options.os ?? Deno.build.os), "postern", instance));
}

function stateHome(env: Environment, os: typeof Deno.build.os): string {
  const state = env.get("XDG_STATE_HOME");
  if (os !== "darwin" && state && isAbsolute(state)) return state;
  const home = env.get("HOME");
  if (home && isAbsolute(home)) {
    return os === "darwin" ? join(home, "Library/Application Support") : join(home, ".local/state");
  }
  throw new PosternError(
    "invalid_params",
    "choosing a directory: neither POSTERN_DIR nor HOME is set, so it must be named with --dir",
  );
}

function withRealParent(path: string): string {
  try {
    return join(Deno.realPathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}
