/**
 * `Deno.serve` on a Unix socket, which goes on when the platform gives up.
 *
 * The platform ends its loop on the first connection that it cannot accept, as when file descriptors run out. Then
 * the connections that it has are ended, which frees theirs, and the socket is opened anew.
 */

import type { Log } from "../../core/ports.ts";

/** How long after a failure the socket is opened again. */
const AGAIN_MS = 500;

export interface ListenerOptions {
  readonly path: string;
  readonly handle: (request: Request) => Promise<Response>;
  readonly onError: (error: unknown) => Response;
  /** Called when the socket was opened again, to give it the rights that it had. */
  readonly opened: () => void;
  readonly diagnostics: Log;
}

/** One HTTP socket. */
export class Listener {
  readonly #options: ListenerOptions;
  #abort = new AbortController();
  #server: Deno.HttpServer | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopping = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Resolves when it listens. */
  listen(): Promise<void> {
    const { path, handle, onError } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const { signal } = this.#abort = new AbortController();
    const server = Deno.serve({ path, signal, onListen: () => resolve(), onError }, handle);
    server.finished.catch((error) => this.#again(error));
    this.#server = server;
    return promise;
  }

  /** Accepts no more, and resolves when every connection has ended. */
  async shutdown(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    await this.#server?.shutdown();
  }

  /** Keeps the process no longer: whoever does not take an answer is ended with it. */
  giveUp(): void {
    this.#server?.unref();
  }

  #again(error: unknown): void {
    if (this.#stopping) return;
    const { opened, diagnostics } = this.#options;
    diagnostics.error("cannot accept an HTTP connection; the socket is opened again", { error });
    this.#abort.abort();
    this.#server = null;
    this.#timer = setTimeout(() => {
      this.listen().then(opened).catch((failure) => this.#again(failure));
    }, AGAIN_MS);
  }
}
