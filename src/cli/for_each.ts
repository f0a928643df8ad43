/** One thing done to each of several, where a refusal of one is no reason to leave out the others. */

import { PosternError } from "../client/errors.ts";

/**
 * Does it to one after the other.
 *
 * @throws {PosternError} when all are through, with the code of the first refusal and the messages of all
 */
export async function forEach<T>(
  items: readonly T[],
  act: (item: T) => Promise<void>,
): Promise<void> {
  const refusals: PosternError[] = [];
  for (const item of items) {
    try {
      await act(item);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      refusals.push(error);
    }
  }
  const [first] = refusals;
  if (first === undefined) return;
  throw new PosternError(first.code, refusals.map(({ message }) => message).join("\n"));
}
