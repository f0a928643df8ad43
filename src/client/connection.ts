/**
 * One connection: requests go out in one write for many, replies come back to whoever asked.
 *
 * What always holds: a request is settled exactly once, by its reply, by its abort or by the end of the
 * connection, unless its owner takes it on to the next one; one that was sent keeps its place until its reply came,
 * even if nobody waits for that any more; at most MAX_IN_FLIGHT requests are at the daemon, more wait here, up to
 * MAX_WAITING_CHARS of them, and beyond that a request is refused at once; while paused nothing is read, so the
 * daemon's own flow control takes over.
 */

import {
  type CallLine,
  decodeLine,
  encodeRequest,
  type Parse,
  type Received,
  type RecordLine,
} from "./axon.ts";
import { ConnectionError, PosternError, shown } from "./errors.ts";
import { Exchange, type RequestOptions } from "./exchange.ts";
import { LineSplitter } from "../codecs/ndjson.ts";
import { parseExact } from "../codecs/json.ts";
import type { InboundEvent } from "./messages.ts";

/** What a connection needs of a socket; `Deno.Conn` has it. */
export interface Transport {
  read(buffer: Uint8Array<ArrayBuffer>): Promise<number | null>;
  write(bytes: Uint8Array<ArrayBuffer>): Promise<number>;
  close(): void;
}

/**
 * How a connection came to its end.
 *
 * @example
 * ```ts
 * import { connect, type Closed, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.close();
 * const closed: Closed = await client.closed;
 * assert(closed.by === "client");
 * ```
 */
export interface Closed {
  /** `"client"` when this program closed it, `"daemon"` when the other side did, else `"error"`. */
  readonly by: "client" | "daemon" | "error";
  /** Why, for people. */
  readonly reason: string;
  /** What requests without a reply, and later ones, fail with. */
  readonly error: ConnectionError | PosternError;
}

/** Takes a pushed event and the length of its line. */
export type EventListener = (event: InboundEvent, chars: number) => void;

/** Takes a pushed value of a record and the length of its line. */
export type RecordListener = (line: RecordLine, chars: number) => void;

/** What may be chosen for a connection. */
export interface ConnectionOptions {
  /** Called for each pushed event, with the length of its line in characters. */
  readonly onEvent?: EventListener;
  /** The same for each pushed value of a record. */
  readonly onRecord?: RecordListener;
  /** Called for each call of what this connection provides. */
  readonly onCall?: (call: CallLine) => void;
  /** Called when nobody waits for a call's answer any more. */
  readonly onCancelled?: (id: string) => void;
  /** Longest request, in bytes; the daemon would end the connection over a longer one. */
  readonly maxLineBytes?: number;
  /** Keep numbers that JavaScript cannot hold as raw JSON values, to be passed on. @default {false} */
  readonly exactNumbers?: boolean;
  /**
   * Called at the end of the connection, before anything fails because of it. It is given every request without
   * a reply, in the order of the calls; those it answers true for are its own from then on.
   */
  readonly onEnd?: (closed: Closed) => (exchange: Exchange) => boolean;
}

/** Under the daemon's own bound of 4,096, beyond which it does not read on. */
const MAX_IN_FLIGHT = 1024;
/** Text of requests that wait for their turn; a program that outruns the daemon further is told `too_many`. */
const MAX_WAITING_CHARS = 64 * 1024 * 1024;
/**
 * The daemon's default for `max_line_bytes`.
 *
 * @example
 * ```ts
 * import { MAX_LINE_BYTES } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const line = JSON.stringify({ payload: "x".repeat(1000) });
 * assert(new TextEncoder().encode(line).length < MAX_LINE_BYTES);
 * ```
 */
export const MAX_LINE_BYTES = 1024 * 1024;
/** A reply stops before 1 MiB unless one message alone is larger; `max_line_bytes` is at most 64 MiB. */
const MAX_REPLY_BYTES = 8 * 1024 * 1024;
const WRITE_CHARS = 256 * 1024;

interface Waiting {
  readonly reqId: string;
  readonly line: string;
  readonly exchange: Exchange;
}

