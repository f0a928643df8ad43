/**
 * How often one token may do something of a class: a bucket for each, which fills with time.
 *
 * A bucket holds what one second gives, so that a burst of that size passes and no more. Bound: a bucket for each
 * token and class that was used within the last minute or so; idle ones are full again and forgotten.
 */

import type { Clock } from "./ports.ts";
import { PosternError } from "./errors.ts";
import type { Scope } from "./principal.ts";

/** Operations a second for each class; 0 is no limit. */
export type Rates = Readonly<Record<Scope, number>>;

interface Bucket {
  /** Thousandths of operations that may be done now, as of `atMs`: a millisecond gives whole ones. */
  left: number;
  atMs: number;
}

/** One operation. */
const ONE = 1000;
/** Buckets above which full ones are looked for and forgotten. */
const MANY_BUCKETS = 1024;

/** The buckets of all tokens. */
export class RateLimits {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();
  #rates: Rates;

  constructor(rates: Rates, clock: Clock) {
    this.#rates = rates;
    this.#clock = clock;
  }

  /** Takes other limits; they hold from now on. */
  replace(rates: Rates): void {
    this.#rates = rates;
    this.#buckets.clear();
  }

  /**
   * Takes one operation of a class from a token's bucket.
   *
   * @param tokenId Whose; empty for whoever has none.
   * @throws PosternError `rate_limited`, with `retry_after_ms`.
   */
  take(tokenId: string, scope: Scope): void {
    const rate = this.#rates[scope];
    if (rate === 0) return;
    const bucket = this.#bucketOf(`${scope} ${tokenId}`, rate);
    if (bucket.left >= ONE) {
      bucket.left -= ONE;
      return;
    }
    const retryAfterMs = Math.ceil((ONE - bucket.left) / rate);
    throw new PosternError(
      "rate_limited",
      `this token may do ${rate} operations of the class "${scope}" a second (limits.rate.${scope})`,
      { retry_after_ms: retryAfterMs, limit: rate },
    );
  }

  #bucketOf(name: string, rate: number): Bucket {
    const now = this.#clock.now();
    const known = this.#buckets.get(name);
    if (known === undefined) {
      if (this.#buckets.size >= MANY_BUCKETS) this.#forgetFull(now);
      const bucket = { left: rate * ONE, atMs: now };
      this.#buckets.set(name, bucket);
      return bucket;
    }
    // A clock that was set back gives nothing, and takes nothing.
    const elapsedMs = Math.max(0, now - known.atMs);
    known.left = Math.min(rate * ONE, known.left + elapsedMs * rate);
    known.atMs = now;
    return known;
  }

  #forgetFull(now: number): void {
    for (const [name, { atMs }] of this.#buckets) {
      if (now - atMs >= 1000) this.#buckets.delete(name);
    }
  }
}
