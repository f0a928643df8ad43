/**
 * The client as a program sees it: one method for each thing that is done all day, `call` for the rest.
 *
 * Requests may be outstanding in any number; those of one turn go out together and arrive in order. Each
 * subscription has a connection of its own, so that its pace holds up nothing here; a watch, which drops what its
 * reader does not take, needs none.
 */

import { Caller, type ClientParts } from "./caller.ts";
import type { RequestOptions } from "./exchange.ts";
import type {
  BatchMessage,
  BatchReceipt,
  Identity,
  InboxPage,
  OutgoingMessage,
  ReadPage,
  Receipt,
  Status,
} from "./messages.ts";
import { OpenStreams } from "./open_streams.ts";
import type { InboxOptions, SubscribeOptions } from "./options.ts";
import { type Provided, Provision } from "./provision.ts";
import type { RecordValue, SetOptions, SetReceipt, WatchOptions } from "./records.ts";
import type { ProvideOptions, ServiceMethods } from "./services.ts";
import { openStream } from "./stream.ts";
import { Subscription } from "./subscription.ts";
import { Watch } from "./watch.ts";
import { Watches } from "./watches.ts";

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
export class Client extends Caller {
  readonly #subscriptions = new OpenStreams("subscribing");
  readonly #watching = new OpenStreams("watching");
  readonly #watches: Watches;
  readonly #provisions = new Set<Provision>();

  constructor(parts: ClientParts) {
    super(parts);
    this.#watches = new Watches(parts.link, parts.policy);
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
    const { policy, requestTimeoutMs, openStream: open } = this.parts;
    const { signal, timeoutMs = requestTimeoutMs, ...wanted } = options;
    return this.#subscriptions.add((onClose) =>
      new Subscription(openStream(open, wanted), { policy, signal, timeoutMs, onClose })
    );
  }

  /**
   * Reads what a record holds.
   *
   * @param name A record's name or type id.
   * @throws {PosternError} `not_found`; `no_value` when it holds none, with `details.sequence`
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * const { value } = await client.get<{ uptime_secs: number }>("aimx.metrics");
   * assert(value.uptime_secs >= 0);
   * ```
   */
  async get<T = unknown>(name: string, options?: RequestOptions): Promise<RecordValue<T>> {
    const { value, ...place } = await this.call("record.get", { name }, options);
    return { ...place, value: value as T };
  }

  /**
   * Sets a record's value. When the promise resolves it is on disk, unless the record is volatile.
   *
   * It is never repeated: when the connection ends before the reply, `get` shows what came of it.
   *
   * @param name A record's name or type id.
   * @param value Any JSON value that matches the record's schema.
   * @throws {PosternError} `not_found`, `invalid_request`, `permission_denied`, `storage_full`; `conflict` when
   *   `ifSequence` is not the present one, which `details.sequence` is
   * @throws {ConnectionError} `ECONNRESET` when the connection ended first: it may be set or not
   *
   * @example
   * ```ts
   * import { connect, PosternError, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * await client.call("record.define", { name: "count" });
   * await client.set("count", 1);
   * const { value, sequence } = await client.get<number>("count");
   * const { sequence: next } = await client.set("count", value + 1, { ifSequence: sequence });
   * assert(next === sequence + 1);
   * ```
   */
  set(name: string, value: unknown, options: SetOptions = {}): Promise<SetReceipt> {
    const { ifSequence, ...others } = options;
    return this.call("record.set", { name, value, if_sequence: ifSequence }, others);
  }

  /**
   * The values of records as they are set, those of several on this client's own connection. A slow reader gets the
   * newest values: the oldest that wait are dropped, and `dropped` counts them. After the loss of the connection it
   * watches again.
   *
   * @param pattern A record's name, its type id, or a pattern of names: `*` is one segment, a last `>` the rest.
   * @returns The stream; `await watch.started` when something must not happen before it has begun.
   * @throws {PosternError} `too_many` when this client has 32 open ones
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * await client.call("record.define", { name: "sensor.temp" });
   * await client.set("sensor.temp", 21.5);
   * for await (const { name, value, dropped = 0 } of client.watch<number>("sensor.>")) {
   *   if (dropped > 0) console.log(`${dropped} older values were not told`);
   *   console.log(`${name}: ${value.toFixed(1)}`);
   *   break;
   * }
   * ```
   */
  watch<T = unknown>(pattern: string, options: WatchOptions = {}): Watch<T> {
    const { signal, timeoutMs = this.parts.requestTimeoutMs, ...wanted } = options;
    const opener = this.#watches.opener(pattern, wanted);
    return this.#watching.add((onClose) => new Watch<T>(opener, { signal, timeoutMs, onClose }));
  }

  /**
   * Provides methods that others call, until it is closed, on a connection of its own. After the loss of that it is
   * registered again; calls that came over it are aborted, and have failed for their callers.
   *
   * A handler that throws a {@linkcode PosternError} answers with its code, if a provider may use that, anything else
   * with `internal` and its message. Calls are handled side by side; the order of their answers is their own.
   *
   * @param name The service's, 1 to 64 of `[A-Za-z0-9_-]`.
   * @param methods By their names; with schemas, such as zod's, parameters and results are checked and typed.
   * @throws {PosternError} `permission_denied` for a name that is the daemon's own, `conflict` where another program
   *   provides something else under it, `too_many`, `invalid_params`
   *
   * @example
   * ```ts
   * import { connect, PosternError, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   * import { z } from "zod";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * await using _service = await client.provide("math", {
   *   divide: {
   *     params: z.object({ a: z.number(), b: z.number().default(1) }),
   *     result: z.object({ quotient: z.number() }),
   *     handler({ a, b }) {
   *       if (b === 0) throw new PosternError("conflict", "nothing is divided by 0");
   *       return { quotient: a / b };
   *     },
   *   },
   * });
   * const call = { service: "math", method: "divide", params: { a: 7, b: 2 } };
   * const { quotient } = await client.call("service.call", call) as { quotient: number };
   * assert(quotient === 3.5);
   * ```
   */
  async provide<P extends Record<string, unknown>, R extends Record<string, unknown>>(
    name: string,
    methods: ServiceMethods<P, R>,
    options: ProvideOptions = {},
  ): Promise<Provision> {
    const { requestTimeoutMs } = this.parts;
    const provided = { name, methods, options: { timeoutMs: requestTimeoutMs, ...options } };
    const provision = await Provision.open(this.parts, provided as Provided);
    this.#provisions.add(provision);
    provision.closed.then(() => this.#provisions.delete(provision));
    return provision;
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
    this.#subscriptions.closeAll();
    this.#watching.closeAll();
    for (const provision of this.#provisions) provision.close();
    this.parts.link.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
