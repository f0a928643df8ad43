/** A list that may be longer than one reply: as much of it as fits, and whether there is more. */

import { z } from "zod";
import { JsonText, utf8Length } from "../core/text.ts";

/** Bytes of one reply's list: WIRE.md has a reply stop before 1 MiB. */
const MAX_REPLY_BYTES = 1024 * 1024 - 1024;

/** Where a list of names goes on. */
export const afterName: z.ZodOptional<z.ZodString> = z.string().max(256).optional()
  .describe("only names that sort after this one, as the last of the reply before");

/**
 * How much of a list is asked for.
 *
 * @param most As many as there can be.
 * @param told What is told of a longer list. @param usual The default.
 */
export function limitOf(
  most: number,
  { told = "the first", usual = most }: { readonly told?: string; readonly usual?: number } = {},
): z.ZodDefault<z.ZodNumber> {
  return z.number().int().min(1).max(most).default(usual)
    .describe(`1 to ${most}: ${told}; a reply stops before 1 MiB, with one at least`);
}

export const hasMore: z.ZodBoolean = z.boolean()
  .describe("whether there are others beyond limit or the size of a reply");

/** What one reply tells of a list. */
export interface Page {
  /** JSON text already, which the codec puts into the reply as it is; typed so that it is a list of anything. */
  readonly list: never[];
  readonly hasMore: boolean;
}

/** The first of a list: at most so many, and no more than one reply holds, one always. */
export function pageOf<T>(
  items: Iterable<T>,
  limit: number,
  textOf: (item: T) => string,
): Page {
  const { texts, hasMore } = firstOf(items, limit, textOf);
  return { list: asList(texts), hasMore };
}

/** The last of a list, in its order, within the same bounds. */
export function lastPageOf<T>(
  items: readonly T[],
  limit: number,
  textOf: (item: T) => string,
): Page {
  const { texts, hasMore } = firstOf(backwards(items), limit, textOf);
  return { list: asList(texts.reverse()), hasMore };
}

/** Of what has a name, in the order of names, what comes after one. */
export function afterIn<T extends { readonly name: string }>(
  sorted: readonly T[],
  after: string | undefined,
): readonly T[] {
  return after === undefined ? sorted : sorted.filter(({ name }) => name > after);
}

function asList(texts: readonly string[]): never[] {
  return new JsonText(`[${texts.join(",")}]`) as unknown as never[];
}

function firstOf<T>(items: Iterable<T>, limit: number, textOf: (item: T) => string) {
  const texts: string[] = [];
  let bytes = 0;
  for (const item of items) {
    if (texts.length === limit) return { texts, hasMore: true };
    const text = textOf(item);
    bytes += utf8Length(text) + 1;
    if (texts.length > 0 && bytes > MAX_REPLY_BYTES) return { texts, hasMore: true };
    texts.push(text);
  }
  return { texts, hasMore: false };
}

function* backwards<T>(items: readonly T[]): Generator<T> {
  for (let i = items.length - 1; i >= 0; i--) yield items[i]!;
}
