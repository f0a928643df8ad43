/**
 * How far a long input has been sent, for whoever watches at a terminal; nobody else sees anything.
 *
 * The line is drawn as input is read, at most ten times a second, and not before a second has passed: what is
 * quick needs none. With an input of unknown length there is no bar, only what was done.
 */

import { duration } from "./format.ts";
import type { Output } from "./output.ts";

const QUIET_MS = 1000;
const REDRAW_MS = 100;
const BAR_WIDTH = 24;

/** What is told. */
export interface ProgressOptions {
  readonly out: Output;
  /** Length of the input in bytes, where it is known. */
  readonly total: number | null;
  /** How many messages are on the daemon's disk. */
  readonly sent: () => number;
  /** Milliseconds that only go forward. */
  readonly now?: () => number;
}

/** The same input, told about as it is read. */
export function withProgress(
  input: ReadableStream<Uint8Array>,
  options: ProgressOptions,
): ReadableStream<Uint8Array> {
  const { out, total, sent, now = () => performance.now() } = options;
  // For programs nothing is drawn, even if they borrow somebody's terminal.
  if (!out.isWatched || out.json) return input;
  const begun = now();
  let drawn = begun + QUIET_MS - REDRAW_MS;
  let read = 0;
  return input.pipeThrough(
    new TransformStream({
      async transform(chunk, controller) {
        read += chunk.length;
        controller.enqueue(chunk);
        const at = now();
        if (at - drawn < REDRAW_MS) return;
        drawn = at;
        await out.passing(progressLine({ read, total, sent: sent(), ms: at - begun }));
      },
    }),
  );
}

/** The line itself. */
export function progressLine(
  { read, total, sent, ms }: { read: number; total: number | null; sent: number; ms: number },
): string {
  const rate = `${sent} sent, ${Math.round(sent / (ms / 1000))} a second`;
  if (total === null || total === 0) return `${rate}, ${duration(ms / 1000)}`;
  const part = Math.min(1, read / total);
  const full = Math.round(part * BAR_WIDTH);
  const bar = "#".repeat(full) + ".".repeat(BAR_WIDTH - full);
  const left = read === 0 ? 0 : ms * (1 - part) / part / 1000;
  return `[${bar}] ${Math.floor(part * 100)} %, ${rate}, ${duration(left)} left`;
}

/** The length of a file; `null` where there is none to know, as with a pipe. */
export function bytesOf(path: string): number | null {
  try {
    const info = Deno.statSync(path);
    return info.isFile ? info.size : null;
  } catch {
    return null;
  }
}
