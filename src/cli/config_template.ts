/**
 * A `config.jsonc` to start from: every key with its default and a word on it, all of it commented out.
 *
 * It is made from the defaults, so that it can name no other key and no other value. Commented out, because a
 * later version's better default should reach whoever changed something else.
 */

import { DEFAULTS } from "../daemon/config_defaults.ts";
import { isSection } from "./config_sources.ts";

/** What each key is for. */
export const ABOUT: Readonly<Record<string, string>> = {
  "name": "what the daemon calls itself",
  "require_token": "nothing but hello, auth and ping without a token",
  "trust_socket": "whoever reaches the socket needs no token",
  "socket.dir": "where the sockets lie; null: in this directory",
  "socket.mode": '"0660" lets a group in; then trust_socket must be off',
  "socket.gid": "that group's number",
  "ipc.allow_v1": "speak version 1 of AXON",
  "ipc.buffer_size": "how many events are kept",
  "ipc.buffer_ttl_secs": "for how long",
  "ipc.buffer_byte_cap": "and in how many bytes",
  "ipc.token_path": "the token's file, in this directory",
  "records.policy": '"read_only" or "read_write"',
  "records.writable": "names that may be written all the same",
  "records.queue_size": "changes that wait for a slow watcher; the oldest is dropped",
  "http.enabled": "the HTTP socket",
  "http.unauthenticated_metrics": "metrics without a token",
  "http.max_sse_clients": "event streams at a time",
  "http.heartbeat_secs": "how often a quiet stream shows that it lives",
  "permissions.interactive_timeout_secs": "how long a person has to answer",
  "permissions.unattended_timeout_secs": "how long where nobody watches",
  "sessions.queue_secs": "how long a turn waits for its runner",
  "tokens.rotation_days": "age at which the token is replaced; 0: never",
  "tokens.rotation_grace_secs": "how long a replaced token stays good",
  "limits.max_line_bytes": "the longest line, and body of HTTP (16 MiB unless the owner's)",
  "limits.max_connections": "connections at a time",
  "limits.max_in_flight": "requests of one connection without a reply",
  "limits.max_subscriptions": "subscriptions of one connection",
  "limits.outbox_bytes": "what may wait for a slow connection",
  "limits.hello_timeout_ms": "how long a connection may stay silent at first",
  "limits.blob_bytes": "the largest blob",
  "limits.rate.read": "operations a second for each token; 0: no limit",
  "limits.rate.send": "the same for sending",
  "limits.rate.write": "the same for writing records",
  "limits.rate.serve": "the same for serving",
  "limits.rate.admin": "the same for administration",
  "daemon.enabled": "false: no daemon may be started here",
  "daemon.auto_start": "clients may start it",
  "daemon.idle_timeout_ms": "when one that a client started ends by itself; -1: never",
  "daemon.shutdown_grace_ms": "how long a stop waits for what is under way",
  "daemon.start_timeout_ms": "how long a start may take",
  "daemon.consumer_gc_days": "after how long an unused consumer is forgotten",
  "log.level": '"debug", "info", "warn" or "error"',
  "log.max_bytes": "size at which the log is rotated",
  "log.files": "how many log files there may be",
  "log.audit": "keep log/audit.jsonl",
};

/** The text of the file. */
export function configTemplate(): string {
  return [
    "// Postern's configuration. Every key is optional; a line without its // wins over the default",
    '// that it shows. "postern config check" looks it over, SIGHUP or "postern restart" applies it.',
    "{",
    ...sectionLines(DEFAULTS, "", "  "),
    "}",
    "",
  ].join("\n");
}

function sectionLines(section: object, prefix: string, indent: string): string[] {
  const entries = Object.entries(section);
  const settings = entries.filter(([, value]) => !isSection(value)).map(settingText);
  const width = Math.max(0, ...settings.map((text) => text.length));
  return entries.flatMap(([key, value]) => {
    const name = prefix + key;
    if (!isSection(value)) {
      return [`${indent}// ${settingText([key, value]).padEnd(width)} // ${ABOUT[name] ?? ""}`];
    }
    const inner = sectionLines(value, `${name}.`, `${indent}  `);
    return [`${indent}"${key}": {`, ...inner, `${indent}},`];
  });
}

function settingText([key, value]: readonly [string, unknown]): string {
  return `"${key}": ${JSON.stringify(value)},`;
}
