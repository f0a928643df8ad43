/**
 * Failed authentications of one connection, or of one HTTP request: each is answered later than the one before, and
 * behind the last one nothing more is carried out.
 */

import { PosternError } from "../core/errors.ts";

/** Failures after which a connection is closed, or a batch over. */
const MAX_FAILURES = 3;
/** How long the first one is held back; each further one twice as long. */
const DELAY_MS = 100;

/** What one of them has tried. */
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
      `after ${MAX_FAILURES} tokens that are not valid nothing more is carried out here`,
    );
  }

  /** Notes one. @returns How long it is held back, in milliseconds. */
  note(): number {
    return DELAY_MS * 2 ** this.#count++;
  }
}
