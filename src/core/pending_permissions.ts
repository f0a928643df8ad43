/**
 * The requests for permission that wait for an answer: who has to answer them, and how many there may be.
 *
 * Bounds: `MAX_PENDING`; of one originator `MAX_PENDING_EACH`, those counted that are on their way to it; of one token
 * but the owner's `MAX_PENDING_OF_TOKEN`, so that nobody can take the place of all others.
 */

import { shown } from "./errors.ts";
import type { PermissionRequest } from "./permission.ts";
import { tooMany } from "./permission_refusals.ts";
import { Shares } from "./shares.ts";
import type { Ticket } from "./ticket.ts";

/** Requests without an answer. One more is refused with `too_many`. */
export const MAX_PENDING = 1000;
/** Of these, requests that one originator has to answer. */
export const MAX_PENDING_EACH = 100;
/** Of these, requests that came with one token, which is not the owner's. */
export const MAX_PENDING_OF_TOKEN = 250;

/** One of them, and what is happening to it. */
export interface Pending {
  request: PermissionRequest;
  /** Where the log tells of it; `null` where that is not known, behind a restart. */
  seq: number | null;
  /** Not yet on disk; nobody else knows of it. */
  isNew: boolean;
  /** Who is to be the originator once that is on disk. */
  heir: string | null;
  /** Whoever asked has gone and wanted it cancelled then. */
  isAbandoned: boolean;
  /** Takes back what would abandon it. */
  keep: () => void;
  /** Settled, well in any case, when the change on its way to the disk is over. */
  changing: Ticket<void> | null;
}

export function pendingOf(request: PermissionRequest): Pending {
  return {
    request,
    seq: null,
    isNew: false,
    heir: null,
    isAbandoned: false,
    keep() {},
    changing: null,
  };
}

/** Those of one daemon, in the order of their asking. */
export class PendingPermissions {
  readonly #all = new Map<string, Pending>();
  readonly #shares = new Shares({ all: MAX_PENDING, each: MAX_PENDING_OF_TOKEN });

  get count(): number {
    return this.#all.size;
  }

  /** A copy: what is done to one may end others. */
  all(): Pending[] {
    return [...this.#all.values()];
  }

  get(id: string): Pending | undefined {
    return this.#all.get(id);
  }

  add(pending: Pending): void {
    this.#all.set(pending.request.id, pending);
    this.#shares.take(pending.request.tokenId);
  }

  remove({ request }: Pending): void {
    if (this.#all.delete(request.id)) this.#shares.giveBack(request.tokenId);
  }

  /** What an originator has to answer, oldest first. */
  ofOriginator(originator: string): Pending[] {
    return this.all().filter(({ isNew, request }) => !isNew && request.originator === originator);
  }

  /** @throws PosternError `too_many` */
  requireRoom(operation: string, { originator, tokenId }: PermissionRequest): void {
    this.requireRoomOf(operation, originator);
    const exceeded = this.#shares.exceededBy(tokenId);
    if (exceeded === null) return;
    const { limit, isOfToken } = exceeded;
    const which = isOfToken ? " that came with this token" : "";
    throw tooMany(`${operation}: ${limit} requests${which} are without an answer`, limit);
  }

  /** @throws PosternError `too_many` */
  requireRoomOf(operation: string, originator: string): void {
    let count = 0;
    for (const { request, heir } of this.#all.values()) {
      if (request.originator === originator || heir === originator) count++;
    }
    if (count < MAX_PENDING_EACH) return;
    throw tooMany(
      `${operation}: ${MAX_PENDING_EACH} requests wait for an answer of ${shown(originator)}`,
      MAX_PENDING_EACH,
    );
  }
}
