/**
 * Every way in which an operation can be refused, as a closed list.
 *
 * A codec maps each code to its dialect in one exhaustive table, so a code added here fails the type
 * check until every dialect has a row for it. Anything thrown that is not a {@linkcode PosternError} is
 * a bug: it becomes `internal`, and its detail goes to the log and nowhere else.
 */

/** The closed list of error codes. A client may rely on these names. */
export const ERROR_CODES = [
  "parse_error",
  "invalid_request",
  "unknown_operation",
  "invalid_params",
  "hello_required",
  "unsupported_version",
  "auth_required",
  "auth_failed",
  "permission_denied",
  "not_originator",
  "not_found",
  "no_value",
  "conflict",
  "ack_out_of_range",
  "too_large",
  "rate_limited",
  "too_many",
  "peer_not_found",
  "peer_unreachable",
  "service_unavailable",
  "timeout",
  "storage_full",
  "shutting_down",
  "internal",
] as const;

/**
 * The code of a refusal; only what stands in the list is one.
 *
 * @example
 * ```ts
 * import type { ErrorCode } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const passing: readonly ErrorCode[] = ["rate_limited", "shutting_down"];
 * assert(!passing.includes("not_found"));
 * ```
 */
export type ErrorCode = typeof ERROR_CODES[number];

/** Facts beside the message that a program may want: which field, which limit, who holds it. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/**
 * An expected refusal. `message` names the action, the rule and the value seen.
 *
 * @example
 * ```ts
 * import { connect, PosternError, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const refusal = await client.ack(7).catch((error) => error);
 * assert(refusal instanceof PosternError && refusal.code === "ack_out_of_range");
 * ```
 */
export class PosternError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails | undefined;

  constructor(code: ErrorCode, message: string, details?: ErrorDetails) {
    // A refusal is told, not debugged, and taking the stack would be most of what it costs under a flood.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = "PosternError";
    this.code = code;
    this.details = details;
  }
}

/** Of a text no more than this is looked at for a message. */
const LOOKED_AT = 512;
/** What may be a token or a client_id, wherever somebody has put it. */
const SECRETS = /(?:pst_[0-9a-f]{1,16}_)?[0-9a-f]{48,}/gi;
/** The same 32 bytes in base64; paths look like it as well, and have hardly any capitals. */
const BASE64 = /[A-Za-z0-9+/_-]{43,}=?/g;
/** Of 43 random characters fewer are capitals once in a million times. */
const CAPITALS = /(?:[A-Z][^A-Z]*){4}/;
const SHORTEST_SECRET = 43;
const HIDDEN = "(hidden)";

/**
 * A value as it may stand in a message: quoted, cut so that bad input cannot flood a log, and without anything that
 * looks like a secret.
 *
 * @example
 * ```ts
 * import { shown } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * assert(shown("two\nlines") === '"two?lines"');
 * assert(shown(["a"]) === "an array");
 * ```
 */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    const text = withoutSecrets(value.slice(0, LOOKED_AT));
    const cut = text.length > 64 ? `${text.slice(0, 61)}...` : text;
    return `"${cut.replaceAll(/[\p{Cc}"\\]/gu, "?")}"`;
  }
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return "an array";
  // A number that JavaScript cannot hold is carried as its text, in an object without a prototype.
  const isNumber = Object.getPrototypeOf(value) === null && "rawJSON" in value;
  return isNumber ? String(value.rawJSON).slice(0, 64) : "an object";
}

/** A text with whatever looks like a token or a client_id taken out, in hex or in base64. */
export function withoutSecrets(text: string): string {
  if (text.length < SHORTEST_SECRET) return text;
  return text.replaceAll(SECRETS, HIDDEN)
    .replaceAll(BASE64, (run) => CAPITALS.test(run) ? HIDDEN : run);
}
