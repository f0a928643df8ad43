/**
 * How much each token has of something that all of them share, so that no token but the owner's takes all of it.
 *
 * Invariant: what is counted is what was taken and not given back. Bounds: one number for each token that has anything.
 * What is shared may be counted by ones, such as leases, or by amounts, such as characters.
 */

import { OWNER_ID } from "./principal.ts";

/** A bound that one more would exceed. */
export interface ExceededBound {
  readonly limit: number;
  /** Whether it is that of one token, and others may go on. */
  readonly isOfToken: boolean;
}

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

  /** How many the token has. */
  of(tokenId: string): number {
    return this.#counts.get(tokenId) ?? 0;
  }

  /** The bound that keeps the token from having so many more, its own first; `null` where none does. */
  exceededBy(tokenId: string, amount = 1): ExceededBound | null {
    if (tokenId !== OWNER_ID && this.of(tokenId) + amount > this.#each) {
      return { limit: this.#each, isOfToken: true };
    }
    return this.#total + amount > this.#all ? { limit: this.#all, isOfToken: false } : null;
  }

  take(tokenId: string, amount = 1): void {
    this.#counts.set(tokenId, this.of(tokenId) + amount);
    this.#total += amount;
  }

  giveBack(tokenId: string, amount = 1): void {
    const left = this.of(tokenId) - amount;
    if (left === 0) this.#counts.delete(tokenId);
    else this.#counts.set(tokenId, left);
    this.#total -= amount;
  }

  /**
   * Of whose share one has to go before the token can have one more.
   *
   * @returns A token that has at least one: itself at its bound, else the one that has most; `null` where there is room.
   */
  whoMakesRoom(tokenId: string): string | null {
    const exceeded = this.exceededBy(tokenId);
    if (exceeded === null) return null;
    if (exceeded.isOfToken) return tokenId;
    let most = "";
    for (const [id, count] of this.#counts) if (count > this.of(most)) most = id;
    return most;
  }
}
