/**
 * The AimX dialect, v1: docs/protocol/aimx.md.
 *
 * Remembers of a connection how its handshake went: a refused one ends the conversation. A handshake is the one
 * message without an id, and so is its reply.
 */

import type { ErrorCode } from "../core/errors.ts";
import { PosternError, shown } from "../core/errors.ts";
import type { LogEvent } from "../core/event.ts";
import type { RecordUpdate } from "../core/record.ts";
import { VERSION } from "../core/version.ts";
import type { Codec, Decoded, DecodedMessage, Delivery, RecordDelivery } from "./codec.ts";
import { againField, encodeJson, encodeRecord, isObject } from "./json.ts";

interface AimxTag {
  /** JSON text of the id; `null` for the handshake. */
  readonly id: string | null;
  readonly method: string;
}

/** The version of the protocol that is spoken here. */
const AIMX_VERSION = "1.0";

/** What is open to a connection without a token: reading records, beside what needs none in any dialect. */
const OPEN: ReadonlySet<string> = new Set([
  "record.list",
  "record.get",
  "record.history",
  "record.subscribe",
  "record.unsubscribe",
]);

/** Our codes in AimX's words. */
const ERRORS: Readonly<Record<ErrorCode, string>> = {
  parse_error: "PROTOCOL_ERROR",
  invalid_request: "PROTOCOL_ERROR",
  unknown_operation: "PROTOCOL_ERROR",
  invalid_params: "VALIDATION_ERROR",
  hello_required: "PROTOCOL_ERROR",
  unsupported_version: "VERSION_MISMATCH",
  auth_required: "AUTH_REQUIRED",
  auth_failed: "AUTH_FAILED",
  permission_denied: "PERMISSION_DENIED",
  not_originator: "PERMISSION_DENIED",
  not_found: "NOT_FOUND",
  no_value: "NO_VALUE",
  conflict: "VALIDATION_ERROR",
  ack_out_of_range: "VALIDATION_ERROR",
  too_large: "PROTOCOL_ERROR",
  rate_limited: "QUEUE_FULL",
  too_many: "TOO_MANY_SUBSCRIPTIONS",
  peer_not_found: "NOT_FOUND",
  peer_unreachable: "INTERNAL_ERROR",
  service_unavailable: "INTERNAL_ERROR",
  timeout: "INTERNAL_ERROR",
  storage_full: "INTERNAL_ERROR",
  shutting_down: "INTERNAL_ERROR",
  internal: "INTERNAL_ERROR",
};

/** Whether a connection's first message is AimX's. */
export function isAimx(message: unknown): boolean {
  return isObject(message) && Object.hasOwn(message, "hello") && isObject(message.hello);
}

/** One connection's AimX. */
export class AimxCodec implements Codec {
  readonly dialect = "aimx";
  readonly singleSubscription = false;
  readonly calls = null;
  readonly isRemote = true;
  readonly hearsBroadcast = false;
  #greeted = false;
  #isOver = false;

  get isOver(): boolean {
    return this.#isOver;
  }

  decode(message: unknown): DecodedMessage {
    let tag: AimxTag = { id: "null", method: "" };
    try {
      if (!isObject(message)) {
        throw new PosternError(
          "invalid_request",
          `a request must be a JSON object, got ${shown(message)}`,
        );
      }
      const isHello = Object.hasOwn(message, "hello");
      tag = isHello ? { id: null, method: "hello" } : tagOf(message);
      const call = isHello ? this.#decodeHello(message.hello) : callOf(message, tag);
      return { requests: [{ call, tag } satisfies Decoded], isBatch: false };
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      return { requests: [{ refusal: error, tag }], isBatch: false };
    }
  }

  opens(operation: string): boolean {
    return OPEN.has(operation);
  }

  encodeResult({ id }: AimxTag, result: unknown): string {
    if (id !== null) return `{"id":${id},"result":${encodeJson(result)}}`;
    this.#greeted = true;
    const { authenticated, permissions, writable_records, max_subscriptions } = result as Access;
    const welcome = {
      version: AIMX_VERSION,
      server: `postern/${VERSION}`,
      permissions,
      writable_records,
      max_subscriptions,
      authenticated,
    };
    return JSON.stringify({ welcome });
  }

