/**
 * How many calls of services there may be without an outcome, and how large they are together.
 *
 * Bounds: `MAX_OPEN_CALLS` and `MAX_OPEN_CHARS`; of one token but the owner's `MAX_OPEN_CALLS_EACH` and
 * `MAX_OPEN_CHARS_EACH`, so that nobody can take the place of all others.
 */

import type { CallRequest } from "./service_call.ts";
import { tooManyCalls } from "./service_errors.ts";
import { Shares } from "./shares.ts";

/** Calls without an outcome, of all services. One more is refused with `too_many`. */
export const MAX_OPEN_CALLS = 10_000;
/** Of them those of one token, if that is not the owner's. */
export const MAX_OPEN_CALLS_EACH = 2500;
/** Characters of their parameters. More is refused with `too_many`. */
export const MAX_OPEN_CHARS = 32 * 1024 * 1024;
/** Of them those of one token, if that is not the owner's. */
export const MAX_OPEN_CHARS_EACH = 8 * 1024 * 1024;

/** The room that the calls of one daemon share. */
export class OpenCalls {
  readonly #calls = new Shares({ all: MAX_OPEN_CALLS, each: MAX_OPEN_CALLS_EACH });
  readonly #chars = new Shares({ all: MAX_OPEN_CHARS, each: MAX_OPEN_CHARS_EACH });

  /** @throws PosternError `too_many` where there is none for the call. */
  require({ tokenId, params }: CallRequest): void {
    const calls = this.#calls.exceededBy(tokenId);
    if (calls !== null) {
      const whose = calls.isOfToken ? " of this token" : "";
      throw tooManyCalls(calls.limit, `calls${whose} have no answer yet`);
    }
    const chars = this.#chars.exceededBy(tokenId, params.text.length);
    if (chars === null) return;
    const whose = chars.isOfToken ? " of this token" : "";
    throw tooManyCalls(chars.limit, `characters of parameters${whose} wait for answers`);
  }

  take({ tokenId, params }: CallRequest): void {
    this.#calls.take(tokenId);
    this.#chars.take(tokenId, params.text.length);
  }

  giveBack({ tokenId, params }: CallRequest): void {
    this.#calls.giveBack(tokenId);
    this.#chars.giveBack(tokenId, params.text.length);
  }
}
