/**
 * JSON-RPC 2.0, and the AI Assist form of it: docs/protocol/json-rpc.md.
 *
 * A request without `"jsonrpc"` is the AI Assist form: its reply comes without it, and the events of a subscription
 * opened in it come as `{channel, data}`. Remembers of a connection in which form each subscription was
 * opened, and in which form it spoke last, for errors that belong to no request.
 */

import type { ErrorCode } from "../core/errors.ts";
import { PosternError, shown } from "../core/errors.ts";
import type { LogEvent } from "../core/event.ts";
import type { RecordUpdate } from "../core/record.ts";
import type {
  CallAnswer,
  CallCodec,
  Codec,
  Decoded,
  DecodedMessage,
  Delivery,
  RecordDelivery,
} from "./codec.ts";
import { againField, encodeJson, encodeRecord, isObject } from "./json.ts";

interface JsonRpcTag {
  /** JSON text of the id; `undefined` for a notification, which gets no reply. */
  readonly id: string | undefined;
  readonly standard: boolean;
  readonly method: string;
}

/** Requests in one batch. More are refused as one. */
const MAX_BATCH = 1000;

/** Our codes as numbers; each error names ours in its data as well. */
const ERRORS: Readonly<Record<ErrorCode, number>> = {
  parse_error: -32700,
  invalid_request: -32600,
  unknown_operation: -32601,
  invalid_params: -32602,
  hello_required: -32000,
  unsupported_version: -32000,
  auth_required: -32000,
  auth_failed: -32000,
  permission_denied: -32000,
  not_originator: -32001,
  not_found: -32000,
  no_value: -32000,
  conflict: -32000,
  ack_out_of_range: -32000,
  too_large: -32600,
  rate_limited: -32000,
  too_many: -32000,
  peer_not_found: -32000,
  peer_unreachable: -32000,
  service_unavailable: -32000,
  timeout: -32002,
  storage_full: -32000,
  shutting_down: -32000,
  internal: -32603,
};

/** What opens a subscription. */
const OPENING: ReadonlySet<string> = new Set(["event.subscribe", "record.subscribe"]);

/** In the AI Assist form -32001 means that there is no connection. */
const AI_ASSIST_NOT_ORIGINATOR = -32000;

/** Whether a connection's first message is JSON-RPC's. */
export function isJsonRpc(message: unknown): boolean {
  return Array.isArray(message) || (isObject(message) && Object.hasOwn(message, "method"));
}

/** One connection's JSON-RPC. */
export class JsonRpcCodec implements Codec {
  readonly dialect = "json-rpc";
  readonly singleSubscription = false;
  readonly calls: CallCodec = {
    encodeCall: ({ id, method, params, caller }) =>
      `{${head(this.#standard)}"id":"${id}","method":${JSON.stringify(method)},` +
      `"params":${params.text},"caller":${JSON.stringify(caller)}}`,
    encodeCancel: (id) => `{${head(this.#standard)}"method":"call.cancel","params":{"id":"${id}"}}`,
  };
  readonly isRemote = false;
  readonly isOver = false;
  readonly hearsBroadcast = false;
  #standard = true;
  /** Subscriptions whose events come as `{channel, data}`; at most as many as a connection may have. */
  readonly #asChannels = new Set<string>();

