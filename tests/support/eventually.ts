/** Waiting for a condition that can only be asked for. */

/** Longer than anything here takes on a machine that is busy with others. */
const LIMIT_MS = 20_000;

/**
 * Asks until there is an answer, and fails when there is none in time.
 *
 * @param ask `null` and `false` are no answer yet.
 * @param what What is waited for, for the message.
 */
export async function eventually<T>(
  ask: () => Promise<T | null | false> | T | null | false,
  what: string,
): Promise<T> {
  const began = performance.now();
  while (performance.now() - began < LIMIT_MS) {
    const answer = await ask();
    if (answer !== null && answer !== false) return answer;
    // Whatever it waits for gets its turn.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  throw new Error(`waited in vain for ${what}`);
}
