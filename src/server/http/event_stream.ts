/**
 * One `GET /events`: the log as server-sent events, at the reader's own pace.
 *
 * Invariants: nothing is buffered beyond the outbox's bound, because a chunk is handed over only when the reader
 * asks for it; a comment goes out every `heartbeatMs`, so that nobody in between takes an idle stream for a dead one.
 */

import { gapFrame, HEARTBEAT, resetFrame, SseCodec } from "../../codecs/sse.ts";
import type { ClientIdentity } from "../../core/clients.ts";
import type { Principal } from "../../core/principal.ts";
import type { LogSubscriptionRequest, Presence } from "../../operations/operation.ts";
import { ConnectionStreams } from "../connection_streams.ts";
import type { ServerContext } from "../context.ts";
import { Outbox } from "../outbox.ts";
import type { Served } from "../served.ts";

export interface EventStreamOptions {
  readonly context: ServerContext;
  readonly principal: Principal | null;
  readonly client: ClientIdentity | null;
  /** Whether it goes on with what comes, or ends with what is there. */
  readonly follow: boolean;
  readonly heartbeatMs: number;
  readonly onClosed: () => void;
}

/** On a stop, whoever has read nothing for so long is not waited for any longer. */
const STUCK_MS = 1000;

/** One stream of server-sent events. */
export class EventStream implements Served {
  readonly principal: Principal | null;
  readonly heldInput = 0;
  readonly transport = "http";
  readonly body: ReadableStream<Uint8Array>;
  readonly #options: EventStreamOptions;
  readonly #codec = new SseCodec();
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #outbox: Outbox;
  readonly #streams: ConnectionStreams;
  readonly #heartbeat: ReturnType<typeof setInterval>;
  readonly #since: number;
  #closed = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
    this.principal = options.principal;
    const { context } = options;
    this.#since = context.services.clock.now();
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    this.body = readable;
    const writer = this.#writer = writable.getWriter();
    // Whoever goes away while nothing is written is seen here.
    writer.closed.catch(() => this.close());
    this.#outbox = new Outbox({
      write: async (bytes) => {
        await writer.write(bytes);
        return bytes.byteLength;
      },
    }, {
      limitBytes: () => context.outboxShare(),
      hold: (bytes) => context.holdOutput(bytes),
      onWritten: (bytes) => context.services.metrics.bytesSent += bytes,
      onRoom: () => this.pump(),
      onBroken: () => this.close(),
    });
    this.#streams = new ConnectionStreams(this.#outbox, context);
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs);
  }

  /** Tells the reader that it begins anew. */
  reset(epoch: string, headSeq: number): void {
    this.#outbox.push(resetFrame(epoch, headSeq));
  }

  /** Opens the stream; it runs from `begin` on. What is lost already is told first, events behind it or none. */
  open(request: LogSubscriptionRequest): string {
    const { log, metrics } = this.#options.context.services;
    const { front } = log.counters;
    const from = Math.max(request.from, front);
    if (request.from < front) {
      this.#outbox.push(gapFrame({ from_seq: request.from, to_seq: front - 1 }));
      metrics.gaps++;
    }
    return this.#streams.open(this.#codec, { ...request, from });
  }

  get presence(): Presence {
    const { client } = this.#options;
    const { transport } = this;
    return {
      client,
      dialect: this.#codec.dialect,
      transport,
      since: this.#since,
      subscriptions: 1,
    };
  }

  get isPaused(): boolean {
    return !this.#outbox.hasRoomForStream;
  }

  begin(): void {
    // So that the answer's head goes out at once, events or none.
    this.#outbox.push(HEARTBEAT);
    this.#streams.begin();
    if (!this.#options.follow) this.#finish();
  }

  pump(): void {
    this.#streams.pump();
  }

  touch(): void {
    this.#streams.touch();
  }

  /** It has no unfinished request. */
  refuseToHold(): void {}

  async stop(): Promise<void> {
    this.#streams.endAll();
    await this.#outbox.flushedOrStuck(STUCK_MS);
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    this.#streams.endAll();
    // An answer that ends in the middle must not look whole.
    const isWhole = this.#outbox.size === 0;
    this.#outbox.abandon();
    (isWhole ? this.#writer.close() : this.#writer.abort()).catch(() => {});
    this.#options.onClosed();
  }

  #beat(): void {
    if (this.#outbox.hasRoomForStream) this.#outbox.push(HEARTBEAT);
  }

  async #finish(): Promise<void> {
    await this.#streams.finish();
    await this.#outbox.flushed();
    this.close();
  }
}
