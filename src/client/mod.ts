/**
 * The client library: find the daemon of this machine, connect, send, read, subscribe.
 *
 * A client has no state that must be kept: what it has not acknowledged comes again.
 *
 * @module
 */

import { Client } from "./client.ts";
import { openConnection } from "./dial.ts";
import { findTarget, type TargetOptions } from "./discovery.ts";

export { Client, type InboxOptions, type SubscribeOptions } from "./client.ts";
export { type Closed, MAX_LINE_BYTES, type RequestOptions } from "./connection.ts";
export { type DirectoryOptions, type Environment, resolveDirectory } from "./directory.ts";
export {
  type Discovery,
  findTarget,
  readDiscovery,
  type Target,
  type TargetOptions,
} from "./discovery.ts";
export {
  ConnectionError,
  type ConnectionErrorCode,
  type ErrorCode,
  PosternError,
  shown,
} from "./errors.ts";
export type * from "./messages.ts";
export { Subscription, type SubscriptionStart } from "./subscription.ts";
export { VERSION } from "../core/version.ts";

/** Which daemon to connect to, and as whom. */
export interface ConnectOptions extends TargetOptions {
  /** Name of the durable cursor that inbox, ack and replay go by. @default {"default"} */
  readonly consumer?: string;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
  /** How long the daemon may take to answer. @default {10000} */
  readonly timeoutMs?: number;
  /** Longest request in bytes; the daemon's `limits.max_line_bytes`. @default {1048576} */
  readonly maxLineBytes?: number;
  /** Keep numbers that JavaScript cannot hold as raw JSON values, to be passed on. @default {false} */
  readonly exactNumbers?: boolean;
}

/**
 * Connects to a running daemon and authenticates with its token file.
 *
 * @param options By default the daemon in the usual directory, as the consumer `default`.
 * @returns The client, ready for requests.
 * @throws {ConnectionError} `ENOENT` and `ECONNREFUSED` when no daemon runs, `ETIMEDOUT`, `EACCES`, `EPROTO`
 * @throws {PosternError} `auth_failed`, `permission_denied`, `invalid_params`
 *
 * @example
 * ```ts no-run
 * import { connect } from "@postern/postern/client";
 *
 * await using client = await connect();
 * const { seq } = await client.send({ kind: "notify", topic: "build.done", payload: { ok: true } });
 * console.log(`stored as ${seq}`);
 * for await (const event of client.subscribe({ topics: ["build.>"] })) {
 *   console.log(event.seq, event.envelope.payload);
 *   await client.ack(event.seq);
 * }
 * ```
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const { consumer, timeoutMs, maxLineBytes, exactNumbers } = options;
  const target = findTarget(options);
  const dial = { consumer, timeoutMs, maxLineBytes, exactNumbers };
  return new Client(
    target,
    dial,
    await openConnection(target, { ...dial, signal: options.signal }),
  );
}
