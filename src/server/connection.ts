/**
 * One connection: read, decode, invoke, encode, write.
 *
 * Invariant: a connection that does not read its replies is not read from either.
 *
 * Bounds: requests in flight, bytes of the outbox, bytes of a line, subscriptions, and the log's backlog, all from
 * `ServerLimits`.
 */

import type { Codec } from "../codecs/codec.ts";
import {
  chooseDialect,
  DIALECTS_BEGIN,
  fallbackCodec,
  listeningCodec,
} from "../codecs/dialects.ts";
import { parseMessage } from "../codecs/json.ts";
import { PosternError } from "../core/errors.ts";
import { Departure } from "../core/departure.ts";
import type { ClientClaim, ClientIdentity } from "../core/clients.ts";
import type { Principal } from "../core/principal.ts";
import { Producer } from "../core/producer.ts";
import { Runner } from "../core/runners.ts";
import type { Provider } from "../core/service_call.ts";
import type {
  Caller,
  LogSubscriptionRequest,
  Presence,
  RecordWatchRequest,
  Transport,
} from "../operations/operation.ts";
import { ConnectionStreams } from "./connection_streams.ts";
import { type InputEnd, LineInput } from "./line_input.ts";
import { LoginFailures } from "./login_failures.ts";
import { Outbox } from "./outbox.ts";
import { ProvidedCalls } from "./provided_calls.ts";
import { Requests } from "./requests.ts";
import type { ServerContext } from "./context.ts";
import type { ConnectionOptions, Served, Wire } from "./served.ts";

/** On a stop, whoever has read nothing for so long is not waited for any longer. */
const STUCK_MS = 1000;
/** Characters of events waiting for the disk, of all connections, above which none takes another request. */
const MAX_BACKLOG_CHARS = 32 * 1024 * 1024;

/** One client's connection. */
export class Connection implements Caller, Served {
  readonly transport: Transport;
  /** A service that asks for others says so over HTTP. */
  readonly onBehalfOf = null;
  readonly #conn: Wire;
  readonly #context: ServerContext;
  readonly #outbox: Outbox;
  readonly #requests: Requests;
  readonly #input: LineInput;
  readonly #streams: ConnectionStreams;
  readonly producer: Producer = new Producer();
  readonly departure: Departure = new Departure();
  readonly runner: Runner = new Runner();
  claim: ClientClaim | null = null;
  onLogin: () => void = () => {};
  readonly #calls: ProvidedCalls;
  #codec: Codec | null = null;
  #principal: Principal | null;
  #client: ClientIdentity | null;
  #consumer = "default";
  readonly #loginFailures = new LoginFailures();
  readonly #since: number;
  #helloTimer: ReturnType<typeof setTimeout>;
  #stopping = false;
  #closed = false;
  #roomWaiters: (() => void)[] = [];

