/**
 * The configuration: every key, its bounds and its default, and how a text becomes one.
 *
 * A configuration is either whole and valid or an error that names the key; nothing is ignored and nothing
 * silently corrected. Keys are added, never renamed: files and scripts of people name them.
 */

import { parse } from "@std/jsonc";
import { z } from "zod";
import { PosternError, shown } from "../core/errors.ts";
import { explain } from "./config_errors.ts";

const MAX_INT = Number.MAX_SAFE_INTEGER;
/** The longest delay a timer can hold; anything beyond would fire at once. */
const MAX_TIMER_MS = 2_147_483_647;

const whole = (least: number, most: number) => z.int().min(least).max(most);
const milliseconds = (least: number) => whole(least, MAX_TIMER_MS);
const seconds = (least: number) => whole(least, 10 * 365 * 86_400);

const NAMES_IN_USE =
  /^(daemon\.|config\.|identity\.|events\.|head\.|log$|clients$|\.)|\.(sock|new)$/;

const tokenPath = z.string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, "must be the name of a file in the directory")
  .refine((name) => !NAMES_IN_USE.test(name), "is a name that the daemon uses for something else");

const absolutePath = z.string()
  .refine((path) => path.startsWith("/") && !path.includes("\0"), "must be an absolute path");

const socket = z.strictObject({
  dir: absolutePath.nullable().default(null),
  mode: z.enum(["0600", "0660"]).default("0600"),
  gid: whole(0, 4_294_967_294).nullable().default(null),
});

const ipc = z.strictObject({
  allow_v1: z.boolean().default(true),
  buffer_size: whole(0, 100_000_000).default(100_000),
  buffer_ttl_secs: seconds(1).default(86_400),
  buffer_byte_cap: whole(0, MAX_INT).default(67_108_864),
  token_path: tokenPath.default("ipc-token"),
});

const records = z.strictObject({
  policy: z.enum(["read_only", "read_write"]).default("read_only"),
  writable: z.array(z.string().min(1).max(256)).max(10_000).default([]),
  queue_size: whole(1, 100_000).default(100),
});

const http = z.strictObject({
  enabled: z.boolean().default(true),
  unauthenticated_metrics: z.boolean().default(false),
  max_sse_clients: whole(0, 100_000).default(64),
  heartbeat_secs: whole(1, 86_400).default(15),
});

const rate = z.strictObject({
  read: whole(0, MAX_INT).default(0),
  send: whole(0, MAX_INT).default(0),
  write: whole(0, MAX_INT).default(0),
  serve: whole(0, MAX_INT).default(0),
  admin: whole(0, MAX_INT).default(0),
});

const limits = z.strictObject({
  max_line_bytes: whole(1024, 1_073_741_824).default(1_048_576),
  max_connections: whole(1, 1_000_000).default(1024),
  max_in_flight: whole(1, 1_000_000).default(4096),
  max_subscriptions: whole(1, 100_000).default(32),
  outbox_bytes: whole(65_536, 1_073_741_824).default(4_194_304),
  hello_timeout_ms: milliseconds(1).default(10_000),
  blob_bytes: whole(0, MAX_INT).default(67_108_864),
  rate: rate.prefault({}),
});

const daemon = z.strictObject({
  enabled: z.boolean().default(true),
  auto_start: z.boolean().default(true),
  idle_timeout_ms: whole(-1, MAX_TIMER_MS).default(300_000),
  shutdown_grace_ms: milliseconds(0).default(30_000),
  start_timeout_ms: milliseconds(1).default(30_000),
  consumer_gc_days: whole(1, 36_500).default(30),
});

const log = z.strictObject({
  level: z.enum(["debug", "info", "warn", "error"]).default("info"),
  max_bytes: whole(4096, MAX_INT).default(10_485_760),
  files: whole(1, 1000).default(5),
  audit: z.boolean().default(true),
});

/** Every key of `config.jsonc`. */
export const configSchema = z.strictObject({
  name: z.string().min(1).max(64).regex(/^[^\p{Cc}]*$/u, "may not hold control characters")
    .default("default"),
  require_token: z.boolean().default(false),
  trust_socket: z.boolean().default(false),
  socket: socket.prefault({}),
  ipc: ipc.prefault({}),
  records: records.prefault({}),
  http: http.prefault({}),
  permissions: z.strictObject({
    interactive_timeout_secs: seconds(1).default(1800),
    unattended_timeout_secs: seconds(1).default(300),
  }).prefault({}),
  sessions: z.strictObject({ queue_secs: seconds(1).default(300) }).prefault({}),
  tokens: z.strictObject({
    rotation_days: whole(0, 36_500).default(0),
    rotation_grace_secs: seconds(0).default(60),
  }).prefault({}),
  limits: limits.prefault({}),
  daemon: daemon.prefault({}),
  log: log.prefault({}),
});

/** A whole, valid configuration. */
export type Config = z.output<typeof configSchema>;

/** The configuration of a daemon that was told nothing. */
export function defaultConfig(): Config {
  return validateConfig({}, "the defaults");
}

/**
 * A configuration from the text of a `config.jsonc`.
 *
 * @param text JSON with comments and trailing commas; an empty text is an empty object.
 * @param source What to call the text in a message, such as a path.
 * @returns The configuration, defaults filled in.
 * @throws {PosternError} `invalid_params`, naming the keys that are wrong and for an unknown one the nearest.
 */
export function parseConfig(text: string, source: string): Config {
  return validateConfig(parseSettings(text, source), source);
}

/**
 * The settings in a text, not yet looked at.
 *
 * @throws {PosternError} `invalid_params` when it is no JSON object.
 */
export function parseSettings(text: string, source: string): Record<string, unknown> {
  const value = parseText(text.replace(/^\uFEFF/, ""), source);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new PosternError(
    "invalid_params",
    `reading the configuration: ${source} must hold an object, not ${shown(value)}`,
  );
}

/**
 * A configuration from settings.
 *
 * @throws {PosternError} `invalid_params`, naming the keys that are wrong.
 */
export function validateConfig(settings: Record<string, unknown>, source: string): Config {
  const result = configSchema.safeParse(settings);
  if (!result.success) {
    throw new PosternError(
      "invalid_params",
      `reading the configuration: ${source}: ${
        explain(result.error, { schema: configSchema, settings })
      }`,
    );
  }
  const config = result.data;
  if (config.trust_socket && config.socket.mode !== "0600") {
    throw new PosternError(
      "invalid_params",
      `reading the configuration: ${source}: trust_socket needs socket.mode "0600", not ${
        shown(config.socket.mode)
      }`,
    );
  }
  return config;
}

function parseText(text: string, source: string): unknown {
  if (text.trim() === "") return {};
  try {
    return parse(text);
  } catch (error) {
    throw new PosternError(
      "invalid_params",
      `reading the configuration: ${source} is no JSON: ${
        error instanceof Error ? error.message : error
      }`,
    );
  }
}