  encodeError(tag: AimxTag | null, { code, message, details = {} }: PosternError): string {
    const { id, method } = tag ?? { id: "null", method: "" };
    const { retry_after_ms, ...others } = details;
    const error = {
      code: nameOf(code, method),
      message,
      details: { ...others, code },
      ...(retry_after_ms === undefined ? {} : { retry_after_ms }),
    };
    if (id !== null) return `{"id":${id},"error":${JSON.stringify(error)}}`;
    if (!this.#greeted) this.#isOver = true;
    return JSON.stringify({ error });
  }

  /** AimX has no batches. */
  encodeBatch(): null {
    return null;
  }

  encodeEvent(event: LogEvent, { subscriptionId, replay, again, gap }: Delivery): string {
    return `{"event":{"subscription_id":"${subscriptionId}","seq":${event.seq},"replay":${replay},` +
      `${againField(again)}"buffered_at_ms":${event.bufferedAtMs},"envelope":${event.envelope}` +
      `${gap === null ? "" : `,"gap":${JSON.stringify(gap)}`}}}`;
  }

  encodeRecordEvent(update: RecordUpdate, delivery: RecordDelivery): string {
    return `{"event":{${encodeRecord(update, delivery)}}}`;
  }

  /** Nobody hears events here without having asked for them. */
  encodeBroadcast(): string {
    return "";
  }

  sharedEncoding(): null {
    return null;
  }

  #decodeHello(hello: unknown): { operation: string; params: unknown } {
    if (this.#greeted) {
      throw new PosternError("invalid_request", "hello: was said already on this connection");
    }
    if (!isObject(hello)) {
      throw new PosternError("invalid_request", `hello: must be an object, got ${shown(hello)}`);
    }
    const { version, client, auth_token } = hello;
    requireVersion(version);
    for (const [name, text] of Object.entries({ client, auth_token })) {
      if (text === undefined || typeof text === "string") continue;
      const seen = name === "client" ? shown(text) : "another value";
      throw new PosternError("invalid_request", `hello: "${name}" must be a string, got ${seen}`);
    }
    const params = auth_token === undefined ? {} : { token: auth_token };
    return { operation: "auth.access", params };
  }
}

/** What the handshake's operation answers. */
interface Access {
  readonly authenticated: boolean;
  readonly permissions: readonly string[];
  readonly writable_records: readonly string[];
  readonly max_subscriptions: number;
}

/** Another minor version is spoken with; another major is not. */
function requireVersion(version: unknown): void {
  if (typeof version !== "string" || !/^\d{1,9}(\.\d{1,9}){0,2}$/.test(version)) {
    throw new PosternError(
      "invalid_request",
      `hello: "version" must be a string such as "${AIMX_VERSION}", got ${shown(version)}`,
    );
  }
  if (Number(version.split(".", 1)[0]) === Number(AIMX_VERSION.split(".", 1)[0])) return;
  throw new PosternError(
    "unsupported_version",
    `hello: this server speaks ${AIMX_VERSION}, the client ${version}`,
    { client: version, server: AIMX_VERSION },
  );
}

/** What a reply repeats; an id of a wrong type goes back as null. */
function tagOf(message: Record<string, unknown>): AimxTag {
  const { id, method } = message;
  return {
    id: isId(id) ? JSON.stringify(id) : "null",
    method: typeof method === "string" ? method : "",
  };
}

function isId(id: unknown): boolean {
  return Number.isInteger(id) || (JSON.isRawJSON(id) && /^-?\d+$/.test(JSON.stringify(id)));
}

function callOf(
  message: Record<string, unknown>,
  { method }: AimxTag,
): { operation: string; params: unknown } {
  const { id, params = {} } = message;
  if (!isId(id)) {
    throw new PosternError("invalid_request", `"id" must be an integer, got ${shown(id)}`);
  }
  if (method === "") {
    throw new PosternError(
      "invalid_request",
      `"method" must be a string that is not empty, got ${shown(message.method)}`,
    );
  }
  if (!isObject(params)) {
    throw new PosternError("invalid_params", `"params" must be an object, got ${shown(params)}`);
  }
  return { operation: method, params };
}

/** A history is the one thing that lacks a value because the record has no buffer for it. */
function nameOf(code: ErrorCode, method: string): string {
  return code === "no_value" && method === "record.history" ? "NO_BUFFER" : ERRORS[code];
}
