/**
 * The client as a program sees it: one method for each thing that is done all day, `call` for the rest.
 *
 * Requests may be outstanding in any number; those of one turn go out together and arrive in order. Each
 * subscription has a connection of its own, so that its pace holds up nothing here.
 */

import { encodeParams } from "./axon.ts";
import type { Closed } from "./connection.ts";
import type { Target } from "./discovery.ts";
import { PosternError } from "./errors.ts";
import { Exchange, type RequestOptions } from "./exchange.ts";
import type { Link } from "./link.ts";
import type {
  BatchMessage,
  BatchReceipt,
  Identity,
  InboxPage,
  OutgoingMessage,
  ReadPage,
  Receipt,
  Status,
  Welcome,
} from "./messages.ts";
import type { CallArguments, OperationName, OperationResult, OtherName } from "./operations.ts";
import type { InboxOptions, SubscribeOptions } from "./options.ts";
import type { ReconnectPolicy } from "./reconnect.ts";
import { isRepeatable } from "./repeatable.ts";
import { openStream, type StreamOpener } from "./stream.ts";
import { Subscription } from "./subscription.ts";

/** What a client is made of. */
export interface ClientParts {
  readonly link: Link;
  /** Where the daemon was found last. */
  readonly target: () => Target;
  readonly openStream: StreamOpener;
  readonly policy: ReconnectPolicy | null;
  /** For requests that name no time-out of their own. */
  readonly requestTimeoutMs?: number;
}

/** The daemon's own bound for one connection; here it is for one client. */
const MAX_SUBSCRIPTIONS = 32;

/**
 * A connected client. Made by {@linkcode connect}.
 *
 * @example
 * ```ts
 * import { connect, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory, consumer: "builder" });
 * await client.send({ kind: "notify", topic: "build.done", payload: { ok: true } });
 * const { messages } = await client.inbox();
 * await client.ack(messages.at(-1)!.seq);
 * assert((await client.inbox()).messages.length === 0);
 * ```
 */
export class Client {
  readonly #parts: ClientParts;
  readonly #subscriptions = new Set<Subscription>();

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  /** Where the daemon was found. After a reconnect it may be another place. */
  get target(): Target {
    return this.#parts.target();
  }

  /** How the daemon introduced itself, on the latest connection. */
  get welcome(): Welcome {
    return this.#parts.link.welcome;
  }

  /**
   * Resolves when this client has ended, with the reason. Never rejects. A client that reconnects ends when it is
   * closed, or gives up.
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * const client = await connect({ dir: daemon.directory, reconnect: false });
   * await daemon.stop();
   * const { by, reason } = await client.closed;
   * assert(by === "daemon" && reason !== "");
   * ```
   */
  get closed(): Promise<Closed> {
    return this.#parts.link.closed;
  }

  /**
   * Calls any operation by its name; parameters and result have the types of the daemon's own registry.
   *
   * @param operation The name, such as `event.read`.
   * @param args Its parameters: an object, or the JSON text of one, which goes out as written; when to give up.
   * @returns The operation's result.
   * @throws {PosternError} with the code of the daemon's refusal; `timeout`, `too_large`, `too_many`
   * @throws {ConnectionError} `ECONNRESET` when the connection ended before the reply came
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * const { consumers } = await client.call("consumer.list");
   * console.log(consumers.map(({ name, lag }) => `${name} ${lag}`));
   * const page = await client.call("event.read", { after: 0 }, { timeoutMs: 5000 });
   * assert(page.events.length === 0);
   * ```
   */
  call<N extends OperationName>(
    operation: N,
    ...args: CallArguments<N>
  ): Promise<OperationResult<N>>;
  call<T = Record<string, unknown>, N extends string = string>(
    operation: OtherName<N>,
    params?: object | string,
    options?: RequestOptions,
  ): Promise<T>;
  async call(
    operation: string,
    params: object | string = {},
    options: RequestOptions = {},
  ): Promise<unknown> {
    const { link, policy, requestTimeoutMs } = this.#parts;
    const { signal, timeoutMs = requestTimeoutMs } = options;
    const exchange = new Exchange(operation, encodeParams(operation, params), {
      signal,
      timeoutMs,
    });
    exchange.repeatable = policy !== null && isRepeatable(operation, params);
    link.carry(exchange);
    return await exchange.outcome;
  }

  /**
   * Sends one message; one without a receiver goes to the daemon's own log. When the promise resolves, it is on disk.
   *
   * With a `dedup_key` it survives the loss of the connection: it is sent again, and stored once.
   *
   * @throws {PosternError} `invalid_request`, `permission_denied`, `peer_not_found`, `storage_full`, `too_large`
   * @throws {ConnectionError} `ECONNRESET` when the connection ended first: it may be stored or not
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * const message = { kind: "notify", topic: "build.done", payload: 7, dedup_key: "build-7" } as const;
   * const first = await client.send(message);
   * const again = await client.send(message);
   * assert(again.seq === first.seq && again.duplicate === true);
   * ```
   */
  send(message: OutgoingMessage, options?: RequestOptions): Promise<Receipt> {
    return this.call("event.send", message, options);
  }