/** A connection that speaks AXON. Opened by `openConnection`. */
export class Connection {
  readonly closed: Promise<Closed>;
  readonly #transport: Transport;
  readonly #options: ConnectionOptions;
  readonly #maxLineBytes: number;
  readonly #parse: Parse;
  /** What was sent and has no reply, in the order in which replies come; who gave up is among them. */
  readonly #inFlight = new Map<string, Exchange>();
  /** What a stopping daemon refused and the next connection may carry; it counts as in flight. */
  readonly #passedOn: Exchange[] = [];
  readonly #encoder = new TextEncoder();
  #waiting: Waiting[] = [];
  #waitingFrom = 0;
  #waitingChars = 0;
  #lastId = 0;
  #writing = false;
  #resume: PromiseWithResolvers<void> | null = null;
  #end: Closed | null = null;
  #complaint: PosternError | null = null;
  #settleClosed!: (closed: Closed) => void;

  constructor(transport: Transport, options: ConnectionOptions = {}) {
    this.#transport = transport;
    this.#options = options;
    this.#maxLineBytes = options.maxLineBytes ?? MAX_LINE_BYTES;
    this.#parse = options.exactNumbers ? parseExact : JSON.parse;
    this.closed = new Promise((resolve) => this.#settleClosed = resolve);
    this.#readAll();
  }

  /**
   * Sends one request. `params` is the text of a JSON object.
   *
   * @throws {PosternError} what the daemon refused it with; `too_large`, `too_many`, `timeout`
   * @throws {ConnectionError} `ECONNRESET` when the connection ended first
   */
  request(operation: string, params: string, options: RequestOptions = {}): Promise<unknown> {
    const exchange = new Exchange(operation, params, options);
    this.carry(exchange);
    return exchange.outcome;
  }

  /** Sends one request that exists already; it is settled here, or handed on at the end of the connection. */
  carry(exchange: Exchange): void {
    if (exchange.isSettled) return;
    const reqId = String(++this.#lastId);
    const { operation, params } = exchange;
    try {
      if (this.#end !== null) throw this.#end.error;
      this.#enqueue({ reqId, line: encodeRequest(reqId, operation, params), exchange });
    } catch (error) {
      exchange.reject(error as Error);
    }
  }

  /** How it ended; `null` as long as it has not. */
  get end(): Closed | null {
    return this.#end;
  }

  /** Stops reading, and so, soon, the daemon's writing. Replies wait as well. */
  pause(): void {
    this.#resume ??= Promise.withResolvers();
  }

  /** Reads again. */
  resume(): void {
    this.#resume?.resolve();
    this.#resume = null;
  }

  /** Ends the connection now. What has no reply yet fails. */
  close(reason = "closed by this program"): void {
    this.#finish({ by: "client", reason, error: new ConnectionError("ECONNRESET", reason) });
  }

  #enqueue(waiting: Waiting): void {
    const { line } = waiting;
    const bound = this.#maxLineBytes;
    // A character takes at most three bytes, so most lines need no counting.
    if (line.length * 3 > bound && this.#encoder.encode(line).length > bound) {
      throw new PosternError(
        "too_large",
        `sending a request: a line has at most ${bound} bytes, this one is longer`,
      );
    }
    if (this.#waitingChars + line.length > MAX_WAITING_CHARS) {
      throw new PosternError(
        "too_many",
        `sending a request: at most ${MAX_WAITING_CHARS} characters may wait for the daemon`,
      );
    }
    this.#waiting.push(waiting);
    this.#waitingChars += line.length;
    this.#startWriting();
  }

  #startWriting(): void {
    if (this.#writing) return;
    this.#writing = true;
    // Later in this turn, so that all that is asked for meanwhile goes out in one write.
    queueMicrotask(() => this.#writeAll());
  }

  async #writeAll(): Promise<void> {
    try {
      for (let text = this.#nextText(); text !== ""; text = this.#nextText()) {
        const bytes = this.#encoder.encode(text);
        for (let at = 0; at < bytes.length;) {
          at += await this.#transport.write(bytes.subarray(at));
        }
      }
      this.#writing = false;
    } catch (cause) {
      // What the daemon said last stands in what can still be read, so the reader tells the reason.
      if (!isReset(cause)) this.#fail(cause);
    }
  }

  #nextText(): string {
    let from = this.#waitingFrom;
    let size = 0;
    let text = "";
    while (
      from < this.#waiting.length && size < WRITE_CHARS && this.#hasRoom() && this.#end === null
    ) {
      const { reqId, line, exchange } = this.#waiting[from++]!;
      size += line.length;
      // Who gave up before it was sent is not served.
      if (exchange.isSettled) continue;
      exchange.sent = true;
      text += line;
      this.#inFlight.set(reqId, exchange);
    }
    this.#waitingFrom = from;
    this.#waitingChars -= size;
    if (from === this.#waiting.length || from > MAX_IN_FLIGHT * 4) {
      this.#waiting = this.#waiting.slice(from);
      this.#waitingFrom = 0;
    }
    return text;
  }

  #hasRoom(): boolean {
    return this.#inFlight.size + this.#passedOn.length < MAX_IN_FLIGHT;
  }

