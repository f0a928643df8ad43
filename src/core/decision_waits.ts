/**
 * Who waits for the decision of a request for permission.
 *
 * Invariant: each wait ends once: with the decision, when the one who waits has gone, or when the daemon stops.
 * Bounds: `MAX_WAITS` in all; of one token but the owner's `MAX_WAITS_EACH`, so that nobody can take the place of all
 * others.
 */

import { PosternError } from "./errors.ts";
import type { ResolvedPermission } from "./permission.ts";
import { Shares } from "./shares.ts";
import { Ticket } from "./ticket.ts";

/** Waits for a decision. One more is refused with `too_many`. */
export const MAX_WAITS = 10_000;
/** Of them those of one token, if that is not the owner's. */
export const MAX_WAITS_EACH = 2500;

/** A wait for a decision. */
export interface DecisionWait {
  readonly decided: Ticket<ResolvedPermission>;
  /** Waits no longer: the one who waited has gone. */
  giveUp(): void;
}

/** Those who wait for one decision, each with the id of its token. */
type Waiting = Map<Ticket<ResolvedPermission>, string>;

/** The waits of one daemon. */
export class DecisionWaits {
  readonly #byRequest = new Map<string, Waiting>();
  readonly #shares = new Shares({ all: MAX_WAITS, each: MAX_WAITS_EACH });
  #stopped = false;

  /**
   * @param tokenId Of the token of the one who waits.
   * @throws PosternError `too_many`, `shutting_down`
   */
  add(requestId: string, tokenId: string): DecisionWait {
    if (this.#stopped) throw stopping();
    this.#requireRoom(tokenId);
    const decided = new Ticket<ResolvedPermission>();
    const waits: Waiting = this.#byRequest.get(requestId) ?? new Map();
    this.#byRequest.set(requestId, waits.set(decided, tokenId));
    this.#shares.take(tokenId);
    return { decided, giveUp: () => this.#giveUp(requestId, decided) };
  }

  /** Tells all who wait for it what a request came to. */
  decided(resolved: ResolvedPermission): void {
    for (const wait of this.#take(resolved.id)) wait.succeed(resolved);
  }

  /** Refuses all waits with `shutting_down`, those to come as well. */
  stop(): void {
    this.#stopped = true;
    for (const id of [...this.#byRequest.keys()]) {
      for (const wait of this.#take(id)) wait.fail(stopping());
    }
  }

  #requireRoom(tokenId: string): void {
    const exceeded = this.#shares.exceededBy(tokenId);
    if (exceeded === null) return;
    const { limit, isOfToken } = exceeded;
    const whose = isOfToken ? " of this token" : "";
    throw new PosternError("too_many", `permission.wait: ${limit}${whose} wait for a decision`, {
      limit,
    });
  }

  #giveUp(requestId: string, decided: Ticket<ResolvedPermission>): void {
    const waits = this.#byRequest.get(requestId);
    const tokenId = waits?.get(decided);
    if (waits === undefined || tokenId === undefined) return;
    waits.delete(decided);
    this.#shares.giveBack(tokenId);
    if (waits.size === 0) this.#byRequest.delete(requestId);
    decided.fail(stopping());
  }

  #take(requestId: string): Iterable<Ticket<ResolvedPermission>> {
    const waits: Waiting = this.#byRequest.get(requestId) ?? new Map();
    this.#byRequest.delete(requestId);
    for (const tokenId of waits.values()) this.#shares.giveBack(tokenId);
    return waits.keys();
  }
}

function stopping(): PosternError {
  return new PosternError(
    "shutting_down",
    "permission.wait: nobody waits here any longer; the request goes on, wait for it again",
  );
}
