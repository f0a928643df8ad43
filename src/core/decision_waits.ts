/**
 * Who waits for the decision of a request for permission.
 *
 * Invariant: each wait ends once: with the decision, when the one who waits has gone, or when the daemon stops.
 * Bound: `MAX_WAITS` in all.
 */

import { PosternError } from "./errors.ts";
import type { ResolvedPermission } from "./permission.ts";
import { Ticket } from "./ticket.ts";

/** Waits for a decision. One more is refused with `too_many`. */
export const MAX_WAITS = 10_000;

/** A wait for a decision. */
export interface DecisionWait {
  readonly decided: Ticket<ResolvedPermission>;
  /** Waits no longer: the one who waited has gone. */
  giveUp(): void;
}

/** The waits of one daemon. */
export class DecisionWaits {
  readonly #byRequest = new Map<string, Set<Ticket<ResolvedPermission>>>();
  #count = 0;
  #stopped = false;

  /** @throws PosternError `too_many`, `shutting_down` */
  add(requestId: string): DecisionWait {
    if (this.#stopped) throw stopping();
    if (this.#count >= MAX_WAITS) {
      throw new PosternError("too_many", `permission.wait: ${MAX_WAITS} wait for a decision`, {
        limit: MAX_WAITS,
      });
    }
    const decided = new Ticket<ResolvedPermission>();
    const waits = this.#byRequest.get(requestId) ?? new Set();
    this.#byRequest.set(requestId, waits.add(decided));
    this.#count++;
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

  #giveUp(requestId: string, decided: Ticket<ResolvedPermission>): void {
    const waits = this.#byRequest.get(requestId);
    if (waits === undefined || !waits.delete(decided)) return;
    this.#count--;
    if (waits.size === 0) this.#byRequest.delete(requestId);
    decided.fail(stopping());
  }

  #take(requestId: string): ReadonlySet<Ticket<ResolvedPermission>> {
    const waits = this.#byRequest.get(requestId) ?? new Set();
    this.#byRequest.delete(requestId);
    this.#count -= waits.size;
    return waits;
  }
}

function stopping(): PosternError {
  return new PosternError(
    "shutting_down",
    "permission.wait: nobody waits here any longer; the request goes on, wait for it again",
  );
}