  async #readAll(): Promise<void> {
    // An event may be as long as the line it came in, and a little longer.
    const longest = Math.max(MAX_REPLY_BYTES, 2 * this.#maxLineBytes);
    const lines = new LineSplitter(longest);
    try {
      while (this.#end === null) {
        if (this.#resume !== null) await this.#resume.promise;
        const count = await this.#transport.read(lines.space());
        if (count === null) return this.#finish(this.#endOfStream());
        for (const line of lines.take(count)) this.#receive(line);
        if (lines.overlong) throw unreadable(`longer than ${longest} bytes`);
      }
    } catch (cause) {
      this.#fail(cause);
    }
  }

  #receive(line: string | null): void {
    if (line === null) throw unreadable("not UTF-8");
    if (this.#end !== null) return;
    const received = decodeLine(line, this.#parse);
    const { onEvent, onRecord, onCall, onCancelled } = this.#options;
    if (received.type === "event") onEvent?.(received.event, line.length);
    else if (received.type === "record") onRecord?.(received.line, line.length);
    else if (received.type === "call") onCall?.(received.call);
    else if (received.type === "cancelled") onCancelled?.(received.id);
    else if (received.type !== "other") this.#settle(received);
  }

  #settle(received: Received & { type: "reply" | "refusal" }): void {
    if (received.type === "refusal" && received.reqId === null) this.#complaint = received.error;
    // What the daemon could not read far enough to see its id is the oldest: replies come in order.
    const reqId = received.reqId ?? this.#inFlight.keys().next().value ?? null;
    const exchange = reqId === null ? undefined : this.#inFlight.get(reqId);
    if (exchange === undefined) return;
    this.#inFlight.delete(reqId!);
    if (received.type === "reply") exchange.resolve(received.result);
    else if (isPassedOn(exchange, received.error)) this.#passedOn.push(exchange);
    else exchange.reject(received.error);
    if (this.#waitingFrom < this.#waiting.length) this.#startWriting();
  }

  #endOfStream(): Closed {
    const complaint = this.#complaint;
    const reason = complaint === null
      ? "the daemon ended the connection"
      : `the daemon ended the connection: ${complaint.message}`;
    return { by: "daemon", reason, error: complaint ?? new ConnectionError("ECONNRESET", reason) };
  }

  #fail(cause: unknown): void {
    if (isReset(cause)) return this.#finish(this.#endOfStream());
    const error = cause instanceof ConnectionError ? cause : new ConnectionError(
      "ECONNRESET",
      `the connection failed: ${cause instanceof Error ? cause.message : shown(cause)}`,
      { cause },
    );
    this.#finish({ by: "error", reason: error.message, error });
  }

  #finish(end: Closed): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.resume();
    this.#transport.close();
    const unanswered = this.#takeUnanswered();
    const takes = this.#options.onEnd?.(end) ?? (() => false);
    for (const exchange of unanswered) if (!takes(exchange)) exchange.reject(end.error);
    this.#settleClosed(end);
  }

  /** Every request that somebody still waits for, in the order of the calls. */
  #takeUnanswered(): Exchange[] {
    const waiting = this.#waiting.slice(this.#waitingFrom).map(({ exchange }) => exchange);
    const all = [...this.#passedOn, ...this.#inFlight.values(), ...waiting];
    this.#passedOn.length = 0;
    this.#inFlight.clear();
    this.#waiting = [];
    this.#waitingFrom = 0;
    return all.filter(({ isSettled }) => !isSettled);
  }
}

/** A daemon that stops will end the connection, and what may be repeated goes to the next one. */
function isPassedOn(exchange: Exchange, error: PosternError): boolean {
  return exchange.repeatable && error.code === "shutting_down" && !exchange.isSettled;
}

function unreadable(what: string): ConnectionError {
  return new ConnectionError("EPROTO", `the daemon sent a line that is ${what}`);
}

function isReset(cause: unknown): boolean {
  return cause instanceof Deno.errors.ConnectionReset || cause instanceof Deno.errors.BrokenPipe ||
    cause instanceof Deno.errors.BadResource || cause instanceof Deno.errors.Interrupted;
}
