/**
 * A daemon of one's own for a test or an example: in a temporary directory, gone at the end.
 *
 * It is a real daemon in a process of its own, as strict and as durable as any. It needs the rights to run it and
 * to make its directory.
 */

import { join } from "@std/path/posix";
import { startDaemonProcess, stopDaemonProcess } from "./autostart.ts";
import { Client } from "./client.ts";
import { connect } from "./connect.ts";
import { ConnectionError } from "./errors.ts";

const STOP_TIMEOUT_MS = 30_000;

/**
 * A running daemon that nobody else knows of. Made by {@linkcode startTemporaryDaemon}.
 *
 * @example
 * ```ts
 * import { connect, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory, reconnect: true });
 * await client.send({ kind: "notify", payload: "before" });
 * await daemon.stop();
 * await daemon.start();
 * const { events } = await client.read(0);
 * assert(events[0]?.envelope.payload === "before");
 * ```
 */
export class TemporaryDaemon implements AsyncDisposable {
  /** Its runtime directory, for `connect({ dir })`. */
  readonly directory: string;
  readonly #base: string;
  #running = false;

  constructor() {
    // A socket's path is short; the place for temporary files that the system names may be deep.
    this.#base = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "postern_", dir: "/tmp" }));
    this.directory = join(this.#base, "d");
  }

  /**
   * Starts it, if it does not run.
   *
   * @throws {StartError} when it does not come up
   */
  async start(): Promise<void> {
    await startDaemonProcess({ directory: this.directory });
    this.#running = true;
  }

  /** Stops it in order, and waits for that. What it holds stays until it is disposed of. */
  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    try {
      await using client: Client = await connect({
        dir: this.directory,
        env: NO_ENV,
        reconnect: false,
      });
      await stopDaemonProcess(client, STOP_TIMEOUT_MS);
    } catch (error) {
      if (!(error instanceof ConnectionError && error.noDaemon)) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Deno.remove(this.#base, { recursive: true });
  }
}

const NO_ENV = new Map<string, string>();

/**
 * Starts a daemon in a temporary directory.
 *
 * @returns Its handle; `await using` stops it and removes the directory.
 * @throws {StartError} when it does not come up
 *
 * @example
 * ```ts
 * import { connect, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * assert((await client.status()).store.head_seq === 0);
 * ```
 */
export async function startTemporaryDaemon(): Promise<TemporaryDaemon> {
  const daemon = new TemporaryDaemon();
  try {
    await daemon.start();
    return daemon;
  } catch (error) {
    await daemon[Symbol.asyncDispose]();
    throw error;
  }
}