  /**
   * Sends messages that are stored all or not at all, at most 512 KiB of them together.
   *
   * @throws {PosternError} as {@linkcode Client.send}
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * const { events } = await client.sendAll([
   *   { kind: "notify", payload: "both" },
   *   { kind: "notify", payload: "or none" },
   * ]);
   * assert(events.length === 2);
   * ```
   */
  async sendAll(
    events: readonly BatchMessage[],
    options?: RequestOptions,
  ): Promise<BatchReceipt> {
    const receipt = await this.call("event.send", { events }, options);
    return { ...receipt, events: receipt.events ?? [] };
  }

  /**
   * What this client's consumer has not acknowledged yet, oldest first.
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * await client.send({ kind: "query", payload: "?" });
   * const { messages, has_more } = await client.inbox({ kinds: ["query"], limit: 10 });
   * assert(messages[0]?.envelope.payload === "?" && !has_more);
   * ```
   */
  inbox(options: InboxOptions = {}): Promise<InboxPage> {
    const { signal, timeoutMs, ...page } = options;
    return this.call("event.inbox", JSON.stringify(page), { signal, timeoutMs });
  }

  /**
   * Acknowledges everything up to `seq` for this client's consumer. On disk when the promise resolves.
   *
   * @throws {PosternError} `ack_out_of_range` when the consumer was never given that much
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * await client.send({ kind: "notify", payload: 1 });
   * const { next_seq } = await client.inbox();
   * const { acked_seq } = await client.ack(next_seq!);
   * assert(acked_seq === next_seq);
   * ```
   */
  ack(seq: number, options?: RequestOptions): Promise<{ readonly acked_seq: number }> {
    return this.call("event.ack", { up_to_seq: seq }, options);
  }

  /**
   * The log after `after`, without any consumer.
   *
   * @throws {PosternError} `invalid_params` when `after` is beyond the head of the log
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * await client.send({ kind: "notify", topic: "build.done", payload: 1 });
   * const { events } = await client.read(0, { topics: ["build.>"] });
   * assert(events[0]?.envelope.topic === "build.done");
   * ```
   */
  read(after: number, options: InboxOptions = {}): Promise<ReadPage> {
    const { signal, timeoutMs, ...page } = options;
    return this.call("event.read", JSON.stringify({ after, ...page }), { signal, timeoutMs });
  }

  /**
   * Events as they come. A slow reader loses nothing: the daemon waits and goes on from its log. After the loss of
   * the connection the stream goes on behind the last event that came.
   *
   * @returns The stream; `await stream.started` when something must not happen before it has begun.
   * @throws {PosternError} `too_many` when this client has 32 open ones
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * await client.send({ kind: "notify", topic: "build.done", payload: 1 });
   * for await (const { seq, gap, reset, envelope } of client.subscribe({ topics: ["build.>"] })) {
   *   if (gap) console.log(`${gap.from_seq} to ${gap.to_seq} are lost`);
   *   if (reset) console.log(`a new log, ${reset.epoch}: its seqs have nothing to do with earlier ones`);
   *   console.log(envelope.payload);
   *   await client.ack(seq);
   *   break;
   * }
   * ```
   */
  subscribe(options: SubscribeOptions = {}): Subscription {
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS) {
      const rule = `a client has at most ${MAX_SUBSCRIPTIONS} open ones`;
      throw new PosternError("too_many", `subscribing: ${rule}, and has as many`);
    }
    const { policy } = this.#parts;
    const { signal, timeoutMs = this.#parts.requestTimeoutMs, ...wanted } = options;
    const stream: Subscription = new Subscription(openStream(this.#parts.openStream, wanted), {
      policy,
      signal,
      timeoutMs,
      onClose: () => this.#subscriptions.delete(stream),
    });
    this.#subscriptions.add(stream);
    return stream;
  }

  /**
   * Who the daemon is.
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * assert((await client.whoami()).agent_id.startsWith("ed25519."));
   * ```
   */
  whoami(options?: RequestOptions): Promise<Identity> {
    return this.call("system.whoami", {}, options);
  }

  /**
   * How the daemon is.
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * const { uptime_secs, store } = await client.status({ timeoutMs: 5000 });
   * console.log(`up for ${uptime_secs} s, at seq ${store.head_seq}`);
   * ```
   */
  status(options?: RequestOptions): Promise<Status> {
    return this.call("system.status", {}, options);
  }

  /** Ends the connection and every subscription. Requests without a reply fail; `await using` calls this. */
  close(): Promise<void> {
    for (const stream of [...this.#subscriptions]) stream.close();
    this.#parts.link.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
