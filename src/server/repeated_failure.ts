/**
 * Tells the log of a failure that comes again and again: a line for each sort of it when it begins, and one with how
 * often it failed when it has not for `quietMs`.
 */

import type { Log } from "../core/ports.ts";

/** Where the fault is not in the code, and the message says all: there are no descriptors left. */
const NO_DESCRIPTORS: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE"]);

export interface RepeatedFailureOptions {
  readonly diagnostics: Log;
  /** What is said at the end. */
  readonly over: string;
  readonly quietMs: number;
}

/** The failures of one loop. */
export class RepeatedFailure {
  readonly #options: RepeatedFailureOptions;
  /** What was said since it began; a handful of messages. */
  readonly #told = new Set<string>();
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RepeatedFailureOptions) {
    this.#options = options;
  }

  /** @param message One of a few, said once until it is over. */
  note(message: string, error: unknown): void {
    const { diagnostics, quietMs } = this.#options;
    this.#failures++;
    if (!this.#told.has(message)) {
      this.#told.add(message);
      diagnostics.error(message, { error: withoutStack(error) });
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(), quietMs);
  }

  /** To be called when the loop is stopped: then it is not over. */
  close(): void {
    clearTimeout(this.#timer);
  }

  /** Says that it is over, if it ever began. */
  end(): void {
    clearTimeout(this.#timer);
    if (this.#failures === 0) return;
    const { diagnostics, over } = this.#options;
    diagnostics.info(over, { failures: this.#failures });
    this.#failures = 0;
    this.#told.clear();
  }
}

function withoutStack(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  return NO_DESCRIPTORS.has((error as Error & { code?: unknown }).code) ? error.message : error;
}
