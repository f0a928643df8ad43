/**
 * Listens on the daemon's NDJSON socket and serves whoever connects.
 *
 * Invariants: at most `maxConnections` at once, one more is told so and closed; all outboxes together stay
 * below `OUTBOX_TOTAL_BYTES`, because a connection's share shrinks as connections come; all unfinished
 * lines stay below `INPUT_TOTAL_BYTES`, because whoever would exceed it is closed.
 */

import { AxonCodec } from "../codecs/axon.ts";
import type { CodecSettings } from "../codecs/codec.ts";
import { PosternError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { Services } from "../operations/operation.ts";
import { Connection } from "./connection.ts";
import { SharedEncodings } from "./shared_encodings.ts";

/** Bounds of the server; configuration gives them. */
export interface ServerLimits {
  readonly maxLineBytes: number;
  readonly maxConnections: number;
  readonly maxInFlight: number;
  readonly maxSubscriptions: number;
  readonly outboxBytes: number;
  readonly helloTimeoutMs: number;
  /** Whether every connection counts as the owner's. */
  readonly trustSocket: boolean;
}

/** What connections share. */
export interface ServerContext {
  readonly services: Services;
  readonly codecSettings: CodecSettings;
  readonly diagnostics: Log;
  readonly shared: SharedEncodings;
  /** The limits as they are now; a reload changes them. */
  limits(): ServerLimits;
  /** Bytes that one connection's outbox may take now. */
  outboxShare(): number;
  /**
   * Accounts for unfinished lines.
   *
   * @param bytes What a connection's buffer grew by, or shrank.
   * @returns Whether all of them together are still within bounds.
   */
  holdInput(bytes: number): boolean;
}

export interface ServerOptions {
  readonly services: Services;
  readonly codecSettings: CodecSettings;
  readonly limits: ServerLimits;
  readonly diagnostics: Log;
}

/** Bytes that the unfinished lines of all connections take together. */
const INPUT_TOTAL_BYTES = 128 * 1024 * 1024;
/** Bytes that the outboxes of all connections take together. */
const OUTBOX_TOTAL_BYTES = 256 * 1024 * 1024;

/** The server of one daemon. */
export class Server {
  readonly #connections = new Set<Connection>();
  readonly #context: ServerContext;
  #listeners: Deno.Listener[] = [];
  #accepting: Promise<void>[] = [];
  #limits: ServerLimits;
  #inputBytes = 0;

  constructor({ services, codecSettings, limits, diagnostics }: ServerOptions) {
    this.#limits = limits;
    this.#context = {
      services,
      codecSettings,
      diagnostics,
      shared: new SharedEncodings(),
      limits: () => this.#limits,
      holdInput: (bytes) => (this.#inputBytes += bytes) <= INPUT_TOTAL_BYTES,
      outboxShare: () =>
        Math.min(
          this.#limits.outboxBytes,
          OUTBOX_TOTAL_BYTES / Math.max(1, this.#connections.size),
        ),
    };
    services.log.onAppended = () => this.#onAppended();
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Takes new limits; they hold for what comes from now on. */
  setLimits(limits: ServerLimits): void {
    this.#limits = limits;
  }

  /** Notes that whoever subscribes is there, so that no consumer in use counts as idle. */
  touch(): void {
    for (const connection of this.#connections) connection.touch();
  }

  /** Accepts connections from a listener until it is closed. */
  serve(listener: Deno.Listener): void {
    this.#listeners.push(listener);
    this.#accepting.push(this.#accept(listener));
  }

  /** Stops accepting, answers what is in progress for at most `graceMs`, and closes every connection. */
  async close(graceMs: number): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    this.#listeners = [];
    await Promise.all(this.#accepting);
    const stopped = Promise.all([...this.#connections].map((connection) => connection.stop()));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const grace = new Promise<void>((resolve) => timer = setTimeout(resolve, graceMs));
    await Promise.race([stopped, grace]);
    clearTimeout(timer);
    for (const connection of this.#connections) connection.close();
  }

  #onAppended(): void {
    for (const connection of this.#connections) connection.pump();
  }

  async #accept(listener: Deno.Listener): Promise<void> {
    for (;;) {
      try {
        this.#welcome(await listener.accept());
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
          return;
        }
        // Out of file descriptors, most likely: those who are connected go on, and so does this loop.
        this.#context.diagnostics.error("cannot accept a connection", { error });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  #welcome(conn: Deno.Conn): void {
    if (this.#connections.size >= this.#limits.maxConnections) {
      this.#turnAway(conn);
      return;
    }
    const connection = new Connection(conn, this.#context);
    this.#connections.add(connection);
    connection.serve().finally(() => this.#connections.delete(connection));
  }

  #turnAway(conn: Deno.Conn): void {
    const { maxConnections } = this.#limits;
    const error = new PosternError(
      "too_many",
      `the daemon serves at most ${maxConnections} connections at once`,
      { limit: maxConnections },
    );
    const line = new AxonCodec(this.#context.codecSettings).encodeError(null, error) + "\n";
    conn.write(new TextEncoder().encode(line)).catch(() => {}).finally(() => conn.close());
  }
}
