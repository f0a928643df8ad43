/**
 * The streams of one connection: its subscriptions, and what it hears as a v1 listener.
 *
 * Invariants: a subscription begins after the reply that opens it and ends before the reply that closes it;
 * at most `maxSubscriptions` at once, one where the dialect has but one.
 */

import type { Codec } from "../codecs/codec.ts";
import { PosternError } from "../core/errors.ts";
import { isReservedTopic } from "../core/event.ts";
import { ALL_EVENTS } from "../core/filter.ts";
import type { LogSubscriptionRequest } from "../operations/operation.ts";
import { LogStream } from "./log_stream.ts";
import type { Outbox } from "./outbox.ts";
import type { ServerContext } from "./context.ts";

/** What streams to one connection. */
export class ConnectionStreams {
  readonly #outbox: Outbox;
  readonly #context: ServerContext;
  readonly #subscriptions = new Map<string, LogStream>();
  #broadcast: LogStream | null = null;
  /** They begin after the reply that is being made. */
  #beginning: LogStream[] = [];
  #opened = 0;

  constructor(outbox: Outbox, context: ServerContext) {
    this.#outbox = outbox;
    this.#context = context;
  }

  /**
   * Opens a subscription, which waits for `begin`.
   *
   * @returns Its id.
   * @throws PosternError `too_many`
   */
  open(codec: Codec, request: LogSubscriptionRequest): string {
    const { maxSubscriptions } = this.#context.limits();
    if (codec.singleSubscription) this.endSubscriptions();
    if (this.#subscriptions.size >= maxSubscriptions) {
      throw new PosternError(
        "too_many",
        `event.subscribe: a connection has at most ${maxSubscriptions} subscriptions`,
        { limit: maxSubscriptions },
      );
    }
    const subscriptionId = `sub-${++this.#opened}`;
    const { consumers } = this.#context.services;
    const { consumer } = request;
    // By name each time: a consumer that is removed begins anew with what is delivered next.
    const reader = () => consumer === null ? null : consumers.open(consumer);
    reader();
    const stream = new LogStream({
      ...this.#parts(),
      ...request,
      encode: (event, delivery) => codec.encodeEvent(event, { subscriptionId, ...delivery }) + "\n",
      sharedAs: (replay) => codec.sharedEncoding({ replay }),
      reserve: (seq) => reader()?.reserve(seq) ?? null,
      delivered: (seq) => reader()?.delivered(seq),
    });
    this.#subscriptions.set(subscriptionId, stream);
    this.#beginning.push(stream);
    return subscriptionId;
  }

  /** Lets the subscriptions run that were opened last; their reply is on its way. */
  begin(): void {
    const beginning = this.#beginning;
    if (beginning.length === 0) return;
    this.#beginning = [];
    for (const stream of beginning) stream.begin();
  }

  /** Ends one; `false` when there is none of that id. */
  end(subscriptionId: string): boolean {
    this.#subscriptions.get(subscriptionId)?.end();
    return this.#subscriptions.delete(subscriptionId);
  }

  endSubscriptions(): void {
    for (const id of [...this.#subscriptions.keys()]) this.end(id);
  }

  endAll(): void {
    this.endSubscriptions();
    this.setBroadcast(null);
  }

  /** Tells every event from now on in the dialect's way for listeners, or no longer. */
  setBroadcast(codec: Codec | null): void {
    if ((codec === null) === (this.#broadcast === null)) return;
    this.#broadcast?.end();
    this.#broadcast = null;
    if (codec === null) return;
    this.#broadcast = new LogStream({
      ...this.#parts(),
      filter: ALL_EVENTS,
      from: this.#context.services.log.head + 1,
      replayTo: 0,
      encode: (event, { gap }) =>
        isReservedTopic(event.topic) ? "" : codec.encodeBroadcast(event, gap) + "\n",
      sharedAs: () => `${codec.dialect} broadcast`,
      reserve: () => null,
      delivered: () => {},
    });
    this.#broadcast.begin();
  }

  /** Tells what is new in the log, as far as there is room. */
  pump(): void {
    this.#broadcast?.pump();
    for (const [id, stream] of [...this.#subscriptions]) {
      stream.pump();
      if (this.#outbox.hasRoomForStream) continue;
      // Whoever has filled it goes to the end of the row.
      if (this.#subscriptions.delete(id)) this.#subscriptions.set(id, stream);
      return;
    }
  }

  /** Notes that the consumers are in use. */
  touch(): void {
    for (const stream of this.#subscriptions.values()) stream.touch();
  }

  /** Whoever has said all and still reads gets what there was when he ended. */
  async finish(): Promise<void> {
    const { head } = this.#context.services.log;
    while ([...this.#subscriptions.values()].some((stream) => stream.isBehind(head))) {
      await this.#outbox.flushed();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  #parts() {
    const { services, shared, diagnostics } = this.#context;
    return { log: services.log, outbox: this.#outbox, shared, diagnostics };
  }
}