  constructor(conn: Wire, context: ServerContext, options: ConnectionOptions = {}) {
    this.#conn = conn;
    this.#context = context;
    const limits = context.limits();
    this.#since = context.services.clock.now();
    this.transport = options.transport ?? "socket";
    this.#codec = options.codec ?? null;
    this.#client = options.client ?? null;
    this.#principal = options.principal ?? context.trusted();
    this.#input = new LineInput({
      maxLineBytes: limits.maxLineBytes,
      read: (into) => conn.read(into),
      turns: context.turns,
      onRead: (bytes) => context.services.metrics.bytesReceived += bytes,
      hold: (bytes) => context.holdInput(bytes),
      untilReady: () => this.#mustWait ? this.#untilReady() : undefined,
      handle: (line) => this.#handleLine(line),
    });
    this.#outbox = new Outbox(conn, {
      limitBytes: () => context.outboxShare(),
      mayHold: (bytes) => context.mayHoldOutput(bytes),
      hold: (bytes) => context.holdOutput(bytes),
      onWritten: (bytes) => context.services.metrics.bytesSent += bytes,
      onRoom: () => this.#onRoom(),
      onBroken: () => this.close(),
    });
    this.#streams = new ConnectionStreams(this.#outbox, context);
    this.#calls = new ProvidedCalls(context.services.provided, {
      codec: () => this.#codec!.calls!,
      send: (line) => this.#outbox.push(`${line}\n`),
    });
    this.#requests = new Requests({
      context: { services: context.services, caller: this },
      turns: context.turns,
      send: (line) => this.#outbox.push(line + "\n"),
      onAnswered: () => this.#onAnswered(),
      closedTo: () => this.#closedTo(),
      onAnswer: (answer) => this.#calls.answer(answer),
      asRefusal: context.asRefusal,
    });
    this.#helloTimer = setTimeout(() => this.#onSilence(), limits.helloTimeoutMs);
    if (this.#codec !== null) clearTimeout(this.#helloTimer);
  }

  get principal(): Principal | null {
    return this.#principal;
  }

  get provider(): Provider | null {
    return this.#codec?.calls ? this.#calls : null;
  }

  get isPaused(): boolean {
    return !this.#outbox.hasRoomForStream;
  }

  get presence(): Presence {
    const { client, transport } = this;
    const dialect = this.#codec?.dialect ?? null;
    return { client, dialect, transport, since: this.#since, subscriptions: this.#streams.count };
  }

  get client(): ClientIdentity | null {
    return this.#client;
  }

  identify(client: ClientIdentity): void {
    this.#client = client;
  }

  get isRemote(): boolean {
    return this.#codec?.isRemote === true || this.#principal?.isRemote === true;
  }

  get consumer(): string {
    return this.#consumer;
  }

  /** Serves the connection to its end. Never throws. */
  async serve(): Promise<void> {
    try {
      this.#complainOf(await this.#input.readAll());
      await this.#requests.atMost(0);
      await this.#streams.finish();
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
    this.#streams.endAll();
    this.#requests.endFree(new PosternError("shutting_down", "the daemon is stopping"));
    await this.#requests.atMost(0);
    await this.#outbox.flushedOrStuck(STUCK_MS);
    this.close();
  }

  /** Closes at once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#input.close();
    clearTimeout(this.#helloTimer);
    this.#streams.endAll();
    this.producer.end();
    this.#calls.end();
    if (!this.#stopping) this.departure.end();
    this.#outbox.abandon();
    this.#onRoom();
    try {
      this.#conn.close();
    } catch { /* the other side was faster */ }
  }

  /** Tells the streams what is new in the log. */
  pump(): void {
    this.#streams.pump();
  }

  /** Notes that the consumers of its subscriptions are in use. */
  touch(): void {
    this.#streams.touch();
  }

  /** Bytes of its unfinished line, and of the buffer around it. */
  get heldInput(): number {
    return this.#input.heldBytes;
  }

  /** Ends a connection that holds more than there is room for. */
  refuseToHold(): void {
    this.#refuse(
      new PosternError("too_many", "the unfinished lines of all connections take too much memory"),
    );
    this.stop();
  }

  greet(consumer: string): void {
    this.#consumer = consumer;
    // A new greeting is a new conversation: what streamed to the old consumer ends.
    this.#streams.endSubscriptions();
  }

  login(principal: Principal): void {
    this.#principal = principal;
    this.onLogin();
  }

  async loginFailed(): Promise<void> {
    const delayMs = this.#loginFailures.note();
    await new Promise((resolve) => setTimeout(resolve, delayMs));
  }

  subscribe(request: LogSubscriptionRequest): string {
    return this.#streams.open(this.#streamingCodec(), request);
  }

  watchRecords(request: RecordWatchRequest): string {
    return this.#streams.watch(this.#streamingCodec(), request);
  }

  unsubscribe(subscriptionId: string): boolean {
    return this.#streams.end(subscriptionId);
  }

  #streamingCodec(): Codec {
    if (!this.#stopping) return this.#codec!;
    throw new PosternError("shutting_down", "subscribe: the daemon is stopping");
  }

  #complainOf(end: InputEnd): void {
    if (end === "unfinished") {
      this.#refuse(
        new PosternError("parse_error", "the last line has no end and was not carried out"),
      );
    }
    if (end === "overlong") {
      const limit = this.#input.maxLineBytes;
      this.#refuse(
        new PosternError("too_large", `a line must be at most ${limit} bytes, this one is longer`, {
          limit,
        }),
      );
    }
  }

  get #mustWait(): boolean {
    return this.#outbox.isFull || this.#requests.inFlight >= this.#context.limits().maxInFlight ||
      this.#context.services.log.backlogChars > MAX_BACKLOG_CHARS;
  }

  async #untilReady(): Promise<void> {
    const { services } = this.#context;
    const { maxInFlight } = this.#context.limits();
    while (!this.#closed) {
      if (this.#outbox.isFull) {
        await new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
      } else if (this.#requests.inFlight >= maxInFlight) {
        await this.#requests.atMost(maxInFlight >> 1);
      } else if (services.log.backlogChars > MAX_BACKLOG_CHARS) {
        await services.log.backlogAtMost(MAX_BACKLOG_CHARS / 2);
      } else return;
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
      this.#refuse(this.#context.asRefusal(error));
      return undefined;
    }
    const codec = this.#codec ??= this.#choose(message);
    if (codec === null) {
      this.#refuse(
        new PosternError("invalid_request", `${DIALECTS_BEGIN}; no dialect begins like this one`),
      );
      return undefined;
    }
    const decoded = codec.decode(message);
    // Whoever listens by speaking hears what he says himself.
    this.#switchBroadcast(codec);
    return this.#requests.begin(codec, decoded);
  }

  #choose(message: unknown): Codec | null {
    const codec = chooseDialect(message, this.#context.codecSettings);
    if (codec !== null) clearTimeout(this.#helloTimer);
    return codec;
  }

  #onAnswered(): void {
    this.#streams.begin();
    if (this.#codec !== null) this.#switchBroadcast(this.#codec);
    if (this.#codec?.isOver || this.#loginFailures.isExhausted) this.#endAfterReplies();
  }

  /** Why nothing more is carried out on this connection. */
  #closedTo(): PosternError | null {
    if (this.#loginFailures.isExhausted) return this.#loginFailures.refusal();
    if (this.#codec?.isOver) {
      return new PosternError("hello_required", "the handshake was refused; this connection ends");
    }
    return this.#stopping ? new PosternError("shutting_down", "the daemon is stopping") : null;
  }

  /** An error line that belongs to no request, in its place among the replies. */
  #refuse(error: PosternError): void {
    this.#requests.refuse(this.#codec ?? fallbackCodec(this.#context.codecSettings), error);
  }

  #endAfterReplies(): void {
    if (this.#stopping) return;
    this.stop();
  }

  #onSilence(): void {
    if (this.#codec !== null) return;
    const codec = listeningCodec(this.#context.codecSettings);
    if (codec === null) return this.close();
    this.#codec = codec;
    this.#switchBroadcast(codec);
  }

  /** Begins or ends what v1 listeners hear, as the dialect now has it. */
  #switchBroadcast(codec: Codec): void {
    const { requireToken } = this.#context.services.limits;
    const mayHear = this.#principal !== null || !requireToken;
    this.#streams.setBroadcast(codec.hearsBroadcast && mayHear && !this.#stopping ? codec : null);
  }
}

function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe;
}
