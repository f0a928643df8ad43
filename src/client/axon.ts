/**
 * The client's side of AXON v2: requests to text, lines to what they mean. No I/O.
 *
 * A line of the daemon is a pushed event or record, or a reply that names the request it belongs to, or a complaint
 * about something that could not be read as a request. Anything else is the future and is passed over.
 */

import { ConnectionError, type ErrorCode, PosternError, shown } from "./errors.ts";
import { ERROR_CODES, type ErrorDetails } from "../core/errors.ts";
import type { InboundEvent } from "./messages.ts";

/** The AXON version that this client speaks. */
export const AXON_VERSION = 2;

/** What a line of the daemon means. */
export type Received =
  | { readonly type: "reply"; readonly reqId: string; readonly result: unknown }
  | { readonly type: "refusal"; readonly reqId: string | null; readonly error: PosternError }
  | { readonly type: "event"; readonly event: InboundEvent }
  | { readonly type: "record"; readonly line: RecordLine }
  | { readonly type: "call"; readonly call: CallLine }
  | { readonly type: "cancelled"; readonly id: string }
  | { readonly type: "other" };

/** A value of a record, pushed on the subscription that it names. */
export interface RecordLine {
  readonly subscription_id: string;
  readonly name: string;
  readonly sequence: number;
  readonly data: unknown;
  /** `"secs.nanosecs"` */
  readonly timestamp: string;
  /** Updates of this subscription that the daemon dropped since the one before. */
  readonly dropped?: number;
}

/** A call of a method that this connection provides. */
export interface CallLine {
  readonly id: string;
  /** `service.method` */
  readonly method: string;
  readonly params: unknown;
  readonly caller: { readonly originator: string | null; readonly scopes: readonly string[] };
}

/** How the JSON of a line is read. */
export type Parse = (text: string) => unknown;

const OTHER: Received = { type: "other" };
const RESERVED = ["cmd", "req_id"];

/** AXON's names for what ours call otherwise; all the rest have the same name. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  invalid_command: "invalid_request",
  internal_error: "internal",
};

/**
 * The parameters of a request as the text of one JSON object on one line, for {@linkcode encodeRequest}.
 * Text is kept as it is, but for line breaks, which JSON has between tokens only.
 *
 * @throws {PosternError} `invalid_params` when they are no JSON object, or use a name that AXON itself uses.
 */
export function encodeParams(operation: string, params: object | string): string {
  const [value, text] = typeof params === "string"
    ? [parseText(operation, params), params.trim().replaceAll(/[\r\n]+/g, " ")]
    : [params, stringify(operation, params)];
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidParams(operation, `its parameters are an object, not ${shown(value)}`);
  }
  const reserved = RESERVED.find((name) => Object.hasOwn(value, name));
  if (reserved === undefined) return text;
  throw invalidParams(operation, `no parameter may be named ${shown(reserved)}`);
}

function parseText(operation: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidParams(operation, `its parameters are no JSON: ${shown(text)}`);
  }
}

function stringify(operation: string, params: object): string {
  try {
    return JSON.stringify(params);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw invalidParams(operation, `its parameters have no JSON form: ${why}`);
  }
}

function invalidParams(operation: string, rule: string): PosternError {
  return new PosternError("invalid_params", `calling ${shown(operation)}: ${rule}`);
}

/**
 * One request as a line. `params` is the text of a JSON object and goes out as it is, so that a number
 * that JavaScript cannot hold arrives as it was written.
 */
export function encodeRequest(reqId: string, operation: string, params: string): string {
  const head = `{"cmd":${JSON.stringify(operation)},"req_id":"${reqId}"`;
  const body = params.slice(1).trimStart();
  return body.startsWith("}") ? `${head}}\n` : `${head},${body}\n`;
}

/**
 * Reads one line of the daemon.
 *
 * @throws {ConnectionError} `EPROTO` when the line is no JSON object.
 */
export function decodeLine(line: string, parse: Parse = JSON.parse): Received {
  const value = parseObject(line, parse);
  if (value.event === "inbound") return { type: "event", event: value as unknown as InboundEvent };
  if (value.event === "record") return { type: "record", line: value as unknown as RecordLine };
  if (value.event === "call") return { type: "call", call: value as unknown as CallLine };
  if (value.event === "call.cancel") return { type: "cancelled", id: String(value.id) };
  const reqId = typeof value.req_id === "string" ? value.req_id : null;
  if (value.ok === false) return { type: "refusal", reqId, error: toError(value) };
  if (value.ok !== true || reqId === null) return OTHER;
  return { type: "reply", reqId, result: toResult(value) };
}

function parseObject(line: string, parse: Parse): Record<string, unknown> {
  let value: unknown;
  try {
    value = parse(line);
  } catch {
    throw new ConnectionError("EPROTO", `the daemon sent a line that is no JSON: ${shown(line)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConnectionError("EPROTO", `the daemon sent a line that is no object: ${shown(line)}`);
  }
  return value as Record<string, unknown>;
}

function toError(reply: Record<string, unknown>): PosternError {
  const { ok: _ok, req_id: _reqId, error, code: ours = error, message, ...details } = reply;
  const known = ERROR_CODES.find((code) => code === ours) ?? CODES[String(error)];
  const text = typeof message === "string" ? message : `the daemon answered ${shown(error)}`;
  return new PosternError(known ?? "internal", text, details as ErrorDetails);
}

/** A result that is no object travels in `result`; of all others the fields stand in the reply itself. */
function toResult(reply: Record<string, unknown>): unknown {
  const { ok: _ok, req_id: _reqId, ...fields } = reply;
  return Object.hasOwn(fields, "result") ? fields.result : fields;
}
