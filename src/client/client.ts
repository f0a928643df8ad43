/**
 * The client as a program sees it: one method for each thing that is done all day, `call` for the rest.
 *
 * Requests may be outstanding in any number; they go out together and arrive in order. Each subscription
 * has a connection of its own, so that its pace holds up nothing here.
 */

import { encodeParams } from "./axon.ts";
import type { Closed, Connection, RequestOptions } from "./connection.ts";
import { type DialOptions, openConnection, type Opened } from "./dial.ts";
import type { Target } from "./discovery.ts";
import { PosternError } from "./errors.ts";
import type {
  BatchReceipt,
  EventFilter,
  Identity,
  InboxPage,
  OutgoingMessage,
  ReadPage,
  Receipt,
  Welcome,
} from "./messages.ts";
import { Subscription, type SubscriptionStart } from "./subscription.ts";

/** What may be asked of a subscription. */
export interface SubscribeOptions extends EventFilter {
  /** `null` reads without a consumer: what was delivered is noted nowhere. @default this client's */
  readonly consumer?: string | null;
  /** First bring what the consumer has not acknowledged. @default {true} */
  readonly replay?: boolean;
  /** First bring what comes after this seq, whatever the consumer has acknowledged. */
  readonly since?: number;
}

/** What may be asked of the inbox. */
export interface InboxOptions extends EventFilter {
  /** At most so many messages, 1 to 1000. @default {50} */
  readonly limit?: number;
}

/** The daemon's own bound for one connection; here it is for one client. */
const MAX_SUBSCRIPTIONS = 32;

/** A connected client. Made by {@linkcode connect}. */
export class Client {
  /** Where the daemon was found. */
  readonly target: Target;
  /** How the daemon introduced itself. */
  readonly welcome: Welcome;
  readonly #connection: Connection;
  readonly #dial: DialOptions;
  readonly #subscriptions = new Set<Subscription>();

  constructor(target: Target, dial: DialOptions, opened: Opened) {
    this.target = target;
    this.welcome = opened.welcome;
    this.#dial = dial;
    this.#connection = opened.connection;
  }

  /** Resolves when the connection has ended, with the reason. Never rejects. */
  get closed(): Promise<Closed> {
    return this.#connection.closed;
  }

  /**
   * Calls any operation by its name.
   *
   * @param operation The name, such as `event.read`.
   * @param params Its parameters: an object, or the JSON text of one, which goes out as written.
   * @param options When to give up waiting.
   * @returns The operation's result.
   * @throws {PosternError} with the code of the daemon's refusal
   * @throws {ConnectionError} `ECONNRESET` when the connection ended first
   */
  async call<T = Record<string, unknown>>(
    operation: string,
    params: object | string = {},
    options: RequestOptions = {},
  ): Promise<T> {
    const text = encodeParams(operation, params);
    return await this.#connection.request(operation, text, options) as T;
  }

  /**
   * Sends one message; one without a receiver goes to the daemon's own log. When the promise resolves, it is on disk.
   *
   * @throws {PosternError} `invalid_request`, `permission_denied`, `peer_not_found`, `storage_full`, `too_large`
   */
  send(message: OutgoingMessage, options?: RequestOptions): Promise<Receipt> {
    return this.call("send", { to: "self", ...message }, options);
  }

  /**
   * Sends messages that are stored all or not at all, at most 512 KiB of them together.
   *
   * @throws {PosternError} as {@linkcode Client.send}
   */
  sendAll(events: readonly OutgoingMessage[], options?: RequestOptions): Promise<BatchReceipt> {
    return this.call("event.send", { events }, options);
  }

  /** What this client's consumer has not acknowledged yet, oldest first. */
  inbox(options: InboxOptions = {}): Promise<InboxPage> {
    return this.call("inbox", options);
  }

  /**
   * Acknowledges everything up to `seq` for this client's consumer. On disk when the promise resolves.
   *
   * @throws {PosternError} `ack_out_of_range` when the consumer was never given that much
   */
  ack(seq: number): Promise<{ acked_seq: number }> {
    return this.call("ack", { up_to_seq: seq });
  }

  /** The log after `after`, without any consumer. */
  read(after: number, options: InboxOptions = {}): Promise<ReadPage> {
    return this.call("event.read", { after, ...options });
  }

  /**
   * Events as they come. A slow reader loses nothing: the daemon waits and goes on from its log.
   *
   * @returns The stream; `await stream.started` when something must not happen before it has begun.
   * @throws {PosternError} `too_many` when this client has 32 open ones
   */
  subscribe(options: SubscribeOptions = {}): Subscription {
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS) {
      const rule = `a client has at most ${MAX_SUBSCRIPTIONS} open ones`;
      throw new PosternError("too_many", `subscribing: ${rule}, and has as many`);
    }
    const stream: Subscription = new Subscription(
      (onEvent) => this.#openStream({ ...this.#dial, onEvent }, options),
      () => this.#subscriptions.delete(stream),
    );
    this.#subscriptions.add(stream);
    return stream;
  }

  /** Who the daemon is. */
  whoami(): Promise<Identity> {
    return this.call("whoami");
  }

  /** How the daemon is. */
  status(): Promise<Record<string, unknown>> {
    return this.call("status");
  }

  /** Ends the connection and every subscription. Requests without a reply fail. */
  close(): Promise<void> {
    for (const stream of [...this.#subscriptions]) stream.close();
    this.#connection.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #openStream(
    dial: DialOptions,
    options: SubscribeOptions,
  ): Promise<{ connection: Connection; start: SubscriptionStart }> {
    const { connection } = await openConnection(this.target, dial);
    try {
      const params = encodeParams("event.subscribe", options);
      const start = await connection.request("event.subscribe", params) as SubscriptionStart;
      return { connection, start };
    } catch (error) {
      connection.close("the subscription was refused");
      throw error;
    }
  }
}
