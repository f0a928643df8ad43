/**
 * A lease that is held while something runs: acquired, waited for, renewed, released.
 *
 * Invariants: it counts as held for its ttl from when the daemon was last asked, by a clock that does not step, and
 * not longer; a lost connection alone loses nothing. Whoever waits is told by the daemon's events and asks again then.
 */

import { PosternError } from "../client/errors.ts";
import type { Client, Subscription } from "../client/mod.ts";
import { waitFor } from "../client/reconnect.ts";
import { throughRestarts } from "./through_restarts.ts";

/** What is wanted. */
export interface LeaseWish {
  readonly name: string;
  readonly ttlSecs: number;
}

/** Between two tries to renew that failed for a reason that passes. */
const AGAIN_MS = 200;
const MAX_RELEASE_MS = 5000;
const ENDINGS = ["lease.released", "lease.expired"];

/** A lease that this program holds. */
export class HeldLease {
  readonly fence: number;
  readonly #client: Client;
  readonly #leaseId: string;
  readonly #ttlMs: number;
  readonly #released = new AbortController();
  /** Until when it is surely held, as performance.now() says it. */
  #until: number;

  private constructor(
    client: Client,
    { lease_id, fence }: { readonly lease_id: string; readonly fence: number },
    { ttlMs, askedAt }: { readonly ttlMs: number; readonly askedAt: number },
  ) {
    this.#client = client;
    this.#leaseId = lease_id;
    this.fence = fence;
    this.#ttlMs = ttlMs;
    this.#until = askedAt + ttlMs;
  }

  /** @throws {PosternError} `conflict` when somebody holds it */
  static async acquire(client: Client, { name, ttlSecs }: LeaseWish): Promise<HeldLease> {
    const askedAt = performance.now();
    const held = await client.call("lease.acquire", {
      name,
      ttl_secs: ttlSecs,
      release_on_disconnect: true,
    });
    return new HeldLease(client, held, { ttlMs: ttlSecs * 1000, askedAt });
  }

  /**
   * The same, as soon as it is free.
   *
   * @param onHeld Told why not yet, each time.
   */
  static async acquireWhenFree(
    client: Client,
    wish: LeaseWish,
    { signal, onHeld }: {
      readonly signal: AbortSignal;
      readonly onHeld: (error: PosternError) => Promise<void>;
    },
  ): Promise<HeldLease> {
    // First, so that no end is missed.
    await using stream = client.subscribe({
      topics: ENDINGS,
      replay: false,
      consumer: null,
      signal,
    });
    await stream.started;
    for (;;) {
      signal.throwIfAborted();
      try {
        // One that was acquired without our knowing goes with its connection, or with its time.
        return await throughRestarts(signal, () => HeldLease.acquire(client, wish));
      } catch (error) {
        if (!isHeldByOther(error)) throw error;
        await onHeld(error);
      }
      await endOf(wish.name, stream);
    }
  }

  /** Renews it until it is released. Resolves with the reason when it is lost; never, if it is not. */
  async keep(): Promise<string> {
    const { signal } = this.#released;
    let pause = this.#ttlMs / 3;
    while (!signal.aborted) {
      await waitFor(Math.min(pause, Math.max(0, this.#until - performance.now())), signal);
      if (signal.aborted) break;
      const left = this.#until - performance.now();
      if (left <= 0) return "it could not be renewed in time";
      const refusal = await this.#renew(left);
      if (refusal instanceof PosternError && !isPassing(refusal)) return refusal.message;
      pause = refusal === null ? this.#ttlMs / 3 : AGAIN_MS;
    }
    return await new Promise<never>(() => {});
  }

  /** Gives it back. What the daemon cannot be told soon ends with the connection, or with its time. */
  async release(): Promise<void> {
    this.#released.abort();
    const leftMs = Math.min(MAX_RELEASE_MS, this.#until - performance.now());
    const signal = AbortSignal.timeout(Math.max(1, Math.floor(leftMs)));
    try {
      const params = { lease_id: this.#leaseId };
      await throughRestarts(signal, () => this.#client.call("lease.release", params, { signal }));
    } catch {
      // See above.
    }
  }

  async #renew(timeoutMs: number): Promise<unknown> {
    const askedAt = performance.now();
    const { signal } = this.#released;
    try {
      await this.#client.call("lease.renew", { lease_id: this.#leaseId }, { timeoutMs, signal });
      this.#until = askedAt + this.#ttlMs;
      return null;
    } catch (error) {
      return error;
    }
  }
}

/** Waits until a lease of that name has ended, or may have. The stream stays open, for it may be waited for again. */
async function endOf(name: string, stream: Subscription): Promise<void> {
  for (;;) {
    const { done, value: event } = await stream.next();
    if (done) throw new Error(`waiting for ${name}: the events have ended`);
    const ended = event.envelope.payload as { readonly name?: unknown };
    if (ended.name === name || event.gap !== undefined || event.reset !== undefined) return;
  }
}

/** Whether somebody else holds it. */
export function isHeldByOther(error: unknown): error is PosternError {
  return error instanceof PosternError && error.code === "conflict";
}

/** What does not say that it is lost. */
function isPassing({ code }: PosternError): boolean {
  return ["timeout", "too_many", "rate_limited", "internal", "shutting_down", "storage_full"]
    .includes(code);
}
