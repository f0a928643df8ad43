/**
 * What a runner tells of one turn, in order: pieces of output, then its end, once.
 *
 * At most MAX_IN_FLIGHT pieces are on their way to the daemon's disk; whoever has more waits. A piece that the daemon
 * does not take ends the telling; the end itself is tried until the daemon takes it or says that there is none to be.
 */

import { PosternError } from "../../client/errors.ts";
import type { Client } from "../../client/mod.ts";
import { waitFor } from "../../client/reconnect.ts";
import type { ProgramFailure } from "./program.ts";

const MAX_IN_FLIGHT = 64;
const AGAIN_MS = 1000;
/** What the daemon refuses an end with that will be otherwise later. */
const PASSING: ReadonlySet<string> = new Set([
  "storage_full",
  "too_many",
  "rate_limited",
  "internal",
  "timeout",
]);

/** Tells of one turn. */
export class TurnTeller {
  readonly #client: Client;
  readonly #turnId: string;
  readonly #inFlight: Promise<void>[] = [];
  #fault: unknown = null;

  constructor(client: Client, turnId: string) {
    this.#client = client;
    this.#turnId = turnId;
  }

  /** Tells a piece of output. @throws what an earlier piece was refused with */
  async delta(text: string): Promise<void> {
    if (this.#fault !== null) throw this.#fault;
    this.#inFlight.push(
      this.#emit("delta", { text }).catch((error) => {
        this.#fault ??= error;
      }),
    );
    if (this.#inFlight.length >= MAX_IN_FLIGHT) await this.#inFlight.shift();
  }

  /** Ends the turn, unless it has ended; a connection that is gone has ended it. */
  async end(failure: ProgramFailure): Promise<void> {
    await Promise.all(this.#inFlight);
    const outcome = failure ?? this.#faultAsFailure();
    const closed = new AbortController();
    this.#client.closed.then(() => closed.abort());
    while (!closed.signal.aborted) {
      try {
        return await (outcome === null ? this.#emit("completed") : this.#emit("failed", outcome));
      } catch (error) {
        if (!(error instanceof PosternError && PASSING.has(error.code))) return;
        await waitFor(AGAIN_MS, closed.signal);
      }
    }
  }

  #faultAsFailure(): ProgramFailure {
    if (this.#fault === null) return null;
    return { reason: `its output could not be told: ${(this.#fault as Error).message}` };
  }

  async #emit(type: "delta" | "completed" | "failed", data?: object): Promise<void> {
    await this.#client.call("turn.emit", { turn_id: this.#turnId, type, data });
  }
}
