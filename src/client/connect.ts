/**
 * Putting a client together: the target, the way of dialling, the policy of reconnecting.
 *
 * Every attempt finds the daemon anew and reads its token file anew: after a restart it may listen elsewhere, and
 * its token may have been rotated.
 */

import { Client } from "./client.ts";
import type { ConnectionOptions } from "./connection.ts";
import { openConnection, type Opened } from "./dial.ts";
import { findTarget, type Target, type TargetOptions } from "./discovery.ts";
import { ClientIdentity } from "./identity.ts";
import { Link, type LinkNotice } from "./link.ts";
import { type ReconnectOptions, toPolicy } from "./reconnect.ts";

/**
 * Which daemon to connect to, and as whom.
 *
 * @example
 * ```ts
 * import { connect, type ConnectOptions, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * const options: ConnectOptions = {
 *   dir: daemon.directory,
 *   consumer: "editor",
 *   requestTimeoutMs: 5000,
 *   reconnect: { maxDelayMs: 2000 },
 *   onNotice: (notice) => console.log(notice.type),
 * };
 * await using client = await connect(options);
 * assert(client.target.directory === daemon.directory);
 * ```
 */
export interface ConnectOptions extends TargetOptions {
  /** Name of the durable cursor that inbox, ack and replay go by. @default {"default"} */
  readonly consumer?: string;
  /**
   * What sort of client this is, 1 to 64 of `[A-Za-z0-9_-]`. With it the client has an identity, which outlives it:
   * the daemon knows each client of this kind in this directory as the same `originator`, whose secret is kept in
   * `clients/<kind>.id`, or by this client alone where that cannot be written. By default it has none.
   */
  readonly clientKind?: string;
  /** The token to show, where it is in no file. By default what the token file holds, read anew each time. */
  readonly token?: string;
  /** Gives up connecting. It has no effect once there is a client. */
  readonly signal?: AbortSignal;
  /** How long the daemon may take to answer, each time a connection is opened. @default {10000} */
  readonly timeoutMs?: number;
  /** For requests that name no time-out of their own. By default they wait as long as it takes. */
  readonly requestTimeoutMs?: number;
  /** Longest request in bytes; the daemon's `limits.max_line_bytes`. @default {1048576} */
  readonly maxLineBytes?: number;
  /** Keep numbers that JavaScript cannot hold as raw JSON values, to be passed on. @default {false} */
  readonly exactNumbers?: boolean;
  /** Whether, and how, to go on after the loss of a connection. @default {true} */
  readonly reconnect?: boolean | ReconnectOptions;
  /** Told when a connection is lost, tried for, and there again. */
  readonly onNotice?: (notice: LinkNotice) => void;
}

/**
 * Connects to a running daemon and authenticates with its token file.
 *
 * The first connection is attempted once. After its loss, unless `reconnect` is off, the client goes on by itself:
 * subscriptions continue, requests that were not sent yet wait, sends with a `dedup_key` are repeated, and all
 * other requests without a reply fail with `ECONNRESET`, because nobody knows whether they were carried out.
 *
 * @param options By default the daemon in the usual directory, as the consumer `default`.
 * @returns The client, ready for requests.
 * @throws {ConnectionError} `ENOENT` and `ECONNREFUSED` when no daemon runs, `ETIMEDOUT`, `EACCES`, `EPROTO`
 * @throws {PosternError} `auth_failed`, `permission_denied`, `invalid_params`
 *
 * @example
 * ```ts
 * import { connect, startTemporaryDaemon } from "@postern/postern/client";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const { seq } = await client.send({ kind: "notify", topic: "build.done", payload: { ok: true } });
 * console.log(`stored as ${seq}`);
 * for await (const event of client.subscribe({ topics: ["build.>"] })) {
 *   console.log(event.seq, event.envelope.payload);
 *   await client.ack(event.seq);
 *   break;
 * }
 * ```
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const { requestTimeoutMs, onNotice, signal } = options;
  const policy = toPolicy(options.reconnect ?? true);
  const dialler = new Dialler(options);
  const open = dialler.open.bind(dialler);
  const link = await Link.open({ open, policy, onNotice }, signal);
  return new Client({
    link,
    target: () => dialler.target,
    openStream: open,
    policy,
    requestTimeoutMs,
  });
}

/** Opens connections to wherever the daemon is by then. */
class Dialler {
  target: Target;
  readonly #options: ConnectOptions;
  readonly #identity: ClientIdentity | null;
  #authenticated = false;

  constructor(options: ConnectOptions) {
    this.target = findTarget(options);
    // The directory stays, even if the program changes its own or the environment.
    this.#options = { ...options, dir: this.target.directory };
    const { clientKind } = options;
    this.#identity = clientKind === undefined
      ? null
      : new ClientIdentity(this.target.directory, clientKind);
  }

  async open(own: ConnectionOptions, signal?: AbortSignal): Promise<Opened> {
    const { consumer, token, timeoutMs, maxLineBytes, exactNumbers } = this.#options;
    const identity = this.#identity;
    const dial = { consumer, token, timeoutMs, maxLineBytes, exactNumbers, identity };
    const target = findTarget(this.#options);
    const tokenRequired = this.#authenticated;
    const opened = await openConnection(target, { ...dial, ...own, signal, tokenRequired });
    this.target = target;
    this.#authenticated = opened.authenticated;
    return opened;
  }
}
