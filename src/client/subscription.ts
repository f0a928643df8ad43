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

import type { Closed, Connection, EventListener } from "./connection.ts";
import { PosternError } from "./errors.ts";
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
export interface SubscriptionOptions {
  /** `null` when the first connection is the only one. @default {null} */
  readonly policy?: ReconnectPolicy | null;
  /** Ends the stream; whoever iterates is thrown the signal's reason. */
  readonly signal?: AbortSignal;
  /** How long it may take to begin; then it fails with `timeout`. */
  readonly timeoutMs?: number;
  /** Called when it has ended, at least once. */
  readonly onClose?: () => void;
}

const MAX_EVENTS = 1024;
const MAX_CHARS = 1024 * 1024;
const CLOSED = "the subscription was closed";

interface Held {
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
export class Subscription implements AsyncIterableIterator<InboundEvent> {
  /** Resolves once the daemon has accepted the subscription; from then on no event is missed. */
  readonly started: Promise<SubscriptionStart>;
  readonly #open: SubscriptionOpener;
  readonly #policy: ReconnectPolicy | null;
  readonly #onClose: () => void;
  readonly #stopped = new AbortController();
  #release = () => {};
  #held: Held[] = [];
  #taken = 0;
  #heldChars = 0;
  #connection: Connection | null = null;
  #position: Position | null = null;
  #reset: Reset | null = null;
  #closed = false;
  #failure: Error | null = null;
  #arrival: PromiseWithResolvers<void> | null = null;

  constructor(open: SubscriptionOpener, options: SubscriptionOptions = {}) {
    const { policy = null, onClose = () => {} } = options;
    this.#open = open;
    this.#policy = policy;
    this.#onClose = onClose;
    const watched = this.#watch(options);
    this.started = this.#start().finally(watched);
    // Who iterates learns of a failure there.
    this.started.catch(() => {});
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next event, as soon as there is one. */
  async next(): Promise<IteratorResult<InboundEvent, undefined>> {
    for (;;) {
      if (this.#closed) return { done: true, value: undefined };
      const held = this.#take();
      if (held !== null) return { done: false, value: held };
      if (this.#failure !== null) {
        const failure = this.#failure;
        this.close();
        throw failure;
      }
      this.#arrival ??= Promise.withResolvers();
      await this.#arrival.promise;
    }
  }

  /** Ends the stream; `for await` calls this when it is left. */
  return(): Promise<IteratorResult<InboundEvent, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends the stream. Events not taken yet are not lost: they are in the daemon's log. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#held = [];
    this.#end(new DOMException(CLOSED, "AbortError"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** Gives up on the caller's word; the returned function ends the time in which it must have begun. */
  #watch({ signal, timeoutMs }: SubscriptionOptions): () => void {
    const aborted = () => this.#fail(signal!.reason);
    signal?.addEventListener("abort", aborted, { once: true });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
      const rule = `it did not begin within ${timeoutMs} ms`;
      this.#fail(new PosternError("timeout", `subscribing: ${rule}`));
    }, timeoutMs);
    this.#release = () => {
      signal?.removeEventListener("abort", aborted);
      clearTimeout(timer);
    };
    // Later, when whoever made this has it in hand.
    if (signal?.aborted) queueMicrotask(aborted);
    return () => clearTimeout(timer);
  }

  async #start(): Promise<SubscriptionStart> {
    try {
      return await this.#begin();
    } catch (error) {
      const policy = this.#policy;
      if (policy === null || this.#stopped.signal.aborted || isRefusal(error)) {
        throw this.#fail(error as Error);
      }
      return await this.#beginAgain(policy);
    }
  }

  async #beginAgain(policy: ReconnectPolicy): Promise<SubscriptionStart> {
    try {
      return await attemptUntil(() => this.#begin(), { policy, signal: this.#stopped.signal });
    } catch (error) {
      throw this.#fail(error as Error);
    }
  }

  async #begin(): Promise<SubscriptionStart> {
    const { signal } = this.#stopped;
    signal.throwIfAborted();
    // The first events may come with the reply, and belong to a log whose epoch is only known behind it.
    let early: Held[] | null = [];
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
    if (this.#closed || this.#failure !== null) return;
    const { epoch, seq } = this.#position ?? { epoch: null, seq: null };
    if (seq !== null && event.seq <= seq) return;
    this.#position = { epoch, seq: event.seq };
    const told = this.#reset === null ? event : { ...event, reset: this.#reset };
    this.#reset = null;
    this.#held.push({ event: told, chars });
    this.#heldChars += chars;
    if (this.#isFull()) this.#connection?.pause();
    this.#wake();
  }

  #take(): InboundEvent | null {
    const held = this.#held[this.#taken];
    if (held === undefined) return null;
    this.#taken++;
    this.#heldChars -= held.chars;
    if (this.#taken === this.#held.length || this.#taken >= MAX_EVENTS) {
      this.#held = this.#held.slice(this.#taken);
      this.#taken = 0;
    }
    if (this.#isHalfEmpty()) this.#connection?.resume();
    return held.event;
  }

  #isFull(): boolean {
    return this.#held.length - this.#taken >= MAX_EVENTS || this.#heldChars >= MAX_CHARS;
  }

  #isHalfEmpty(): boolean {
    return this.#held.length - this.#taken <= MAX_EVENTS / 2 && this.#heldChars <= MAX_CHARS / 2;
  }

  #lost(closed: Closed): void {
    if (this.#stopped.signal.aborted) return;
    this.#connection = null;
    if (closed.by === "client") this.close();
    else if (this.#policy === null) this.#fail(closed.error);
    else this.#beginAgain(this.#policy).catch(() => {});
  }

  /** What came before is still to be had; then the reader is thrown the error. */
  #fail(error: Error): Error {
    if (this.#closed) return error;
    this.#failure ??= error;
    this.#end(error);
    return this.#failure;
  }

  #end(reason: Error): void {
    this.#stopped.abort(reason);
    this.#release();
    this.#connection?.close(CLOSED);
    this.#connection = null;
    this.#wake();
    this.#onClose();
  }

  #wake(): void {
    this.#arrival?.resolve();
    this.#arrival = null;
  }
}
