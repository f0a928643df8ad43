/**
 * The AXON dialect, v1 and v2: docs/protocol/axon.md.
 *
 * Remembers of a connection the negotiated version, which is what decides whether `req_id` is required,
 * which commands exist, and whether the connection hears every event as a v1 listener.
 */

import type { ErrorCode } from "../core/errors.ts";
import { PosternError, shown } from "../core/errors.ts";
import type { LogEvent } from "../core/event.ts";
import type { RecordUpdate } from "../core/record.ts";
import type { Gap } from "../core/read.ts";
import { JsonText } from "../core/text.ts";
import { IPC_VERSION } from "../core/version.ts";
import type {
  CallCodec,
  Codec,
  CodecSettings,
  Decoded,
  DecodedMessage,
  Delivery,
  RecordDelivery,
} from "./codec.ts";
import { againField, encodeFields, encodeJson, encodeRecord, isObject } from "./json.ts";

interface AxonTag {
  readonly command: string;
  readonly reqId: string | undefined;
  /** Set for a hello: the version it negotiates. */
  readonly version?: number;
}

/** The AXON specification's own commands, by the operation they stand for. Any other command is an operation's name. */
const COMMANDS: ReadonlyMap<string, string> = new Map([
  ["hello", "system.hello"],
  ["auth", "auth.login"],
  ["send", "event.send"],
  ["peers", "peer.list"],
  ["status", "system.status"],
  ["whoami", "system.whoami"],
  ["inbox", "event.inbox"],
  ["ack", "event.ack"],
  ["subscribe", "event.subscribe"],
]);

/** Commands of v1, where it is allowed (AXON 3.1; `auth` is not listed as v2-only). */
const V1_COMMANDS: ReadonlySet<string> = new Set(["auth", "send", "peers", "status"]);

/** Operations that any connection may ask for at any time, because they need no token either. */
const ANY_TIME: ReadonlySet<string> = new Set(["auth.login", "system.ping", "system.status"]);

/** What v1 opens to a connection without a token, beside what needs none in any dialect. */
const OPEN_IN_V1: ReadonlySet<string> = new Set(["event.send", "peer.list"]);

/** Our codes in AXON's words; where these say less, `code` has ours as well. */
const ERRORS: Readonly<Record<ErrorCode, string>> = {
  parse_error: "invalid_command",
  invalid_request: "invalid_command",
  unknown_operation: "invalid_command",
  invalid_params: "invalid_command",
  hello_required: "hello_required",
  unsupported_version: "unsupported_version",
  auth_required: "auth_required",
  auth_failed: "auth_failed",
  permission_denied: "permission_denied",
  not_originator: "not_originator",
  not_found: "not_found",
  no_value: "no_value",
  conflict: "conflict",
  ack_out_of_range: "ack_out_of_range",
  too_large: "invalid_command",
  rate_limited: "rate_limited",
  too_many: "too_many",
  peer_not_found: "peer_not_found",
  peer_unreachable: "peer_unreachable",
  service_unavailable: "service_unavailable",
  timeout: "timeout",
  storage_full: "storage_full",
  shutting_down: "shutting_down",
  internal: "internal_error",
};

/** Whether a connection's first message is AXON's. */
export function isAxon(message: unknown): boolean {
  return isObject(message) && Object.hasOwn(message, "cmd");
}

/** One connection's AXON. */
export class AxonCodec implements Codec {
  readonly dialect = "axon";
  readonly singleSubscription = true;
  readonly calls: CallCodec = {
    encodeCall: ({ id, method, params, caller }) =>
      `{"event":"call","id":"${id}","method":${JSON.stringify(method)},"params":${params.text},` +
      `"caller":${JSON.stringify(caller)}}`,
    encodeCancel: (id) => `{"event":"call.cancel","id":"${id}"}`,
  };
  readonly isRemote = false;
  readonly isOver = false;
  readonly #settings: CodecSettings;
  /** `null` before a hello. */
  #version: number | null = null;
  #spokeV1 = false;

  constructor(settings: CodecSettings) {
    this.#settings = settings;
  }

