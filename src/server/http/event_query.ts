/** The query of `GET /events`, as far as HTTP gives it its form; the operation says what is right. */

import { PosternError, shown } from "../../core/errors.ts";

/** What a reader asks for. */
export interface EventQuery {
  /** The filter. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The last seq that the reader has; anything but a number is for the operation to refuse. */
  readonly since: unknown;
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
    since: /^\d{1,16}$/.test(since) ? Number(since) : since,
    epoch: one("epoch"),
    follow: follow === "1",
  };
}
