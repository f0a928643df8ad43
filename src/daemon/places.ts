/** Places for what goes on at once: so many of them, and of those so many for one token. */

import { PosternError } from "../core/errors.ts";

/** What is bounded. */
export interface PlacesOptions {
  /** What a refusal is about, such as `POST /blobs`. */
  readonly of: string;
  /** What takes a place, such as `uploads`. */
  readonly what: string;
  readonly limit: number;
  readonly perToken: number;
}

/** The places. */
export class Places {
  readonly #options: PlacesOptions;
  readonly #taken = new Map<string, number>();
  #count = 0;

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /**
   * Takes a place.
   *
   * @returns Gives it back; a second call does nothing.
   * @throws PosternError `too_many`
   */
  take(tokenId: string): () => void {
    const { limit, perToken } = this.#options;
    const own = this.#taken.get(tokenId) ?? 0;
    if (own >= perToken) throw this.#refusal(perToken, " by one token");
    if (this.#count >= limit) throw this.#refusal(limit, "");
    this.#count++;
    this.#taken.set(tokenId, own + 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.#giveBack(tokenId);
      isTaken = false;
    };
  }

  #giveBack(tokenId: string): void {
    this.#count--;
    const own = this.#taken.get(tokenId)! - 1;
    if (own === 0) this.#taken.delete(tokenId);
    else this.#taken.set(tokenId, own);
  }

  #refusal(limit: number, whose: string): PosternError {
    const { of, what } = this.#options;
    return new PosternError("too_many", `${of}: at most ${limit} ${what} at once${whose}`, {
      limit,
    });
  }
}
