/**
 * Places for what goes on at once: so many of them, of those so many for one token, and some that only the owner's
 * token takes.
 */

import { PosternError } from "./errors.ts";
import { OWNER_ID } from "./principal.ts";

/** What is bounded. */
export interface PlacesOptions {
  /** What a refusal is about, such as `POST /blobs`. */
  readonly of: string;
  /** What takes a place, such as `uploads`. */
  readonly what: string;
  readonly limit: number;
  /** Of these for one token. */
  readonly perToken: number;
  /** Of these for the owner's token alone; where it is given, the owner's may have all. @default none */
  readonly kept?: number;
}

/** The places. */
export class Places {
  readonly #options: () => PlacesOptions;
  readonly #taken = new Map<string, number>();
  #count = 0;

  /** @param options How many there are; a function where that may change. */
  constructor(options: PlacesOptions | (() => PlacesOptions)) {
    this.#options = typeof options === "function" ? options : () => options;
  }

  /**
   * Takes a place.
   *
   * @returns Gives it back; a second call does nothing.
   * @throws PosternError `too_many`
   */
  take(tokenId: string): () => void {
    this.add(tokenId, 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.giveBack(tokenId, 1);
      isTaken = false;
    };
  }

  /** Takes so many places, which are given back by `giveBack`. @throws PosternError `too_many` */
  add(tokenId: string, count: number): void {
    const { limit, perToken, kept } = this.#options();
    const own = (this.#taken.get(tokenId) ?? 0) + count;
    const isOwner = kept !== undefined && tokenId === OWNER_ID;
    if (!isOwner && own > perToken) throw this.#refusal(perToken, " by one token");
    if (this.#count + count > limit) throw this.#refusal(limit, "");
    const owners = this.#taken.get(OWNER_ID) ?? 0;
    const forOthers = limit - (kept ?? 0);
    if (!isOwner && this.#count - owners + count > forOthers) {
      throw this.#refusal(forOthers, " by all tokens but the owner's");
    }
    this.#count += count;
    this.#taken.set(tokenId, own);
  }

  giveBack(tokenId: string, count: number): void {
    this.#count -= count;
    const own = (this.#taken.get(tokenId) ?? 0) - count;
    if (own === 0) this.#taken.delete(tokenId);
    else this.#taken.set(tokenId, own);
  }

  #refusal(limit: number, whose: string): PosternError {
    const { of, what } = this.#options();
    return new PosternError("too_many", `${of}: at most ${limit} ${what} at once${whose}`, {
      limit,
    });
  }
}

/** Of so many places a quarter for one token, and a quarter kept for the owner's. */
export function quarters(limit: number): Pick<PlacesOptions, "limit" | "perToken" | "kept"> {
  const quarter = Math.floor(limit / 4);
  return { limit, perToken: Math.max(1, quarter), kept: quarter };
}
