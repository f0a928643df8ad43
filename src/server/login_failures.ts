/** Failed authentications of one connection: each is answered later than the one before, the last one ends it. */

import { PosternError } from "../core/errors.ts";

/** Failures after which a connection is closed. */
const MAX_FAILURES = 3;
/** How long the first one is held back; each further one twice as long. */
const DELAY_MS = 100;

/** What one connection has tried. */
export class LoginFailures {
  #count = 0;

  /** Whether nothing more is carried out. */
  get isExhausted(): boolean {
    return this.#count >= MAX_FAILURES;
  }

  /** Why nothing more is carried out. */
  refusal(): PosternError {
    return new PosternError(
      "auth_failed",
      `after ${MAX_FAILURES} tokens that are not valid this connection ends`,
    );
  }

  /** Notes one. @returns How many there are, and a promise for the time at which it may be answered. */
  note(): { readonly failures: number; readonly delayed: Promise<void> } {
    const failures = ++this.#count;
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, DELAY_MS * 2 ** (failures - 1));
    return { failures, delayed: promise };
  }
}
