/** What goes on until the person at the terminal, or the system, ends it. */

import { EXIT } from "./exit_codes.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** A signal that asks to end. */
export type Interrupt = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGQUIT";

/** Those that any program ends in order by; a terminal that is closed sends the last one. */
export const ENDING_SIGNALS: readonly Interrupt[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** What a process that such a signal ended is said to have ended with. */
export const SIGNAL_EXITS: Readonly<Record<Interrupt, number>> = {
  SIGHUP: 129,
  SIGINT: EXIT.interrupted,
  SIGQUIT: 131,
  SIGTERM: EXIT.terminated,
};

/**
 * Runs `work`; Ctrl-C and SIGTERM meanwhile call `onInterrupt` and do nothing else.
 *
 * @returns What `work` returns; it is for `onInterrupt` to make it end.
 */
export async function interruptible<T>(
  onInterrupt: () => void,
  work: () => Promise<T>,
): Promise<T> {
  return await onSignals(SIGNALS, onInterrupt, work);
}

/** The same for what has changed the terminal: Ctrl-\ as well must not leave it so. */
export async function interruptibleScreen<T>(
  onInterrupt: () => void,
  work: () => Promise<T>,
): Promise<T> {
  return await onSignals([...SIGNALS, "SIGQUIT"], onInterrupt, work);
}

/** The same, told which of these signals came. */
export async function onSignals<T>(
  signals: readonly Interrupt[],
  onSignal: (signal: Interrupt) => void,
  work: () => Promise<T>,
): Promise<T> {
  const listeners = signals.map((signal) => [signal, () => onSignal(signal)] as const);
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  try {
    return await work();
  } finally {
    for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
  }
}
