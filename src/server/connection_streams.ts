/**
 * The streams of one connection: its subscriptions, and what it hears as a v1 listener.
 *
 * Invariants: a subscription begins after the reply that opens it and ends before the reply that closes it;
 * at most `maxSubscriptions` at once, one to the log where the dialect has but one.
 */

import type { Codec } from "../codecs/codec.ts";
import { PosternError } from "../core/errors.ts";
import { isReservedTopic } from "../core/event.ts";
import { ALL_EVENTS } from "../core/filter.ts";
import type { LogSubscriptionRequest, RecordWatchRequest } from "../operations/operation.ts";
import type { ServerContext } from "./context.ts";
import { LogStream } from "./log_stream.ts";
import type { Outbox } from "./outbox.ts";
import { RecordStream, type RecordStreamOptions } from "./record_stream.ts";
import type { Stream } from "./stream.ts";

/** What one subscription consists of. */
interface Subscription {
  /** Whether it reads the log. */
  readonly ofLog: boolean;
  readonly streams: readonly Stream[];
}

/** What streams to one connection. */
export class ConnectionStreams {
  readonly #outbox: Outbox;
  readonly #context: ServerContext;
  readonly #subscriptions = new Map<string, Subscription>();
  #broadcast: LogStream | null = null;
  /** They begin after the reply that is being made. */
  #beginning: Stream[] = [];
  #opened = 0;

  constructor(outbox: Outbox, context: ServerContext) {
    this.#outbox = outbox;
    this.#context = context;
  }

  /**
   * Opens a subscription to the log, which waits for `begin`.
   *
   * @returns Its id.
   * @throws PosternError `too_many`
   */
  open(codec: Codec, request: LogSubscriptionRequest): string {
    if (codec.singleSubscription) this.#endWhere(({ ofLog }) => ofLog);
    const id = this.#nextId("event.subscribe");
    const streams: Stream[] = [this.#logStream(codec, id, request)];
    const { records: patterns = [], mayTake } = request;
    if (patterns.length > 0) {
      const queueSize = this.#context.services.limits.recordQueueSize;
      streams.push(
        this.#recordStream(codec, id, { patterns, queueSize, sendInitial: true, mayTake }),
      );
    }
    return this.#add(id, { ofLog: true, streams });
  }

  /**
   * Opens a subscription to records, which waits for `begin`.
   *
   * @returns Its id.
   * @throws PosternError `too_many`
   */
  watch(codec: Codec, { pattern, ...watched }: RecordWatchRequest): string {
    const id = this.#nextId("record.subscribe");
    const stream = this.#recordStream(codec, id, { patterns: [pattern], ...watched });
    return this.#add(id, { ofLog: false, streams: [stream] });
  }

  /** Subscriptions that are open. */
  get count(): number {
    return this.#subscriptions.size;
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
    const subscription = this.#subscriptions.get(subscriptionId);
    if (subscription === undefined) return false;
    for (const stream of subscription.streams) stream.end();
    this.#context.services.metrics.subscriptions--;
    return this.#subscriptions.delete(subscriptionId);
  }

  endSubscriptions(): void {
    this.#endWhere(() => true);
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
      reminders: [],
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

  /** Tells what is new, as far as there is room. */
  pump(): void {
    this.#broadcast?.pump();
    for (const [id, subscription] of [...this.#subscriptions]) {
      for (const stream of subscription.streams) stream.pump();
      if (this.#outbox.hasRoomForStream) continue;
      // Whoever has filled it goes to the end of the row.
      if (this.#subscriptions.delete(id)) this.#subscriptions.set(id, subscription);
      return;
    }
  }

  /** Notes that the consumers are in use. */
  touch(): void {
    for (const stream of this.#streams()) stream.touch();
  }

  /** Whoever has said all and still reads gets what there was when he ended. */
  async finish(): Promise<void> {
    const { head } = this.#context.services.log;
    while (this.#streams().some((stream) => stream.isBehind(head))) {
      await this.#outbox.flushed();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  #nextId(operation: string): string {
    const { maxSubscriptions } = this.#context.limits();
    if (this.#subscriptions.size >= maxSubscriptions) {
      throw new PosternError(
        "too_many",
        `${operation}: a connection has at most ${maxSubscriptions} subscriptions`,
        { limit: maxSubscriptions },
      );
    }
    return `sub-${++this.#opened}`;
  }

  #add(id: string, subscription: Subscription): string {
    this.#subscriptions.set(id, subscription);
    this.#beginning.push(...subscription.streams);
    this.#context.services.metrics.subscriptions++;
    return id;
  }

  #streams(): Stream[] {
    return [...this.#subscriptions.values()].flatMap(({ streams }) => streams);
  }

  #endWhere(matches: (subscription: Subscription) => boolean): void {
    for (const [id, subscription] of [...this.#subscriptions]) {
      if (matches(subscription)) this.end(id);
    }
  }

  #logStream(codec: Codec, subscriptionId: string, request: LogSubscriptionRequest): LogStream {
    const { consumers } = this.#context.services;
    const { consumer } = request;
    // By name each time: a consumer that is removed begins anew with what is delivered next.
    const reader = () => consumer === null ? null : consumers.open(consumer);
    reader();
    return new LogStream({
      ...this.#parts(),
      ...request,
      encode: (event, delivery) => codec.encodeEvent(event, { subscriptionId, ...delivery }) + "\n",
      sharedAs: (replay) => codec.sharedEncoding({ replay }),
      reserve: (seq) => reader()?.reserve(seq) ?? null,
      delivered: (seq) => reader()?.delivered(seq),
    });
  }

  #recordStream(
    codec: Codec,
    subscriptionId: string,
    watched: Pick<RecordStreamOptions, "patterns" | "queueSize" | "sendInitial" | "mayTake">,
  ): RecordStream {
    const { services, holdRecords } = this.#context;
    return new RecordStream({
      ...watched,
      records: services.records,
      outbox: this.#outbox,
      encode: (update, dropped) =>
        codec.encodeRecordEvent(update, { subscriptionId, dropped }) + "\n",
      hold: holdRecords,
      onDropped: (count) => services.metrics.dropped += count,
    });
  }

  #parts() {
    const { services, shared, diagnostics } = this.#context;
    const onGap = () => void services.metrics.gaps++;
    return { log: services.log, outbox: this.#outbox, shared, diagnostics, onGap };
  }
}
