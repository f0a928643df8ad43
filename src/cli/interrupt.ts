/** What goes on until the person at the terminal, or the system, ends it. */

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Runs `work`; Ctrl-C and SIGTERM meanwhile call `onInterrupt` and do nothing else.
 *
 * @returns What `work` returns; it is for `onInterrupt` to make it end.
 */
export async function interruptible<T>(
  onInterrupt: () => void,
  work: () => Promise<T>,
): Promise<T> {
  for (const signal of SIGNALS) Deno.addSignalListener(signal, onInterrupt);
  try {
    return await work();
  } finally {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, onInterrupt);
  }
}
