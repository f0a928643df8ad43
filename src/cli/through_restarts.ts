/** Questions that may be asked twice, over as many connections as it takes to get their answer. */

import { ConnectionError, PosternError } from "../client/errors.ts";
import { waitFor } from "../client/reconnect.ts";

/** A daemon that is stopping refuses at once, and its connection ends a moment later. */
const AGAIN_MS = 100;

/**
 * Asks again after the loss of the connection, of a client that reconnects.
 *
 * @param ask Asks, and gives up when the signal is aborted.
 * @throws the signal's reason; what else `ask` throws
 */
export async function throughRestarts<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      if (!isPassing(error)) throw error;
      await waitFor(AGAIN_MS, signal);
      signal.throwIfAborted();
    }
  }
}

function isPassing(error: unknown): boolean {
  if (error instanceof PosternError) return error.code === "shutting_down";
  return error instanceof ConnectionError && error.code === "ECONNRESET";
}
