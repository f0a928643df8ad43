/**
 * The client's way to the daemon for requests: one connection, and after its loss the next.
 *
 * What always holds: `closed` resolves once, when this program has closed the link or there is no next connection
 * to come; a request that was sent and has no reply fails with the connection, unless it may be repeated; one
 * that was not sent yet waits for the next connection, in the order of the calls; at most MAX_HELD of them, and
 * further ones are refused at once.
 */

import type { Closed, Connection, ConnectionOptions, RecordListener } from "./connection.ts";
import type { CallLine } from "./axon.ts";
import type { Opened } from "./dial.ts";
import { ConnectionError, PosternError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import type { Welcome } from "./messages.ts";
import { attemptUntil, type ReconnectPolicy } from "./reconnect.ts";

/**
 * What a client tells of its connection.
 *
 * @example
 * ```ts
 * import { connect, type LinkNotice, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * function say(notice: LinkNotice): void {
 *   if (notice.type === "lost") console.log(`lost: ${notice.reason}`);
 *   if (notice.type === "retrying") console.log(`not yet: ${notice.error.message}`);
 *   if (notice.type === "connected" && notice.reset) console.log("another log: seqs start anew");
 * }
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory, reconnect: true, onNotice: say });
 * assert(client.welcome.epoch !== null);
 * ```
 */
export type LinkNotice =
  /** The connection ended, and the next one is being tried for. */
  | { readonly type: "lost"; readonly reason: string }
  /** An attempt failed; more will follow. */
  | { readonly type: "retrying"; readonly error: Error }
  /** There is a connection again. With `reset` the daemon has begun another log: seqs start anew. */
  | { readonly type: "connected"; readonly welcome: Welcome; readonly reset: boolean };

/** Told what becomes of what was begun on the link's connections, beside requests. */
export interface LinkListener {
  readonly updated: RecordListener;
  /** Of links that provide a service: somebody calls it, and somebody no longer waits for an answer. */
  readonly called?: (call: CallLine) => void;
  readonly cancelled?: (id: string) => void;
  /** The connection has ended, and the next one is being tried for; what is carried now goes there. */
  lost(): void;
  /** There is no next connection to come. */
  ended(error: Error): void;
}

/** Opens a connection that uses the given options beside its own. */
export type Opener = (options: ConnectionOptions, signal?: AbortSignal) => Promise<Opened>;

/** What a link is made with. */
export interface LinkOptions {
  readonly open: Opener;
  /** `null` when the first connection is the only one. */
  readonly policy: ReconnectPolicy | null;
  readonly onNotice?: (notice: LinkNotice) => void;
}

/** Requests that wait for the next connection. */
const MAX_HELD = 65_536;
/** Their text. */
const MAX_HELD_CHARS = 64 * 1024 * 1024;

/** Requests over one connection after the other. */
export class Link {
  readonly closed: Promise<Closed>;
  listener: LinkListener | null = null;
  readonly #options: LinkOptions;
  readonly #stopped = new AbortController();
  #welcome!: Welcome;
  #connection: Connection | null = null;
  /** In the order of the calls. */
  readonly #held = new Set<Exchange>();
  #heldChars = 0;
  #end: Closed | null = null;
  #settleClosed!: (closed: Closed) => void;

  private constructor(options: LinkOptions) {
    this.#options = options;
    this.closed = new Promise((resolve) => this.#settleClosed = resolve);
  }

  /**
   * The first connection is attempted once.
   *
   * @throws what opening it fails with
   */
  static async open(options: LinkOptions, signal?: AbortSignal): Promise<Link> {
    const link = new Link(options);
    link.#use(await link.#open(signal));
    return link;
  }

  /** How the daemon introduced itself on the latest connection. */
  get welcome(): Welcome {
    return this.#welcome;
  }

  /** Sends a request as soon as there is a connection. */
  carry(exchange: Exchange): void {
    if (this.#end !== null) exchange.reject(this.#end.error);
    else if (this.#connection !== null) this.#connection.carry(exchange);
    else this.#hold(exchange);
  }

  /** Ends the link. What has no reply yet fails. */
  close(reason = "closed by this program"): void {
    this.#finish({ by: "client", reason, error: new ConnectionError("ECONNRESET", reason) });
  }

  #open(signal?: AbortSignal): Promise<Opened> {
    // A connection that ends before it is used has nobody's request but its own greeting.
    return this.#options.open({
      onEnd: (closed) => this.#lost(closed),
      onRecord: (line, chars) => this.listener?.updated(line, chars),
      onCall: (call) => this.listener?.called?.(call),
      onCancelled: (id) => this.listener?.cancelled?.(id),
    }, signal);
  }

  /** @throws when it is too late for it */
  #use({ connection, welcome }: Opened): void {
    if (this.#end !== null) {
      connection.close(this.#end.reason);
      throw this.#end.error;
    }
    if (connection.end !== null) throw connection.end.error;
    this.#welcome = welcome;
    this.#connection = connection;
    const held = [...this.#held];
    this.#held.clear();
    this.#heldChars = 0;
    for (const exchange of held) {
      exchange.onSettled = () => {};
      connection.carry(exchange);
    }
  }

  /** Decides what becomes of requests without a reply when the connection has ended. */
  #lost(closed: Closed): (exchange: Exchange) => boolean {
    const wasUsed = this.#connection !== null;
    this.#connection = null;
    if (!wasUsed || this.#end !== null) return () => false;
    if (closed.by === "client" || this.#options.policy === null) {
      this.#finish(closed);
      return () => false;
    }
    this.#reconnect(closed, this.#options.policy);
    this.listener?.lost();
    return (exchange) => {
      if (exchange.staysBehind || (exchange.sent && !exchange.repeatable)) return false;
      this.#hold(exchange);
      return true;
    };
  }

  async #reconnect(closed: Closed, policy: ReconnectPolicy): Promise<void> {
    const { epoch } = this.#welcome;
    const { signal } = this.#stopped;
    const onFailure = (error: Error) => this.#tell({ type: "retrying", error });
    this.#tell({ type: "lost", reason: closed.reason });
    try {
      const attempt = async () => this.#use(await this.#open(signal));
      await attemptUntil(attempt, { policy, signal, onFailure });
    } catch (error) {
      return this.#finish(hopeless(error as Error));
    }
    const welcome = this.#welcome;
    this.#tell({ type: "connected", welcome, reset: welcome.epoch !== epoch });
  }

  #hold(exchange: Exchange): void {
    if (exchange.isSettled) return;
    const chars = exchange.params.length;
    if (this.#held.size >= MAX_HELD || this.#heldChars + chars > MAX_HELD_CHARS) {
      const rule = `at most ${MAX_HELD} requests of ${MAX_HELD_CHARS} characters may wait for it`;
      return exchange.reject(
        new PosternError("too_many", `sending a request: there is no connection, and ${rule}`),
      );
    }
    this.#held.add(exchange);
    this.#heldChars += chars;
    exchange.onSettled = () => {
      this.#held.delete(exchange);
      this.#heldChars -= chars;
    };
  }

  #tell(notice: LinkNotice): void {
    // The listener's own fault must not end the link; it shows as any uncaught error does.
    queueMicrotask(() => this.#options.onNotice?.(notice));
  }

  #finish(end: Closed): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#stopped.abort(end.error);
    const connection = this.#connection;
    this.#connection = null;
    connection?.close(end.reason);
    for (const exchange of [...this.#held]) exchange.reject(end.error);
    this.listener?.ended(end.error);
    // Behind the requests that fail with it.
    queueMicrotask(() => this.#settleClosed(end));
  }
}

function hopeless(cause: Error): Closed {
  const error = cause instanceof ConnectionError || cause instanceof PosternError
    ? cause
    : new ConnectionError("ECONNRESET", `reconnecting: ${cause.message}`, { cause });
  return { by: "error", reason: `gave up reconnecting: ${error.message}`, error };
}
