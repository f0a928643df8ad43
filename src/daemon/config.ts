/**
 * The configuration: every key, its bounds and its default, and how a text becomes one.
 *
 * A configuration is either whole and valid or an error that names the key; nothing is ignored and nothing
 * silently corrected. Keys are added, never renamed: files and scripts of people name them.
 */

import { z } from "zod";
import { PosternError, shown } from "../core/errors.ts";
import { DEFAULTS } from "./config_defaults.ts";
import { explain } from "./config_errors.ts";
import { parseSettings } from "./config_text.ts";

const MAX_INT = Number.MAX_SAFE_INTEGER;
/** The longest delay a timer can hold; anything beyond would fire at once. */
const MAX_TIMER_MS = 2_147_483_647;

/** The log is copied when it is rotated, and nothing else happens in that time. */
const MAX_LOG_BYTES = 67_108_864;

const whole = (least: number, most: number) => z.int().min(least).max(most);
const milliseconds = (least: number) => whole(least, MAX_TIMER_MS);
const seconds = (least: number) => whole(least, 10 * 365 * 86_400);

const NAMES_IN_USE =
  /^(daemon\.|config\.|identity\.|events\.|head\.|log$|clients$|blobs$|\.)|\.(sock|new)$/;

const tokenPath = z.string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, "must be the name of a file in the directory")
  .refine((name) => !NAMES_IN_USE.test(name), "is a name that the daemon uses for something else");

const absolutePath = z.string()
  .refine((path) => path.startsWith("/") && !path.includes("\0"), "must be an absolute path");

const socket = z.strictObject({
  dir: absolutePath.nullable().default(DEFAULTS.socket.dir),
  mode: z.enum(["0600", "0660"]).default(DEFAULTS.socket.mode),
  gid: whole(0, 4_294_967_294).nullable().default(DEFAULTS.socket.gid),
});

const ipc = z.strictObject({
  allow_v1: z.boolean().default(DEFAULTS.ipc.allow_v1),
  buffer_size: whole(0, 100_000_000).default(DEFAULTS.ipc.buffer_size),
  buffer_ttl_secs: seconds(1).default(DEFAULTS.ipc.buffer_ttl_secs),
  buffer_byte_cap: whole(0, MAX_INT).default(DEFAULTS.ipc.buffer_byte_cap),
  token_path: tokenPath.default(DEFAULTS.ipc.token_path),
});

const records = z.strictObject({
  policy: z.enum(["read_only", "read_write"]).default(DEFAULTS.records.policy),
  writable: z.array(z.string().min(1).max(256)).max(10_000).default(DEFAULTS.records.writable),
  queue_size: whole(1, 100_000).default(DEFAULTS.records.queue_size),
});

const http = z.strictObject({
  enabled: z.boolean().default(DEFAULTS.http.enabled),
  unauthenticated_metrics: z.boolean().default(DEFAULTS.http.unauthenticated_metrics),
  max_sse_clients: whole(0, 100_000).default(DEFAULTS.http.max_sse_clients),
  heartbeat_secs: whole(1, 86_400).default(DEFAULTS.http.heartbeat_secs),
});

const rate = z.strictObject({
  read: whole(0, MAX_INT).default(DEFAULTS.limits.rate.read),
  send: whole(0, MAX_INT).default(DEFAULTS.limits.rate.send),
  write: whole(0, MAX_INT).default(DEFAULTS.limits.rate.write),
  serve: whole(0, MAX_INT).default(DEFAULTS.limits.rate.serve),
  admin: whole(0, MAX_INT).default(DEFAULTS.limits.rate.admin),
});

const limits = z.strictObject({
  max_line_bytes: whole(1024, 67_108_864).default(DEFAULTS.limits.max_line_bytes),
  max_connections: whole(1, 1_000_000).default(DEFAULTS.limits.max_connections),
  max_in_flight: whole(1, 1_000_000).default(DEFAULTS.limits.max_in_flight),
  max_subscriptions: whole(1, 100_000).default(DEFAULTS.limits.max_subscriptions),
  outbox_bytes: whole(65_536, 1_073_741_824).default(DEFAULTS.limits.outbox_bytes),
  hello_timeout_ms: milliseconds(1).default(DEFAULTS.limits.hello_timeout_ms),
  blob_bytes: whole(0, MAX_INT).default(DEFAULTS.limits.blob_bytes),
  rate: rate.prefault({}),
});

const daemon = z.strictObject({
  enabled: z.boolean().default(DEFAULTS.daemon.enabled),
  auto_start: z.boolean().default(DEFAULTS.daemon.auto_start),
  idle_timeout_ms: whole(-1, MAX_TIMER_MS).default(DEFAULTS.daemon.idle_timeout_ms),
  shutdown_grace_ms: milliseconds(0).default(DEFAULTS.daemon.shutdown_grace_ms),
  start_timeout_ms: milliseconds(1).default(DEFAULTS.daemon.start_timeout_ms),
  consumer_gc_days: whole(1, 36_500).default(DEFAULTS.daemon.consumer_gc_days),
});

const log = z.strictObject({
  level: z.enum(["debug", "info", "warn", "error"]).default(DEFAULTS.log.level),
  max_bytes: whole(4096, MAX_LOG_BYTES).default(DEFAULTS.log.max_bytes),
  files: whole(1, 1000).default(DEFAULTS.log.files),
  audit: z.boolean().default(DEFAULTS.log.audit),
});

/** Every key of `config.jsonc`. */
export const configSchema = z.strictObject({
  name: z.string().min(1).max(64).regex(/^[^\p{Cc}]*$/u, "may not hold control characters")
    .default(DEFAULTS.name),
  require_token: z.boolean().default(DEFAULTS.require_token),
  trust_socket: z.boolean().default(DEFAULTS.trust_socket),
  socket: socket.prefault({}),
  ipc: ipc.prefault({}),
  records: records.prefault({}),
  http: http.prefault({}),
  permissions: z.strictObject({
    interactive_timeout_secs: seconds(1).default(DEFAULTS.permissions.interactive_timeout_secs),
    unattended_timeout_secs: seconds(1).default(DEFAULTS.permissions.unattended_timeout_secs),
  }).prefault({}),
  sessions: z.strictObject({ queue_secs: seconds(1).default(DEFAULTS.sessions.queue_secs) })
    .prefault({}),
  tokens: z.strictObject({
    rotation_days: whole(0, 36_500).default(DEFAULTS.tokens.rotation_days),
    rotation_grace_secs: seconds(0).default(DEFAULTS.tokens.rotation_grace_secs),
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
