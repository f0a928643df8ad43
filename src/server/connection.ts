/**
 * One connection: read, decode, invoke, encode, write.
 *
 * Invariants: requests begin in their order, and one begins when those before it have ended, except that
 * appends may wait for the disk together; replies leave in the order of the requests; a connection that does
 * not read its replies is not read from either. Bounds: requests in flight, bytes of the outbox, bytes of a
 * line, subscriptions, and the log's backlog, all from `ServerLimits`.
 */

import type { Codec, Decoded } from "../codecs/codec.ts";
import { AxonCodec } from "../codecs/axon.ts";
import { chooseDialect } from "../codecs/dialects.ts";
import { parseMessage } from "../codecs/json.ts";
import { LineSplitter } from "../codecs/ndjson.ts";
import { PosternError } from "../core/errors.ts";
import { isReservedTopic } from "../core/event.ts";
import { ALL_EVENTS } from "../core/filter.ts";
import { OWNER, type Principal } from "../core/principal.ts";
import { Ticket } from "../core/ticket.ts";
import type { Caller, Context, LogSubscriptionRequest } from "../operations/operation.ts";
import { findOperation, invoke } from "../operations/registry.ts";
import { LogStream } from "./log_stream.ts";
import { Outbox } from "./outbox.ts";
import { ReplyQueue, type Slot } from "./reply_queue.ts";
import type { ServerContext } from "./server.ts";

/** Failed authentications after which a connection is closed (WIRE, Clients). */
const MAX_LOGIN_FAILURES = 3;
/** How long the first failed authentication is held back; each further one twice as long. */
const LOGIN_DELAY_MS = 100;
/** Characters of events waiting for the disk, of all connections, above which none takes another request. */
const MAX_BACKLOG_CHARS = 32 * 1024 * 1024;

/** One client's connection. */
export class Connection implements Caller {
  readonly #conn: Deno.Conn;
  readonly #context: ServerContext;
  /** What an operation is told of who called. */
  readonly #called: Context;
  readonly #outbox: Outbox;
  readonly #replies: ReplyQueue;
  readonly #lines: LineSplitter;
  readonly #streams = new Map<string, LogStream>();
  #broadcast: LogStream | null = null;
  /** Begins after the reply that is being made. */
  #beginning: LogStream | null = null;
  #codec: Codec | null = null;
  #principal: Principal | null;
  #consumer = "default";
  #loginFailures = 0;
  #nextSubscription = 1;
  #helloTimer: ReturnType<typeof setTimeout>;
  #stopping = false;
  #closed = false;
  #roomWaiters: (() => void)[] = [];

