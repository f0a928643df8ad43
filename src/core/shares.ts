/**
 * How much each token has of something that all of them share, so that no token but the owner's takes all of it.
 *
 * Invariant: what is counted is what was taken and not given back. Bounds: one number for each token that has anything.
 */

import { OWNER_ID } from "./principal.ts";

/** The shares of one thing. */
export class Shares {
  readonly #all: number;
  readonly #each: number;
  readonly #counts = new Map<string, number>();
  #total = 0;

  /**
   * @param limits `all` is how many there are, `each` how many of them one token has at most; the owner's token has
   * no bound but `all`.
   */
  constructor({ all, each }: { readonly all: number; readonly each: number }) {
    this.#all = all;
    this.#each = each;
  }

  /** Whether all have together what there is. */
  get isFull(): boolean {
    return this.#total >= this.#all;
  }

  /** Whether the token has what one token may have. */
  isAtBound(tokenId: string): boolean {
    return tokenId !== OWNER_ID && this.of(tokenId) >= this.#each;
  }

  /** How many the token has. */
  of(tokenId: string): number {
    return this.#counts.get(tokenId) ?? 0;
  }

  take(tokenId: string): void {
    this.#counts.set(tokenId, this.of(tokenId) + 1);
    this.#total++;
  }

  giveBack(tokenId: string): void {
    const left = this.of(tokenId) - 1;
    if (left === 0) this.#counts.delete(tokenId);
    else this.#counts.set(tokenId, left);
    this.#total--;
  }

  /**
   * Of whose share one has to go before the token can have one more.
   *
   * @returns A token that has at least one: itself at its bound, else the one that has most; `null` where there is room.
   */
  whoMakesRoom(tokenId: string): string | null {
    if (this.isAtBound(tokenId)) return tokenId;
    if (!this.isFull) return null;
    let most = "";
    for (const [id, count] of this.#counts) if (count > this.of(most)) most = id;
    return most;
  }
}
