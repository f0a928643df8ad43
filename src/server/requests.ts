/**
 * Carries out the requests of one connection and puts their replies in order.
 *
 * Invariants: requests begin in their order, and one begins when those before it have ended, except that appends
 * may wait for the disk together; replies leave in the order of the messages, a batch as one. Bounded by the
 * connection, which asks `inFlight` before it takes another message; a batch by its codec and its replies. What
 * takes long is followed by a turn for the others. Behind a shutdown nothing more is carried out.
 */

import type { CallAnswer, Codec, Decoded, DecodedMessage } from "../codecs/codec.ts";
import { PosternError } from "../core/errors.ts";
import { Ticket } from "../core/ticket.ts";
import type { Context } from "../operations/operation.ts";
import { findOperation, invoke } from "../operations/registry.ts";
import { SYSTEM_SHUTDOWN } from "../operations/system.ts";
import { ReplyQueue } from "./reply_queue.ts";
import type { Turns } from "./turns.ts";

/** Characters of a batch's replies, one reply aside; what is asked for beyond is refused, not carried out. */
const MAX_BATCH_CHARS = 1024 * 1024;
/** Once requests that are no appends have taken longer, the other connections come first. */
const TURN_MS = 1;

/** Requests of a connection that are answered when they can be. */
const MAX_FREE = 256;

function isFree(request: Decoded): boolean {
  if (!("call" in request)) return false;
  const operation = findOperation(request.call.operation);
  // What is no operation may be a method that somebody provides.
  return operation === undefined || operation.free === true;
}

function batchIsFull(): PosternError {
  return new PosternError(
    "too_large",
    `the replies of a batch are at most ${MAX_BATCH_CHARS} characters; ask for the rest in another`,
    { limit: MAX_BATCH_CHARS },
  );
}

/** Takes what a request is answered with; `null` when it gets no answer. */
type Reply = (text: string | null) => void;

export interface RequestsOptions {
  readonly context: Context;
  readonly turns: Turns;
  /** Takes the next line to send, without its end. */
  readonly send: (line: string) => void;
  /** Called after each message that is answered, with its line on the way. */
  readonly onAnswered: () => void;
  /** Why nothing more is carried out, or `null`. */
  readonly closedTo: () => PosternError | null;
  /** Takes an answer to a call of the daemon's. */
  readonly onAnswer: (answer: CallAnswer) => void;
  /** What may be told of an error that nobody expected. */
  readonly asRefusal: (error: unknown) => PosternError;
}

/** The requests of one connection. */
export class Requests {
  readonly #options: RequestsOptions;
  readonly #replies: ReplyQueue;
  #running = 0;
  /** Milliseconds since the last turn. */
  #worked = 0;
  #shutDown = false;
  /** Ends of requests that are answered when they can be. */
  readonly #free = new Set<(error: PosternError) => void>();
  #whenNoneFree: (() => void)[] = [];
  #idle: (() => void)[] = [];

  constructor(options: RequestsOptions) {
    this.#options = options;
    this.#replies = new ReplyQueue(options.send);
  }

  /** Messages without an answer. */
  get inFlight(): number {
    return this.#replies.inFlight;
  }

  /** Resolves when at most so many messages are without an answer. */
  atMost(count: number): Promise<void> {
    return this.#replies.atMost(count);
  }

  /** Resolves when nothing is without an answer, what is answered when it can be included. */
  async settled(): Promise<void> {
    while (this.inFlight > 0 || this.#free.size > 0) {
      await this.atMost(0);
      if (this.#free.size > 0) {
        await new Promise<void>((resolve) => this.#whenNoneFree.push(resolve));
      }
    }
  }

  /** @returns A promise when the next message has to wait for this one. */
  begin(codec: Codec, message: DecodedMessage): Promise<void> | undefined {
    const { requests, answers = [], isBatch } = message;
    // What the daemon itself waits for does not wait for what it was asked.
    for (const answer of answers) this.#options.onAnswer(answer);
    if (requests.length === 0) return undefined;
    if (!isBatch && isFree(requests[0]!)) return this.#beginFree(codec, requests[0]!);
    const slot = this.#replies.open();
    const answer: Reply = (text) => {
      this.#replies.settle(slot, text);
      this.#options.onAnswered();
    };
    if (!isBatch) return this.#beginOne(codec, requests[0]!, answer);
    return this.#beginBatch(codec, requests, answer);
  }

  /** Answers what answers when it can with an error, because nobody will carry it on. */
  endFree(error: PosternError): void {
    for (const end of [...this.#free]) end(error);
  }

  /** Says an error that belongs to no request, in its place among the replies. */
  refuse(codec: Codec, error: PosternError): void {
    this.#replies.settle(this.#replies.open(), codec.encodeError(null, error));
    this.#options.onAnswered();
  }

  /** Refuses one request at once. */
  #refuseOne(codec: Codec, { tag }: Decoded, refusal: PosternError): void {
    const text = codec.encodeError(tag, refusal);
    if (text !== null) this.#options.send(text);
    this.#options.onAnswered();
  }

  /** Begins in its order and is answered when it can; nothing behind it waits for that. */
  #beginFree(codec: Codec, request: Decoded): Promise<void> | undefined {
    if (this.#free.size >= MAX_FREE) {
      const refusal = new PosternError(
        "too_many",
        `a connection waits for at most ${MAX_FREE} answers that come when they can`,
        { limit: MAX_FREE },
      );
      this.#refuseOne(codec, request, refusal);
      return undefined;
    }
    const start = () => {
      const answer = this.#endable(codec, request, (text) => {
        if (text !== null) this.#options.send(text);
        this.#options.onAnswered();
      });
      this.#carryOut(codec, request, answer);
    };
    if (this.#running > 0) return this.#untilIdle().then(start);
    start();
    return undefined;
  }