  constructor(conn: Deno.Conn, context: ServerContext) {
    this.#conn = conn;
    this.#context = context;
    this.#called = { services: context.services, caller: this };
    const { limits } = context;
    this.#principal = limits.trustSocket ? OWNER : null;
    this.#lines = new LineSplitter(limits.maxLineBytes);
    this.#outbox = new Outbox(conn, {
      limitBytes: () => context.outboxShare(),
      onRoom: () => this.#onRoom(),
      onBroken: () => this.close(),
    });
    this.#replies = new ReplyQueue((line) => this.#outbox.push(line + "\n"));
    this.#helloTimer = setTimeout(() => this.#onSilence(), limits.helloTimeoutMs);
  }

  get principal(): Principal | null {
    return this.#principal;
  }

  get consumer(): string {
    return this.#consumer;
  }

  /** Serves the connection to its end. Never throws. */
  async serve(): Promise<void> {
    try {
      await this.#readAll();
      await this.#replies.atMost(0);
      await this.#finishStreams();
      await this.#outbox.flushed();
    } catch (error) {
      if (!this.#closed && !isDisconnect(error)) {
        this.#context.diagnostics.error("a connection failed", { error });
      }
    }
    this.close();
  }

  /** Answers what is in progress and then closes; requests from now on are refused. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#endStreams();
    await this.#replies.atMost(0);
    await this.#outbox.flushed();
    this.close();
  }

  /** Closes at once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#helloTimer);
    this.#endStreams();
    this.#outbox.abandon();
    this.#onRoom();
    try {
      this.#conn.close();
    } catch { /* the other side was faster */ }
  }

  /** Tells the streams what is new in the log. */
  pump(): void {
    this.#broadcast?.pump();
    for (const stream of this.#streams.values()) stream.pump();
  }

  /** Notes that the consumers of its subscriptions are in use. */
  touch(): void {
    for (const stream of this.#streams.values()) stream.touch();
  }

  greet(consumer: string): void {
    this.#consumer = consumer;
    // A new greeting is a new conversation: what streamed to the old consumer ends.
    for (const id of [...this.#streams.keys()]) this.unsubscribe(id);
  }

  login(principal: Principal): void {
    this.#principal = principal;
  }

  async loginFailed(): Promise<void> {
    const failures = ++this.#loginFailures;
    this.#context.diagnostics.warn("a connection failed to authenticate", { failures });
    await new Promise((resolve) => setTimeout(resolve, LOGIN_DELAY_MS * 2 ** (failures - 1)));
  }

  subscribe(request: LogSubscriptionRequest): string {
    const codec = this.#codec!;
    const { maxSubscriptions } = this.#context.limits;
    if (codec.singleSubscription) this.#endSubscriptions();
    if (this.#streams.size >= maxSubscriptions) {
      throw new PosternError(
        "too_many",
        `event.subscribe: a connection has at most ${maxSubscriptions} subscriptions`,
        { limit: maxSubscriptions },
      );
    }
    const subscriptionId = `sub-${this.#nextSubscription++}`;
    const consumer = this.#context.services.consumers.open(request.consumer);
    const stream = new LogStream({
      ...this.#streamParts(),
      ...request,
      encode: (event, delivery) => codec.encodeEvent(event, { subscriptionId, ...delivery }) + "\n",
      sharedAs: (replay) => codec.sharedEncoding({ replay }),
      reserve: (seq) => consumer.reserve(seq),
      delivered: (seq) => consumer.delivered(seq),
    });
    this.#streams.set(subscriptionId, stream);
    this.#beginning = stream;
    return subscriptionId;
  }

  unsubscribe(subscriptionId: string): boolean {
    this.#streams.get(subscriptionId)?.end();
    return this.#streams.delete(subscriptionId);
  }

  async #readAll(): Promise<void> {
    while (!this.#closed) {
      const count = await this.#conn.read(this.#lines.space());
      if (count === null) break;
      const lines = this.#lines.take(count);
      for (const line of lines) {
        if (this.#closed) return;
        if (this.#mustWait) await this.#untilReady();
        const done = this.#handleLine(line);
        if (done !== undefined) await done;
      }
      if (this.#lines.overlong) return this.#refuseLine();
    }
    if (this.#lines.unfinished && !this.#closed) {
      this.#refuse(
        new PosternError("parse_error", "the last line has no end and was not carried out"),
      );
    }
  }

  /** Whoever has said all and still reads gets what there was when he ended. */
  async #finishStreams(): Promise<void> {
    const { head } = this.#context.services.log;
    while (!this.#closed && [...this.#streams.values()].some((stream) => stream.isBehind(head))) {
      await this.#outbox.flushed();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  get #mustWait(): boolean {
    return this.#outbox.isFull || this.#replies.inFlight >= this.#context.limits.maxInFlight ||
      this.#context.services.log.backlogChars > MAX_BACKLOG_CHARS;
  }

  async #untilReady(): Promise<void> {
    const { limits, services } = this.#context;
    while (!this.#closed) {
      if (this.#outbox.isFull) {
        await new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
      } else if (this.#replies.inFlight >= limits.maxInFlight) {
        await this.#replies.atMost(limits.maxInFlight >> 1);
      } else if (services.log.backlogChars > MAX_BACKLOG_CHARS) await services.log.drain();
      else return;
    }
  }

  #onRoom(): void {
    const waiting = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const resolve of waiting) resolve();
    this.pump();
  }

  /** @returns A promise when the next line has to wait for this one. */
  #handleLine(line: string | null): Promise<void> | undefined {
    if (line === null) {
      this.#refuse(new PosternError("parse_error", "a message must be UTF-8, this line is not"));
      return undefined;
    }
    let message: unknown;
    try {
      message = parseMessage(line);
    } catch (error) {
      this.#refuse(this.#asRefusal(error));
      return undefined;
    }
    const codec = this.#codec ??= this.#choose(message);
    if (codec === null) {
      this.#refuse(
        new PosternError(
          "invalid_request",
          'a message must be an object with "cmd"; no dialect begins like this one',
        ),
      );
      return undefined;
    }
    return this.#begin(codec, codec.decode(message));
  }

  #choose(message: unknown): Codec | null {
    const codec = chooseDialect(message, this.#context.codecSettings);
    if (codec !== null) clearTimeout(this.#helloTimer);
    return codec;
  }

  #begin(codec: Codec, requests: readonly Decoded[]): Promise<void> | undefined {
    if (requests.length === 1) return this.#beginOne(codec, requests[0]!);
    return (async () => {
      for (const request of requests) await this.#beginOne(codec, request);
    })();
  }

  #beginOne(codec: Codec, request: Decoded): Promise<void> | undefined {
    const pipelined = "call" in request &&
      findOperation(request.call.operation)?.pipelined === true;
    if (this.#replies.inFlight > 0 && !pipelined) {
      return this.#replies.atMost(0).then(() => this.#run(codec, request, this.#replies.open()));
    }
    return this.#run(codec, request, this.#replies.open());
  }

  #run(codec: Codec, request: Decoded, slot: Slot): Promise<void> | undefined {
    if ("refusal" in request) {
      this.#settle(slot, codec.encodeError(request.tag, request.refusal));
      return undefined;
    }
    const { tag, call } = request;
    try {
      if (this.#stopping) throw new PosternError("shutting_down", "the daemon is stopping");
      const { operation, params } = call;
      const handled = invoke({ operation, params, opened: codec.opens(operation) }, this.#called);
      if (handled instanceof Ticket) {
        handled.whenSettled((outcome) => {
          if (outcome.ok) this.#settle(slot, codec.encodeResult(tag, outcome.value));
          else this.#settle(slot, codec.encodeError(tag, this.#asRefusal(outcome.error)));
        });
        return undefined;
      }
      if (handled instanceof Promise) {
        return handled.then(
          (result) => this.#settle(slot, codec.encodeResult(tag, result)),
          (error) => this.#settle(slot, codec.encodeError(tag, this.#asRefusal(error))),
        );
      }
      this.#settle(slot, codec.encodeResult(tag, handled));
    } catch (error) {
      this.#settle(slot, codec.encodeError(tag, this.#asRefusal(error)));
    }
    return undefined;
  }

  #settle(slot: Slot, line: string | null): void {
    this.#replies.settle(slot, line);
    this.#beginning?.begin();
    this.#beginning = null;
    if (this.#codec !== null && this.#codec.hearsBroadcast !== (this.#broadcast !== null)) {
      this.#switchBroadcast(this.#codec);
    }
    if (this.#loginFailures >= MAX_LOGIN_FAILURES) this.#endAfterReplies();
  }

  /** An error line that belongs to no request, in its place among the replies. */
  #refuse(error: PosternError): void {
    const codec = this.#codec ?? new AxonCodec(this.#context.codecSettings);
    this.#settle(this.#replies.open(), codec.encodeError(null, error));
  }

  #refuseLine(): void {
    const { maxLineBytes } = this.#context.limits;
    this.#refuse(
      new PosternError(
        "too_large",
        `a line must be at most ${maxLineBytes} bytes, this one is longer`,
        {
          limit: maxLineBytes,
        },
      ),
    );
  }

  #endAfterReplies(): void {
    if (this.#stopping) return;
    this.stop();
  }

  /** What goes wrong unexpectedly is logged under an id, and only the id is told. */
  #asRefusal(error: unknown): PosternError {
    if (error instanceof PosternError) return error;
    const id = this.#context.services.newId();
    this.#context.diagnostics.error("an operation failed unexpectedly", { id, error });
    return new PosternError(
      "internal",
      `something unexpected went wrong; the log has it as ${id}`,
      { id },
    );
  }

  #onSilence(): void {
    if (!this.#context.codecSettings.allowV1) return this.close();
    if (this.#codec !== null) return;
    const codec = new AxonCodec(this.#context.codecSettings);
    codec.listenAsV1();
    this.#codec = codec;
    this.#switchBroadcast(codec);
  }

  #switchBroadcast(codec: Codec): void {
    this.#broadcast?.end();
    this.#broadcast = null;
    const { services } = this.#context;
    const mayHear = this.#principal !== null || !services.limits.requireToken;
    if (!codec.hearsBroadcast || !mayHear || this.#stopping) return;
    this.#broadcast = new LogStream({
      ...this.#streamParts(),
      filter: ALL_EVENTS,
      from: services.log.head + 1,
      replayTo: 0,
      encode: (event, { gap }) =>
        isReservedTopic(event.topic) ? "" : codec.encodeBroadcast(event, gap) + "\n",
      sharedAs: () => `${codec.dialect} broadcast`,
      reserve: () => null,
      delivered: () => {},
    });
    this.#broadcast.begin();
  }

  #streamParts() {
    const { services, shared, diagnostics } = this.#context;
    return { log: services.log, outbox: this.#outbox, shared, diagnostics };
  }

  #endSubscriptions(): void {
    for (const id of [...this.#streams.keys()]) this.unsubscribe(id);
  }

  #endStreams(): void {
    this.#endSubscriptions();
    this.#broadcast?.end();
    this.#broadcast = null;
  }
}

function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe;
}
