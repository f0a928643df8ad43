/**
 * `Deno.serve` on a Unix socket, which goes on when the platform gives up.
 *
 * The platform ends its loop on the first connection that it cannot accept, as when file descriptors run out. Then
 * the connections that it has are ended, which frees theirs, and the socket is opened anew.
 */

import type { Log } from "../../core/ports.ts";
import { RepeatedFailure } from "../repeated_failure.ts";

/** How long after a failure the socket is opened again. */
const AGAIN_MS = 500;
/** The longest time between two tries when that fails as well. */
const MOST_MS = 8000;
/** HTTP is served again if nothing failed for so long. */
const SERVED_MS = MOST_MS + 1000;

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
  readonly #failure: RepeatedFailure;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#failure = new RepeatedFailure({
      diagnostics: options.diagnostics,
      over: "HTTP is served again",
      quietMs: SERVED_MS,
    });
  }

  /** Resolves when it listens. */
  async listen(): Promise<void> {
    const { path, handle, onError } = this.#options;
    const { signal } = this.#abort = new AbortController();
    const listens = Promise.withResolvers<void>();
    // It throws at once when there is no descriptor for the socket itself.
    const server = Deno.serve({ path, signal, onListen: () => listens.resolve(), onError }, handle);
    this.#server = server;
    server.finished.catch((error) => this.#again(error));
    await listens.promise;
  }

  /** Accepts no more, and resolves when every connection has ended. */
  async shutdown(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#failure.close();
    await this.#server?.shutdown();
  }

  /** Keeps the process no longer: whoever does not take an answer is ended with it. */
  giveUp(): void {
    this.#server?.unref();
  }

  #again(error: unknown): void {
    if (this.#stopping) return;
    this.#failure.note("cannot accept an HTTP connection; the socket is opened again", error);
    this.#abort.abort();
    this.#server = null;
    this.#retry(AGAIN_MS);
  }

  #retry(afterMs: number): void {
    const { opened } = this.#options;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      try {
        await this.listen();
        opened();
      } catch (error) {
        if (this.#stopping) return;
        this.#failure.note("cannot open the HTTP socket; it is tried again", error);
        this.#abort.abort();
        this.#server = null;
        this.#retry(Math.min(MOST_MS, 2 * afterMs));
      }
    }, afterMs);
  }
}
