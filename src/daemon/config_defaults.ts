/**
 * What holds where the configuration says nothing.
 *
 * Apart from the schema, so that a daemon without a configuration needs no validator in its main thread, which
 * would be 8 MiB for nothing. config.ts takes every default from here.
 */

/** The configuration of a daemon that was told nothing. */
export const DEFAULTS = {
  name: "default",
  require_token: false,
  trust_socket: false,
  socket: {
    dir: null as string | null,
    mode: "0600" as "0600" | "0660",
    gid: null as number | null,
  },
  ipc: {
    allow_v1: true,
    buffer_size: 100_000,
    buffer_ttl_secs: 86_400,
    buffer_byte_cap: 67_108_864,
    token_path: "ipc-token",
  },
  records: {
    policy: "read_only" as "read_only" | "read_write",
    writable: [] as string[],
    queue_size: 100,
  },
  http: {
    enabled: true,
    unauthenticated_metrics: false,
    max_sse_clients: 64,
    heartbeat_secs: 15,
  },
  permissions: { interactive_timeout_secs: 1800, unattended_timeout_secs: 300 },
  sessions: { queue_secs: 300 },
  tokens: { rotation_days: 0, rotation_grace_secs: 60 },
  limits: {
    max_line_bytes: 1_048_576,
    max_connections: 1024,
    max_in_flight: 4096,
    max_subscriptions: 32,
    outbox_bytes: 4_194_304,
    hello_timeout_ms: 10_000,
    blob_bytes: 67_108_864,
    rate: { read: 0, send: 0, write: 0, serve: 0, admin: 0 },
  },
  daemon: {
    enabled: true,
    auto_start: true,
    idle_timeout_ms: 300_000,
    shutdown_grace_ms: 30_000,
    start_timeout_ms: 30_000,
    consumer_gc_days: 30,
  },
  log: {
    level: "info" as "debug" | "info" | "warn" | "error",
    max_bytes: 10_485_760,
    files: 5,
    audit: true,
  },
};