  decode(message: unknown): DecodedMessage {
    if (isAnswer(message)) {
      return { requests: [], answers: [answerOf(message)], isBatch: false };
    }
    if (!Array.isArray(message)) return { requests: [this.#decode(message)], isBatch: false };
    if (message.length > 0 && message.length <= MAX_BATCH) {
      const answers = message.filter(isAnswer).map(answerOf);
      const requests = message.filter((one) => !isAnswer(one)).map((one) => this.#decode(one));
      return { requests, answers, isBatch: true };
    }
    const refusal = new PosternError(
      "invalid_request",
      `a batch must hold 1 to ${MAX_BATCH} requests, got ${message.length}`,
      { limit: MAX_BATCH },
    );
    const tag: JsonRpcTag = { id: "null", standard: true, method: "" };
    return { requests: [{ refusal, tag }], isBatch: false };
  }

  /** What needs a token needs one here, without exception. */
  opens(): boolean {
    return false;
  }

  encodeResult({ id, standard, method }: JsonRpcTag, result: unknown): string | null {
    if (OPENING.has(method) && !standard) {
      this.#asChannels.add((result as { subscription_id: string }).subscription_id);
    }
    if (id === undefined) return null;
    return `{${head(standard)}"id":${id},"result":${encodeJson(result)}}`;
  }

  encodeError(tag: JsonRpcTag | null, error: PosternError): string | null {
    const { id, standard } = tag ?? { id: "null", standard: this.#standard };
    if (id === undefined) return null;
    const isOther = error.code === "not_originator" && !standard;
    const code = isOther ? AI_ASSIST_NOT_ORIGINATOR : ERRORS[error.code];
    const { message, details } = error;
    const data = { ...details, code: error.code };
    return `{${head(standard)}"id":${id},"error":${JSON.stringify({ code, message, data })}}`;
  }

  encodeBatch(replies: readonly string[]): string | null {
    return replies.length === 0 ? null : `[${replies.join(",")}]`;
  }

  encodeEvent(event: LogEvent, { subscriptionId, replay, again, gap }: Delivery): string {
    const fields = `"subscription_id":"${subscriptionId}","seq":${event.seq},"replay":${replay},` +
      `${againField(again)}"buffered_at_ms":${event.bufferedAtMs},"envelope":${event.envelope}` +
      (gap === null ? "" : `,"gap":${JSON.stringify(gap)}`);
    if (!this.#asChannels.has(subscriptionId)) {
      return `{"jsonrpc":"2.0","method":"event","params":{${fields}}}`;
    }
    return `{"channel":"${event.topic ?? `event.${event.kind}`}","data":{${fields}}}`;
  }

  encodeRecordEvent(update: RecordUpdate, delivery: RecordDelivery): string {
    const fields = `{${encodeRecord(update, delivery)}}`;
    return this.#asChannels.has(delivery.subscriptionId)
      ? `{"channel":"record.${update.name}","data":${fields}}`
      : `{"jsonrpc":"2.0","method":"record.event","params":${fields}}`;
  }

  /** Nobody hears events here without having asked for them. */
  encodeBroadcast(): string {
    return "";
  }

  sharedEncoding(): null {
    return null;
  }

  #decode(message: unknown): Decoded {
    if (!isObject(message)) {
      const refusal = new PosternError(
        "invalid_request",
        `a request must be a JSON object, got ${shown(message)}`,
      );
      return {
        refusal,
        tag: { id: "null", standard: this.#standard, method: "" } satisfies JsonRpcTag,
      };
    }
    const standard = this.#standard = Object.hasOwn(message, "jsonrpc");
    const method = typeof message.method === "string" ? message.method : "";
    const tag: JsonRpcTag = { id: idOf(message), standard, method };
    const wrong = faultOf(message);
    if (wrong !== null) {
      // What is no request at all is answered without an id too; a notification never.
      const id = wrong.code === "invalid_request" ? tag.id ?? "null" : tag.id;
      return { refusal: wrong, tag: { ...tag, id } };
    }
    const params = message.params ?? {};
    return {
      call: { operation: method, params: standard ? params : asChannels(method, params) },
      tag,
    };
  }
}

/** A message that has an id and an outcome, and asks for nothing. */
function isAnswer(message: unknown): message is Record<string, unknown> {
  return isObject(message) && !Object.hasOwn(message, "method") && Object.hasOwn(message, "id") &&
    (Object.hasOwn(message, "result") || Object.hasOwn(message, "error"));
}

/** An id that is none of the daemon's belongs to no call, and neither does its answer. */
function answerOf({ id, result, error }: Record<string, unknown>): CallAnswer {
  const name = typeof id === "string" ? id : "";
  if (error === undefined) return { id: name, result };
  return { id: name, error: isObject(error) ? error : {} };
}

function head(standard: boolean): string {
  return standard ? '"jsonrpc":"2.0",' : "";
}

/** The id as it goes back; an id of a wrong type goes back as null. */
function idOf(message: Record<string, unknown>): string | undefined {
  if (!Object.hasOwn(message, "id")) return undefined;
  return isId(message.id) ? JSON.stringify(message.id) : "null";
}

function isId(id: unknown): boolean {
  return typeof id === "string" || typeof id === "number" || id === null || JSON.isRawJSON(id);
}

function faultOf(message: Record<string, unknown>): PosternError | null {
  const { jsonrpc, method, params, id } = message;
  if (jsonrpc !== undefined && jsonrpc !== "2.0") {
    return new PosternError("invalid_request", `"jsonrpc" must be "2.0", got ${shown(jsonrpc)}`);
  }
  if (typeof method !== "string") {
    return new PosternError("invalid_request", `"method" must be a string, got ${shown(method)}`);
  }
  if (id !== undefined && !isId(id)) {
    return new PosternError(
      "invalid_request",
      `"id" must be a string, a number or null, got ${shown(id)}`,
    );
  }
  if (params !== undefined && !isObject(params)) {
    return new PosternError("invalid_params", `"params" must be an object, got ${shown(params)}`);
  }
  return null;
}

/** The AI Assist form subscribes to channels: a topic, else the kind. */
function asChannels(method: string, params: unknown): unknown {
  if (method !== "event.subscribe" || !isObject(params) || !Object.hasOwn(params, "topics")) {
    return params;
  }
  const { topics, ...rest } = params;
  return { ...rest, channels: topics };
}
