/**
 * A stream of events at the pace of whoever reads it, over as many connections as it takes.
 *
 * It has connections of its own. When the reader falls behind by MAX_EVENTS events or MAX_CHARS characters
 * the connection is not read until half of that is taken; the daemon then waits and continues from its log.
 * So a slow reader costs neither memory, nor other requests of the same program, nor any event. Beyond the
 * bound lies at most what one read of the socket held.
 *
 * After the loss of a connection it goes on behind the last seq that came, so within one log none is missed and
 * none comes twice. If the daemon has begun another log meanwhile, the first event from there says so.
 */

import { AsyncStream, type AsyncStreamOptions } from "./async_stream.ts";
import type { Closed, Connection, EventListener } from "./connection.ts";
import { HeldQueue } from "./held_queue.ts";
import type { InboundEvent, Reset, SubscriptionStart } from "./messages.ts";
import { attemptUntil, isRefusal, type ReconnectPolicy } from "./reconnect.ts";

/** How far a subscription has come. */
export interface Position {
  readonly epoch: string | null;
  /** The last seq that came; `null` while none has, and its consumer's cursor is the beginning. */
  readonly seq: number | null;
}

/** A subscription that has begun on a connection. */
export interface Opening {
  readonly connection: Connection;
  readonly start: SubscriptionStart;
  readonly epoch: string | null;
  /** The seq behind which it began; `null` when that is for the consumer's cursor to say. */
  readonly from: number | null;
}

/** Opens a connection and subscribes on it, behind the position if there is one; events go to the function. */
export type SubscriptionOpener = (
  onEvent: EventListener,
  resume: { readonly position: Position | null; readonly signal: AbortSignal },
) => Promise<Opening>;

/** What may be chosen for the way in which a subscription lives. */
export interface SubscriptionOptions extends AsyncStreamOptions {
  /** `null` when the first connection is the only one. @default {null} */
  readonly policy?: ReconnectPolicy | null;
}

const MAX_EVENTS = 1024;
const MAX_CHARS = 1024 * 1024;
const CLOSED = "the subscription was closed";

interface Early {
  readonly event: InboundEvent;
  readonly chars: number;
}

/**
 * An async iterable of events. It ends when it is closed, and throws when the connection is lost for good.
 *
 * @example
 * ```ts
 * import { connect, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await using stream = client.subscribe({ kinds: ["notify"], replay: false });
 * const { replay_to_seq } = await stream.started;
 * await client.send({ kind: "notify", payload: "after it began" });
 * const { value } = await stream.next();
 * assert(value?.seq === replay_to_seq + 1);
 * ```
 */
export class Subscription extends AsyncStream<InboundEvent> {
  /** Resolves once the daemon has accepted the subscription; from then on no event is missed. */
  readonly started: Promise<SubscriptionStart>;
  readonly #open: SubscriptionOpener;
  readonly #policy: ReconnectPolicy | null;
  readonly #held = new HeldQueue<InboundEvent>();
  #connection: Connection | null = null;
  #position: Position | null = null;
  #reset: Reset | null = null;

  constructor(open: SubscriptionOpener, options: SubscriptionOptions = {}) {
    super("subscribing", options);
    this.#open = open;
    this.#policy = options.policy ?? null;
    this.started = this.#start().finally(() => this.hasBegun());
    // Who iterates learns of a failure there.
    this.started.catch(() => {});
  }

  protected override take(): InboundEvent | undefined {
    const event = this.#held.shift();
    if (event !== undefined && this.#isHalfEmpty()) this.#connection?.resume();
    return event;
  }

  /** Nothing is lost by that: it is in the daemon's log. */
  protected override discard(): void {
    this.#held.clear();
  }

  protected override disconnect(): void {
    this.#connection?.close(CLOSED);
    this.#connection = null;
  }

  async #start(): Promise<SubscriptionStart> {
    try {
      return await this.#begin();
    } catch (error) {
      const policy = this.#policy;
      if (policy === null || this.ended.aborted || isRefusal(error)) {
        throw this.fail(error as Error);
      }
      return await this.#beginAgain(policy);
    }
  }

  async #beginAgain(policy: ReconnectPolicy): Promise<SubscriptionStart> {
    try {
      return await attemptUntil(() => this.#begin(), { policy, signal: this.ended });
    } catch (error) {
      throw this.fail(error as Error);
    }
  }

  async #begin(): Promise<SubscriptionStart> {
    const signal = this.ended;
    signal.throwIfAborted();
    // The first events may come with the reply, and belong to a log whose epoch is only known behind it.
    let early: Early[] | null = [];
    const opening = await this.#open((event, chars) => {
      if (early === null) this.#arrived(event, chars);
      else early.push({ event, chars });
    }, { position: this.#position, signal });
    const { connection, start } = opening;
    if (signal.aborted) {
      connection.close(CLOSED);
      throw signal.reason;
    }
    this.#follow(opening);
    const came = early;
    early = null;
    this.#connection = connection;
    for (const { event, chars } of came) this.#arrived(event, chars);
    if (this.#isFull()) connection.pause();
    connection.closed.then((closed) => this.#lost(closed));
    return start;
  }

  /** Notes where the stream now is, and whether that is another log than before. */
  #follow({ epoch, from }: Opening): void {
    const before = this.#position;
    if (before !== null && before.epoch === epoch) return;
    if (before !== null) {
      const { previous_epoch, last_seq } = this.#reset ??
        { previous_epoch: before.epoch, last_seq: before.seq ?? 0 };
      this.#reset = { epoch, previous_epoch, last_seq };
    }
    this.#position = { epoch, seq: from };
  }

  #arrived(event: InboundEvent, chars: number): void {
    if (this.ended.aborted) return;
    const { epoch, seq } = this.#position ?? { epoch: null, seq: null };
    // What is told again stands beside the log.
    if (!event.again) {
      if (seq !== null && event.seq <= seq) return;
      this.#position = { epoch, seq: event.seq };
    }
    const told = this.#reset === null ? event : { ...event, reset: this.#reset };
    this.#reset = null;
    this.#held.push(told, chars);
    if (this.#isFull()) this.#connection?.pause();
    this.wake();
  }

  #isFull(): boolean {
    return this.#held.size >= MAX_EVENTS || this.#held.chars >= MAX_CHARS;
  }

  #isHalfEmpty(): boolean {
    return this.#held.size <= MAX_EVENTS / 2 && this.#held.chars <= MAX_CHARS / 2;
  }

  #lost(closed: Closed): void {
    if (this.ended.aborted) return;
    this.#connection = null;
    if (closed.by === "client") this.close();
    else if (this.#policy === null) this.fail(closed.error);
    else this.#beginAgain(this.#policy).catch(() => {});
  }
}
