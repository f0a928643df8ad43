/**
 * AimX spoken by hand: a handshake, then requests with integer ids, and what is pushed in between.
 *
 * Knows the shapes of the protocol's page and nothing of the codec. What a record is before anybody looks at it is
 * set up by a local client, in AXON.
 */

import { assert, assertEquals } from "@std/assert";
import type { ErrorCode } from "../../src/core/errors.ts";
import type { PartialConfig, TestDaemon } from "./in_process.ts";
import type { Line, RawClient } from "./raw_client.ts";

/** What lets AimX set every record that is not the daemon's own. */
export const OPEN_POLICY: PartialConfig = {
  records: { policy: "read_write", writable: [">"] },
};

/** What AimX says for our codes, not taken from the codec that is tested; `no_value` of a history is `NO_BUFFER`. */
export const AIMX_WORDS: Readonly<Record<ErrorCode, string>> = {
  parse_error: "PROTOCOL_ERROR",
  invalid_request: "PROTOCOL_ERROR",
  unknown_operation: "PROTOCOL_ERROR",
  hello_required: "PROTOCOL_ERROR",
  too_large: "PROTOCOL_ERROR",
  unsupported_version: "VERSION_MISMATCH",
  invalid_params: "VALIDATION_ERROR",
  conflict: "VALIDATION_ERROR",
  ack_out_of_range: "VALIDATION_ERROR",
  auth_required: "AUTH_REQUIRED",
  auth_failed: "AUTH_FAILED",
  permission_denied: "PERMISSION_DENIED",
  not_originator: "PERMISSION_DENIED",
  not_found: "NOT_FOUND",
  peer_not_found: "NOT_FOUND",
  no_value: "NO_VALUE",
  rate_limited: "QUEUE_FULL",
  too_many: "TOO_MANY_SUBSCRIPTIONS",
  peer_unreachable: "INTERNAL_ERROR",
  service_unavailable: "INTERNAL_ERROR",
  timeout: "INTERNAL_ERROR",
  storage_full: "INTERNAL_ERROR",
  shutting_down: "INTERNAL_ERROR",
  internal: "INTERNAL_ERROR",
};

/** The version in a hello, and whatever else stands there. */
export interface Hello {
  readonly version?: unknown;
  readonly auth_token?: unknown;
  readonly client?: unknown;
}

/** Greets on a connection that has said nothing; the answer is a welcome or an error. */
export function greet(client: RawClient, hello: Hello = {}): Promise<Line> {
  return client.askBare({ hello: { version: "1.0", client: "test/1", ...hello } });
}

/** One connection that was welcomed. */
export class AimxClient {
  readonly raw: RawClient;
  readonly welcome: Line;
  #lastId = 0;

  constructor(raw: RawClient, welcome: Line) {
    this.raw = raw;
    this.welcome = welcome;
  }

  /** Sends a request and returns the whole reply, which has its id. */
  async ask(method: string, params?: unknown): Promise<Line> {
    const id = ++this.#lastId;
    const reply = await this.raw.askBare({
      id,
      method,
      ...(params === undefined ? {} : { params }),
    });
    assertEquals(reply.id, id, JSON.stringify(reply));
    return reply;
  }

  /** The result of a request that must not be refused. */
  async call(method: string, params?: unknown): Promise<Line> {
    const { result, error } = await this.ask(method, params);
    assertEquals(error, undefined, `${method} ${JSON.stringify(params)}`);
    return result;
  }

  /** The code with which a request is refused, or `ok`. */
  async codeOf(method: string, params?: unknown): Promise<string> {
    const { error } = await this.ask(method, params);
    return error === undefined ? "ok" : error.code;
  }

  /** The next update. */
  async event(): Promise<Line> {
    const { event } = await this.raw.pushed();
    return event;
  }

  /** Fails if anything was pushed that no test took, up to the answer of a ping sent now. */
  async expectNothingPushed(): Promise<void> {
    await this.call("system.ping");
    assertEquals(this.raw.keptPushed, [], "nothing should have been pushed");
  }
}

/** A connection that was welcomed, with the token shown if so wished. */
export async function openAimx(
  daemon: TestDaemon,
  { token = false }: { readonly token?: boolean } = {},
): Promise<AimxClient> {
  const raw = await daemon.connect();
  const line = await greet(raw, token ? { auth_token: daemon.token } : {});
  assert("welcome" in line, JSON.stringify(line));
  return new AimxClient(raw, line.welcome);
}

/** A local client, whom no policy binds: an operation's result, or the test fails. */
export async function localClient(
  daemon: TestDaemon,
): Promise<(operation: string, params?: Line) => Promise<Line>> {
  const client = await daemon.v2("local");
  return async (operation, params = {}) => {
    const { ok, req_id: _id, ...result } = await client.ask({ cmd: operation, ...params });
    assert(ok, `${operation} ${JSON.stringify(params)}: ${JSON.stringify(result)}`);
    return "result" in result ? result.result : result;
  };
}
