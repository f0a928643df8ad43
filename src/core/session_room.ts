/**
 * Which session is forgotten for a new one, and when there is no room for it.
 *
 * Invariants: none is forgotten that is in use; no token but the owner's has more than `MAX_SESSIONS_EACH`; whoever asks
 * makes room among its own first, and never by a session of others that was used within `RECENT_MS`.
 */

import { PosternError } from "./errors.ts";
import { OWNER_ID } from "./principal.ts";

/** Sessions that are kept. One more is refused with `too_many` when none of them may be forgotten. */
export const MAX_SESSIONS = 1000;
/** Of them those that were made with one token, if that is not the owner's. */
export const MAX_SESSIONS_EACH = 250;
/** How long others' sessions stay unused before they are forgotten. */
export const RECENT_MS = 3_600_000;

/** A session that is kept. */
export interface KeptSession {
  readonly sessionId: string;
  /** Of the token that it was made with. */
  readonly tokenId: string;
  /** When it was used last. */
  readonly lastMs: number;
}

/**
 * Finds room for one session more.
 *
 * @param tokenId Of the token that asks for it.
 * @param isInUse Whether a session may not be forgotten. Asked of few of them.
 * @returns The session to forget for it; `null` where there is room.
 * @throws PosternError `too_many`
 */
export function toForget<T extends KeptSession>(
  kept: readonly T[],
  { operation, tokenId, nowMs, isInUse }: {
    readonly operation: string;
    readonly tokenId: string;
    readonly nowMs: number;
    readonly isInUse: (session: T) => boolean;
  },
): T | null {
  const own = kept.filter((session) => session.tokenId === tokenId);
  const isAtBound = tokenId !== OWNER_ID && own.length >= MAX_SESSIONS_EACH;
  if (!isAtBound && kept.length < MAX_SESSIONS) return null;
  const oldest = longestUnused(own, isInUse);
  if (oldest !== null) return oldest;
  if (isAtBound) throw tooMany(operation, MAX_SESSIONS_EACH, "sessions of this token are in use");
  const others = kept.filter(({ lastMs }) => nowMs - lastMs >= RECENT_MS);
  const forgotten = longestUnused(others, isInUse);
  if (forgotten !== null) return forgotten;
  throw tooMany(
    operation,
    MAX_SESSIONS,
    "sessions are in use, or others used them within the hour",
  );
}

function longestUnused<T extends KeptSession>(
  sessions: readonly T[],
  isInUse: (session: T) => boolean,
): T | null {
  let oldest: T | null = null;
  for (const session of sessions) {
    if (oldest !== null && session.lastMs >= oldest.lastMs) continue;
    if (!isInUse(session)) oldest = session;
  }
  return oldest;
}

function tooMany(operation: string, limit: number, what: string): PosternError {
  return new PosternError(
    "too_many",
    `${operation}: ${limit} ${what}, which is as many as can be`,
    {
      limit,
    },
  );
}
