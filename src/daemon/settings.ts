/**
 * The settings of one process: `config.jsonc`, and over it what the environment says.
 *
 * The environment is read once, by the launcher; the Worker, which may not read it, gets the result as
 * {@linkcode Overrides} and applies them again when it re-reads the file.
 */

import { basename, dirname, isAbsolute, join } from "@std/path/posix";
import { PosternError, shown } from "../core/errors.ts";
import type { Config } from "./config.ts";
import { DEFAULTS } from "./config_defaults.ts";
import { parseSettings } from "./config_text.ts";
import { readOwnFile } from "./safe_file.ts";

/** The variables of the environment that stand for a setting, by its dotted name. */
export const VARIABLES = {
  "daemon.enabled": "POSTERN_DAEMON_ENABLED",
  "daemon.auto_start": "POSTERN_AUTO_START",
  "daemon.idle_timeout_ms": "POSTERN_IDLE_TIMEOUT",
  "ipc.token_path": "POSTERN_TOKEN_FILE",
} as const;

/** What the environment says, by section and key; structured-cloneable. */
export interface Overrides {
  readonly settings: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** A path for the NDJSON socket. */
  readonly socketPath: string | null;
}

/** Makes settings a configuration, or throws what is wrong with them. */
export type Validate = (
  settings: Record<string, unknown>,
  source: string,
) => Config | Promise<Config>;

/** How to look up an environment variable. */
export interface Environment {
  get(name: string): string | undefined;
}

/**
 * What the environment says about a daemon in `directory`.
 *
 * @param env Where to look.
 * @param directory The runtime directory.
 * @returns What wins over the file.
 * @throws {PosternError} `invalid_params` when a variable holds no such value.
 */
export function readOverrides(env: Environment, directory: string): Overrides {
  const daemon: Record<string, unknown> = {};
  const ipc: Record<string, unknown> = {};
  setIf(daemon, "enabled", flag(env, VARIABLES["daemon.enabled"]));
  setIf(daemon, "auto_start", flag(env, VARIABLES["daemon.auto_start"]));
  setIf(daemon, "idle_timeout_ms", milliseconds(env, VARIABLES["daemon.idle_timeout_ms"]));
  setIf(ipc, "token_path", tokenFile(env, directory));
  return { settings: { daemon, ipc }, socketPath: env.get("POSTERN_SOCKET_PATH") || null };
}

/**
 * The configuration of a directory as its file and the environment give it now.
 *
 * @param directory The runtime directory.
 * @param uid The user the file must belong to.
 * @param options `overrides` win over the file; `validate` is asked only when there is something to look at.
 * @returns The configuration.
 * @throws {PosternError} `invalid_params`, `permission_denied` for a file that others may change.
 */
export async function loadConfig(
  directory: string,
  uid: number | null,
  { overrides, validate }: { overrides: Overrides; validate: Validate },
): Promise<Config> {
  const path = join(directory, "config.jsonc");
  // It holds no secret, and editors write it readable: nobody else can reach it in a 0700 directory.
  const text = readOwnFile(path, { uid, mode: 0o644, limit: 1_048_576 }) ?? "";
  const settings = parseSettings(text, path);
  for (const [section, values] of Object.entries(overrides.settings)) {
    if (Object.keys(values).length > 0) settings[section] = merged(settings[section], values);
  }
  return Object.keys(settings).length === 0 ? DEFAULTS : await validate(settings, path);
}

/** A section that is no object stays as it is, for validation to name. */
function merged(section: unknown, values: Readonly<Record<string, unknown>>): unknown {
  if (section !== undefined && (typeof section !== "object" || section === null)) return section;
  return { ...section, ...values };
}

function setIf(target: Record<string, unknown>, key: string, value: unknown): void {
  if (value !== undefined) target[key] = value;
}

function flag(env: Environment, name: string): boolean | undefined {
  const value = env.get(name);
  if (!value) return undefined;
  if (/^(1|true|yes|on)$/i.test(value)) return true;
  if (/^(0|false|no|off)$/i.test(value)) return false;
  throw wrong(name, "must be true or false", value);
}

function milliseconds(env: Environment, name: string): number | undefined {
  const value = env.get(name);
  if (!value) return undefined;
  if (!/^-?[0-9]{1,15}$/.test(value)) throw wrong(name, "must be whole milliseconds", value);
  // Any value below 1 disables it; the file's schema knows one such value.
  return Math.max(-1, Number(value));
}

function tokenFile(env: Environment, directory: string): string | undefined {
  const name = VARIABLES["ipc.token_path"];
  const value = env.get(name);
  if (!value) return undefined;
  if (!isAbsolute(value)) return value;
  if (dirname(value) === directory) return basename(value);
  throw wrong(name, `must name a file in ${directory}`, value);
}

function wrong(name: string, rule: string, value: string): PosternError {
  return new PosternError(
    "invalid_params",
    `reading the environment: ${name} ${rule}, not ${shown(value)}`,
  );
}
