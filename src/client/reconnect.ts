/**
 * Trying again: how long to wait between attempts, and when there is no hope.
 *
 * The waits double from 100 ms to 30 s; each is drawn from the upper half of its range, so that the many clients
 * of a daemon that comes back do not come all at once. A daemon that is not there, or busy, or stopping, is tried
 * for as long as `attempts` allows. One that refuses is tried a few times only: it may be about to change its
 * token, and it may just mean it.
 */

import { ConnectionError, PosternError } from "./errors.ts";

/**
 * How to reconnect; every field has its default.
 *
 * @example
 * ```ts
 * import { connect, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * const reconnect = { minDelayMs: 20, maxDelayMs: 1000 };
 * await using client = await connect({ dir: daemon.directory, reconnect });
 * await daemon.stop();
 * const sent = client.send({ kind: "notify", payload: "kept", dedup_key: "k1" });
 * await daemon.start();
 * assert((await sent).seq === 1);
 * ```
 */
export interface ReconnectOptions {
  /** Shortest wait before an attempt, in milliseconds. @default {100} */
  readonly minDelayMs?: number;
  /** Longest wait before an attempt, in milliseconds. @default {30000} */
  readonly maxDelayMs?: number;
  /** Attempts in a row before giving up. @default {Infinity} */
  readonly attempts?: number;
  /** From 0 to 1, for the jitter. @default {Math.random} */
  readonly random?: () => number;
  /** Waits so many milliseconds, or until the signal; the default is a timer. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** The same with nothing left open. */
export type ReconnectPolicy = Required<ReconnectOptions>;

/** Refusals in a row that are taken for an answer. */
const MAX_REFUSALS = 5;

/** What a daemon refuses with that will be otherwise in a moment. */
const PASSING: ReadonlySet<string> = new Set([
  "shutting_down",
  "too_many",
  "rate_limited",
  "internal",
]);

/**
 * The whole policy for what an option says; `null` for none.
 *
 * @throws {PosternError} `invalid_params` when the shortest wait is not above 0, or above the longest.
 */
export function toPolicy(option: boolean | ReconnectOptions): ReconnectPolicy | null {
  if (option === false) return null;
  const policy = {
    minDelayMs: 100,
    maxDelayMs: 30_000,
    attempts: Infinity,
    random: Math.random,
    wait: waitFor,
    ...option === true ? {} : option,
  };
  if (policy.minDelayMs > 0 && policy.minDelayMs <= policy.maxDelayMs) return policy;
  const seen = `got ${policy.minDelayMs} and ${policy.maxDelayMs}`;
  throw new PosternError(
    "invalid_params",
    `reconnecting: minDelayMs must be above 0 and at most maxDelayMs, ${seen}`,
  );
}

/** How long to wait before the attempt of that number, counted from 0. */
export function delayBefore(attempt: number, policy: ReconnectPolicy): number {
  const { minDelayMs, maxDelayMs, random } = policy;
  const longest = Math.min(maxDelayMs, minDelayMs * 2 ** (attempt + 1));
  const shortest = Math.max(minDelayMs, longest / 2);
  return shortest + random() * (longest - shortest);
}

/** What may be chosen for one series of attempts. */
export interface Series {
  readonly policy: ReconnectPolicy;
  /** Ends the series with its reason. */
  readonly signal: AbortSignal;
  /** Told of each attempt that failed. */
  readonly onFailure?: (error: Error) => void;
}

/**
 * Waits and attempts, until an attempt succeeds.
 *
 * @throws what the last attempt failed with, when there is no hope; the signal's reason
 */
export async function attemptUntil<T>(attempt: () => Promise<T>, series: Series): Promise<T> {
  const { policy, signal, onFailure } = series;
  let refusals = 0;
  for (let tried = 0;; tried++) {
    await policy.wait(delayBefore(tried, policy), signal);
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      refusals = isRefusal(error) ? refusals + 1 : 0;
      if (refusals >= MAX_REFUSALS || tried + 1 >= policy.attempts) throw error;
      onFailure?.(error as Error);
    }
  }
}

/** Whether the daemon has said no, rather than not been reached or not been ready. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof ConnectionError) return error.code === "EPROTO";
  return !(error instanceof PosternError && PASSING.has(error.code));
}

/** Resolves after so long, or when the signal is aborted. */
export function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