  /** What `endFree` may answer first; the answer that comes later is dropped. */
  #endable(codec: Codec, { tag }: Decoded, answer: Reply): Reply {
    let isOver = false;
    const reply: Reply = (text) => {
      if (isOver) return;
      isOver = true;
      this.#free.delete(end);
      answer(text);
      if (this.#free.size === 0) { for (const resolve of this.#whenNoneFree.splice(0)) resolve(); }
    };
    const end = (error: PosternError) => reply(codec.encodeError(tag, error));
    this.#free.add(end);
    return reply;
  }

  async #beginBatch(codec: Codec, requests: readonly Decoded[], answer: Reply): Promise<void> {
    const texts: (string | null)[] = new Array(requests.length).fill(null);
    let missing = requests.length;
    let chars = 0;
    for (const [i, request] of requests.entries()) {
      const within = chars > MAX_BATCH_CHARS
        ? { refusal: batchIsFull(), tag: request.tag }
        : request;
      await this.#beginOne(codec, within, (text) => {
        texts[i] = text;
        chars += text?.length ?? 0;
        if (--missing === 0) answer(codec.encodeBatch(texts.filter((one) => one !== null)));
      });
    }
  }

  #beginOne(codec: Codec, request: Decoded, answer: Reply): Promise<void> | undefined {
    const pipelined = "call" in request &&
      findOperation(request.call.operation)?.pipelined === true;
    // Appends are quick, and stay together for the disk.
    if (pipelined) return this.#run(codec, request, answer);
    if (this.#running === 0) return this.#runInTurn(codec, request, answer);
    return this.#untilIdle().then(() => this.#runInTurn(codec, request, answer));
  }

  /** @returns A promise when the request is not over, or others come first. */
  #runInTurn(codec: Codec, request: Decoded, answer: Reply): Promise<void> | undefined {
    const began = performance.now();
    const next = () => {
      this.#worked += performance.now() - began;
      // What is behind an end is refused at once, while somebody may still read it.
      if (this.#worked <= TURN_MS || this.#closedTo() !== null) return undefined;
      const workedMs = this.#worked;
      this.#worked = 0;
      return this.#options.turns.next(workedMs);
    };
    const done = this.#run(codec, request, answer);
    return done === undefined ? next() : done.then(next);
  }

  #run(codec: Codec, request: Decoded, answer: Reply): Promise<void> | undefined {
    this.#running++;
    const reply: Reply = (text) => {
      this.#running--;
      if (this.#running === 0) this.#tellIdle();
      answer(text);
    };
    // In a batch the next one waits for it, but not for ever.
    return this.#carryOut(
      codec,
      request,
      isFree(request) ? this.#endable(codec, request, reply) : reply,
    );
  }

  #carryOut(codec: Codec, request: Decoded, end: Reply): Promise<void> | undefined {
    const { tag } = request;
    const fail = (error: unknown) => end(codec.encodeError(tag, this.#options.asRefusal(error)));
    if ("refusal" in request) {
      fail(request.refusal);
      return undefined;
    }
    try {
      const closed = this.#closedTo();
      if (closed !== null) throw closed;
      const { operation, params } = request.call;
      const opened = codec.opens(operation);
      const handled = invoke({ operation, params, opened }, this.#options.context);
      if (operation === SYSTEM_SHUTDOWN.name) this.#shutDown = true;
      if (handled instanceof Ticket) {
        handled.whenSettled((outcome) =>
          outcome.ok ? end(codec.encodeResult(tag, outcome.value)) : fail(outcome.error)
        );
        return undefined;
      }
      if (handled instanceof Promise) {
        return handled.then((result) => end(codec.encodeResult(tag, result)), fail);
      }
      end(codec.encodeResult(tag, handled));
    } catch (error) {
      fail(error);
    }
    return undefined;
  }

  /** The daemon begins to stop a little later than this connection asked it to. */
  #closedTo(): PosternError | null {
    const closed = this.#options.closedTo();
    if (closed !== null || !this.#shutDown) return closed;
    return new PosternError("shutting_down", "the daemon was told to stop on this connection");
  }

  #untilIdle(): Promise<void> {
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #tellIdle(): void {
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }
}
