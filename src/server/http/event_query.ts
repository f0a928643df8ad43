/** The query of `GET /events`, as far as HTTP gives it its form; the operation says what is right. */

import { PosternError, shown } from "../../core/errors.ts";

/** What a reader asks for. */
export interface EventQuery {
  /** The filter. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The last seq that the reader has. */
  readonly since: number;
  /** The log that `since` is of, where the reader knows it. */
  readonly epoch: string | null;
  /** Whether the reader stays for what comes. */
  readonly follow: boolean;
}

/**
 * Reads the query; a parameter without a value counts as absent.
 *
 * @throws PosternError `invalid_params`
 */
export function eventQuery({ headers }: Request, { searchParams }: URL): EventQuery {
  const one = (name: string) => searchParams.get(name) || null;
  const list = (name: string) => one(name)?.split(",").filter((part) => part !== "");
  const since = headers.get("last-event-id") || one("since") || "0";
  const follow = one("follow") ?? "1";
  if (follow !== "0" && follow !== "1") {
    throw new PosternError(
      "invalid_params",
      `GET /events: follow: must be 0 or 1, got ${shown(follow)}`,
      { field: "follow" },
    );
  }
  return {
    params: { kinds: list("kinds"), topics: list("topics") },
    since: seqOf(since),
    epoch: one("epoch"),
    follow: follow === "1",
  };
}

function seqOf(since: string): number {
  const seq = /^\d{1,16}$/.test(since) ? Number(since) : NaN;
  if (Number.isSafeInteger(seq)) return seq;
  throw new PosternError(
    "invalid_params",
    `GET /events: since: must be a seq, 0 to ${Number.MAX_SAFE_INTEGER}, got ${shown(since)}`,
    { field: "since" },
  );
}
