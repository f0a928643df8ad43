/**
 * What every stream of this library is: an async iterable that is filled from a connection.
 *
 * What always holds: it ends once, by being closed or by failing. Whoever reads one that failed is still given what
 * had come before, then thrown the reason, once; one that is closed gives nothing more.
 */

import { PosternError } from "./errors.ts";

/** What may be chosen for any stream. */
export interface AsyncStreamOptions {
  /** Ends the stream; whoever iterates is thrown the signal's reason. */
  readonly signal?: AbortSignal;
  /** How long it may take to begin; then it fails with `timeout`. */
  readonly timeoutMs?: number;
  /** Called when it has ended, at least once. */
  readonly onClose?: () => void;
}

/** A stream of `T`, but for where it comes from. */
export abstract class AsyncStream<T> implements AsyncIterableIterator<T, undefined> {
  readonly #onClose: () => void;
  readonly #stopped = new AbortController();
  #release = () => {};
  #begun = () => {};
  #closed = false;
  #failure: Error | null = null;
  #arrival: PromiseWithResolvers<void> | null = null;

  /** @param doing What the program does with it, for the message of a time-out. */
  constructor(doing: string, options: AsyncStreamOptions) {
    this.#onClose = options.onClose ?? (() => {});
    this.#watch(doing, options);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next one, as soon as there is one. */
  async next(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      if (this.#closed) return { done: true, value: undefined };
      const held = this.take();
      if (held !== undefined) return { done: false, value: held };
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
  return(): Promise<IteratorResult<T, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends the stream, and lets go of what was not taken. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.discard();
    this.#end(new DOMException("the stream was closed", "AbortError"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** Takes what came first; `undefined` for nothing. */
  protected abstract take(): T | undefined;

  /** Lets go of what was not taken. */
  protected abstract discard(): void;

  /** Ends what the stream comes from; may be called twice. */
  protected abstract disconnect(reason: Error): void;

  /** Aborted when it has ended, with the reason. */
  protected get ended(): AbortSignal {
    return this.#stopped.signal;
  }

  /** The time in which it must have begun is over: it has. */
  protected hasBegun(): void {
    this.#begun();
  }

  /** What came before is still to be had; then the reader is thrown the error. */
  protected fail(error: Error): Error {
    if (this.#closed) return error;
    this.#failure ??= error;
    this.#end(error);
    return this.#failure;
  }

  /** There is something to take. */
  protected wake(): void {
    this.#arrival?.resolve();
    this.#arrival = null;
  }

  /** Gives up on the caller's word, or when it does not begin in time. */
  #watch(doing: string, { signal, timeoutMs }: AsyncStreamOptions): void {
    const aborted = () => this.fail(signal!.reason);
    signal?.addEventListener("abort", aborted, { once: true });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
      const rule = `it did not begin within ${timeoutMs} ms`;
      this.fail(new PosternError("timeout", `${doing}: ${rule}`));
    }, timeoutMs);
    this.#begun = () => clearTimeout(timer);
    this.#release = () => {
      signal?.removeEventListener("abort", aborted);
      clearTimeout(timer);
    };
    // Later, when whoever made this has it in hand.
    if (signal?.aborted) queueMicrotask(aborted);
  }

  #end(reason: Error): void {
    this.#stopped.abort(reason);
    this.#release();
    this.disconnect(reason);
    this.wake();
    this.#onClose();
  }
}
