/**
 * One request on its way to an outcome, over as many connections as that takes.
 *
 * It is settled exactly once: by a reply, a refusal, the caller's giving up, or the end of all hope. Its timer and
 * its signal are let go of at that moment, whoever carries it then.
 */

import { PosternError, shown } from "./errors.ts";

/**
 * What may be chosen for one request.
 *
 * @example
 * ```ts
 * import { connect, PosternError, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * try {
 *   await client.status({ timeoutMs: 0 });
 * } catch (error) {
 *   assert(error instanceof PosternError && error.code === "timeout");
 * }
 * await client.status({ signal: AbortSignal.timeout(60_000) });
 * ```
 */
export interface RequestOptions {
  /**
   * Gives up waiting, with the signal's reason. The request may still be carried out. A call of a service is cancelled
   * at its provider, unless its parameters were given as JSON text; and so it is when `timeoutMs` is over.
   */
  readonly signal?: AbortSignal;
  /** Gives up after so long, with `timeout`. @default the client's `requestTimeoutMs` */
  readonly timeoutMs?: number;
}

/** A request and who waits for it. */
export class Exchange {
  readonly operation: string;
  /** The text of a JSON object. */
  readonly params: string;
  readonly outcome: Promise<unknown>;
  /** Whether it has been written to a connection, so that it may have been carried out. */
  sent = false;
  /** Whether it may be sent again although it may have been carried out. */
  repeatable = false;
  /** Whether it means something on its own connection only, and fails with it even if it was not sent yet. */
  staysBehind = false;
  isSettled = false;
  /** Called with its result before anything more is read from the connection. */
  onResult: (result: unknown) => void = () => {};
  /** Called when whoever asked gives up a request that was sent. */
  onGivenUp: () => void = () => {};
  /** Called once it is settled, for whoever holds it now. */
  onSettled: () => void = () => {};
  readonly #resolve: (result: unknown) => void;
  readonly #reject: (error: Error) => void;
  #release = () => {};

  constructor(operation: string, params: string, options: RequestOptions = {}) {
    this.operation = operation;
    this.params = params;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.outcome = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    if (options.signal?.aborted) this.reject(options.signal.reason);
    else if (options.signal || options.timeoutMs !== undefined) this.#watch(options);
  }

  resolve(result: unknown): void {
    if (!this.#settle()) return;
    this.onResult(result);
    this.#resolve(result);
  }

  reject(error: Error): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    this.#release();
    this.onSettled();
    return true;
  }

  #giveUp(reason: Error): void {
    if (!this.#settle()) return;
    this.#reject(reason);
    if (this.sent) this.onGivenUp();
  }

  #watch({ signal, timeoutMs }: RequestOptions): void {
    const aborted = () => this.#giveUp(signal!.reason);
    signal?.addEventListener("abort", aborted, { once: true });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
      const rule = this.sent
        ? `no reply within ${timeoutMs} ms; it may still be carried out`
        : `it could not be sent within ${timeoutMs} ms`;
      this.#giveUp(new PosternError("timeout", `calling ${shown(this.operation)}: ${rule}`));
    }, timeoutMs);
    this.#release = () => {
      signal?.removeEventListener("abort", aborted);
      clearTimeout(timer);
    };
  }
}