  get hearsBroadcast(): boolean {
    if (!this.#settings.allowV1) return false;
    return this.#version === null ? this.#spokeV1 : this.#version < 2;
  }

  /** A connection that has said nothing for long is taken for one that listens. */
  listenAsV1(): void {
    this.#spokeV1 = true;
  }

  decode(message: unknown): DecodedMessage {
    const reqId = isObject(message) ? ownString(message, "req_id") : undefined;
    const tag: AxonTag = { command: "", reqId };
    try {
      return { requests: [this.#decode(message, reqId)], isBatch: false };
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      return { requests: [{ refusal: error, tag }], isBatch: false };
    }
  }

  opens(operation: string): boolean {
    return (this.#version ?? 1) < 2 && OPEN_IN_V1.has(operation);
  }

  encodeResult(tag: AxonTag, result: unknown): string {
    const { command, reqId, version } = tag;
    if (version !== undefined) this.#version = version;
    const head = reqId === undefined
      ? '{"ok":true'
      : `{"ok":true,"req_id":${JSON.stringify(reqId)}`;
    return `${head}${fieldsOf(command, asAxon(command, result, version))}}`;
  }

  encodeError(tag: AxonTag | null, error: PosternError): string {
    const { code, message, details } = error;
    const theirs = ERRORS[code];
    const ours = theirs === code ? {} : { code };
    const fixed = { ok: false, req_id: tag?.reqId, error: theirs, ...ours, message };
    // Again behind the details, which must not stand in the place of any of them.
    return JSON.stringify({ ...fixed, ...details, ...fixed });
  }

  /** AXON has no batches of requests. */
  encodeBatch(): null {
    return null;
  }

  encodeEvent(event: LogEvent, { replay, again, gap }: Delivery): string {
    return `{"event":"inbound","replay":${replay},${
      againField(again)
    }"seq":${event.seq},"buffered_at_ms":` +
      `${event.bufferedAtMs},"envelope":${event.envelope}${gapField(gap)}}`;
  }

  encodeRecordEvent(update: RecordUpdate, delivery: RecordDelivery): string {
    return `{"event":"record",${encodeRecord(update, delivery)}}`;
  }

  encodeBroadcast(event: LogEvent, gap: Gap | null): string {
    return `{"inbound":true,"envelope":${event.envelope}${gapField(gap)}}`;
  }

  sharedEncoding({ replay }: { replay: boolean }): string {
    return replay ? "axon replay" : "axon live";
  }

  #decode(message: unknown, reqId: string | undefined): Decoded {
    if (!isObject(message)) {
      throw new PosternError(
        "invalid_request",
        `a command must be a JSON object, got ${shown(message)}`,
      );
    }
    const command = message.cmd;
    if (typeof command !== "string") {
      throw new PosternError(
        "invalid_request",
        `a command must name itself in "cmd", a string, got ${shown(command)}`,
      );
    }
    this.#requireVersionFor(command);
    this.#requireReqId(command, message, reqId);
    const operation = COMMANDS.get(command) ?? command;
    if (operation === "system.hello") return this.#decodeHello(command, message, reqId);
    if (command === "send" && !Object.hasOwn(message, "to")) {
      throw new PosternError("invalid_params", `send: "to" is required: "self" or an agent_id`);
    }
    // "cmd" and "req_id" stay among the parameters of operations, none of which has any of that name.
    const params = this.#settings.isOperation(operation) ? message : parametersOf(message);
    return { call: { operation, params }, tag: { command, reqId } };
  }

  #decodeHello(
    command: string,
    message: Record<string, unknown>,
    reqId: string | undefined,
  ): Decoded {
    // Under the operation's own name the greeting has the operation's own parameters.
    const { version = command === "hello" ? undefined : IPC_VERSION } = message;
    if (typeof version !== "number" || !Number.isSafeInteger(version) || version < 1) {
      throw new PosternError(
        "invalid_params",
        `hello: "version" must be an integer from 1, the highest the client supports, got ${
          shown(version)
        }`,
      );
    }
    const negotiated = Math.min(version, IPC_VERSION);
    if (negotiated < 2 && !this.#settings.allowV1) {
      throw new PosternError(
        "unsupported_version",
        `hello: this daemon requires version 2 (ipc.allow_v1 is false), got ${version}`,
      );
    }
    return {
      call: { operation: "system.hello", params: message },
      tag: { command, reqId, version: negotiated } satisfies AxonTag,
    };
  }

  #requireVersionFor(command: string): void {
    if (command === "hello" || command === "system.hello" || (this.#version ?? 0) >= 2) return;
    if (this.#version === null && !this.#settings.allowV1) {
      throw new PosternError("hello_required", `${shown(command)}: say hello with version 2 first`);
    }
    if (ANY_TIME.has(command)) return;
    if (V1_COMMANDS.has(command)) {
      this.#spokeV1 = true;
      return;
    }
    if (COMMANDS.has(command) || this.#settings.isOperation(command)) {
      throw new PosternError(
        "hello_required",
        `${shown(command)}: needs version 2; say hello first`,
      );
    }
    throw new PosternError("unknown_operation", `there is no command ${shown(command)}`);
  }

  #requireReqId(
    command: string,
    message: Record<string, unknown>,
    reqId: string | undefined,
  ): void {
    if (reqId !== undefined) return;
    const given = message.req_id;
    if (given === undefined && (command === "hello" || (this.#version ?? 1) < 2)) return;
    throw new PosternError(
      "invalid_request",
      `${shown(command)}: "req_id" must be a string on every command of version 2, got ${
        shown(given)
      }`,
    );
  }
}

/** The shapes that the AXON specification gives its own commands, where they are not the operation's. */
function asAxon(command: string, result: unknown, version: number | undefined): unknown {
  if (command === "hello") {
    return { ...result as object, version, daemon_max_version: IPC_VERSION };
  }
  if (command === "auth") {
    const { scopes: _scopes, ...identity } = result as { readonly scopes: unknown };
    return { auth: "accepted", ...identity };
  }
  if (command === "subscribe") {
    const { replayed, replay_to_seq } = result as { replayed: number; replay_to_seq: number };
    return { subscribed: true, replayed, replay_to_seq };
  }
  return result;
}

/** Commands whose result is somebody else's to choose, and so never stands among the fields of a reply. */
const APART: ReadonlySet<string> = new Set(["service.call", "permission.wait"]);

/** The fields of a result as they follow others in an object; what is no object comes as `result`. */
function fieldsOf(command: string, result: unknown): string {
  if (
    APART.has(command) || typeof result !== "object" || result === null || Array.isArray(result) ||
    result instanceof JsonText
  ) {
    return `,"result":${encodeJson(result)}`;
  }
  const fields = encodeFields(result);
  return fields === "" ? "" : `,${fields}`;
}

function gapField(gap: Gap | null): string {
  return gap === null ? "" : `,"gap":{"from_seq":${gap.from_seq},"to_seq":${gap.to_seq}}`;
}

/** What a service's method is given. */
function parametersOf(message: Record<string, unknown>): Record<string, unknown> {
  const { cmd: _cmd, req_id: _reqId, ...params } = message;
  return params;
}

function ownString(message: Record<string, unknown>, name: string): string | undefined {
  const value = Object.hasOwn(message, name) ? message[name] : undefined;
  return typeof value === "string" ? value : undefined;
}
