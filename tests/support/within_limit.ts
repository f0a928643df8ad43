/** Waiting for what comes by itself, but not for ever. */

/** Longer than anything here takes on a machine that is busy with others. */
const LIMIT_MS = 30_000;

/**
 * Fails when what is awaited takes too long, so that a test that waits in vain says what it saw.
 *
 * @param what What is waited for. @param seen What there is instead, asked for at the end of the time.
 */
export async function withinLimit<T>(
  awaited: Promise<T>,
  what: string,
  seen: () => string,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    const complain = () => reject(new Error(`waited in vain for ${what}: ${seen()}`));
    timer = setTimeout(complain, LIMIT_MS);
  });
  try {
    return await Promise.race([awaited, limit]);
  } finally {
    clearTimeout(timer);
  }
}
