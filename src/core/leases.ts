/**
 * Leases: names that one client at a time holds, for as long as it says so.
 *
 * Invariants: a name has one holder at most; each acquisition has a higher fence than any before it, of whatever name,
 * over releases and restarts; nobody renews or releases but by the lease_id, of which only a hash is kept, and whoever
 * may clear up after others (`releaseNamed`); a lease and the event that tells of it are stored together or not at all. What is asked of a name while a change of it is on its
 * way to the disk is decided once that is known, in the order in which it was asked.
 *
 * Time: a lease is over when its time is, whether or not `expire` has told so yet. The time that is left is never more
 * than the ttl, so a clock that steps back lengthens nothing; it goes on while the daemon is down.
 *
 * Bounds: `MAX_LEASES`, of one originator `MAX_LEASES_OF_ONE`, of one token but the owner's `MAX_LEASES_EACH`. What waits is bounded by the callers' requests.
 */

import type { Departure } from "./departure.ts";
import { PosternError, shown } from "./errors.ts";
import {
  FENCE_NAME,
  fenceWrite,
  FRESH,
  type HeldLease,
  type Lease,
  type LeaseInfo,
  leaseOf,
  leaseWrite,
  NOTHING,
  renewalKey,
  renewalWrite,
} from "./lease.ts";
import type { Clock, Document, Documents, DocumentWrite, Journal, News, Secrets } from "./ports.ts";
import { Shares } from "./shares.ts";
import { Ticket } from "./ticket.ts";

export type { HeldLease, LeaseInfo } from "./lease.ts";

/** Leases that are held at once. One more is refused with `too_many`. */
export const MAX_LEASES = 10_000;
/** Of one originator. */
export const MAX_LEASES_OF_ONE = 1000;
/** With one token, if that is not the owner's. */
export const MAX_LEASES_EACH = 1000;

/** Who wants a lease, and for how long. */
export interface LeaseRequest {
  readonly name: string;
  readonly originator: string;
  /** Of the token that it comes with. */
  readonly tokenId: string;
  readonly ttlMs: number;
  /** Releases it when the caller goes; `null` to keep it until its time is over. */
  readonly departure: Departure | null;
}

export interface LeasesOptions {
  readonly clock: Clock;
  readonly secrets: Secrets;
  readonly news: News;
  /** The documents of the store among which the leases are. */
  readonly documents: readonly Document[];
}

/** All leases of one daemon. */
export class Leases {
  readonly #log: Journal & Documents;
  readonly #options: LeasesOptions;
  readonly #byName = new Map<string, Lease>();
  readonly #byHash = new Map<string, Lease>();
  /** How many each originator has, or is about to have. */
  readonly #counts = new Map<string, number>();
  /** Of each token, in the same way. */
  readonly #shares = new Shares({ all: MAX_LEASES, each: MAX_LEASES_EACH });
  #fence = 0;
  /** Changes on their way to the disk, by name. */
  readonly #changing = new Map<string, Ticket<void>>();

  constructor(log: Journal & Documents, options: LeasesOptions) {
    this.#log = log;
    this.#options = options;
    this.#restore(options.documents);
  }

  /** Every lease that is held now, by name. */
  list(): LeaseInfo[] {
    const now = this.#options.clock.now();
    return [...this.#byName.values()]
      .filter((lease) => !this.#isOver(lease, now))
      .sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /**
   * Takes a name that nobody holds.
   *
   * @returns The lease, once it is on disk.
   * @throws PosternError through the ticket: `conflict` with the holder's `originator`, whoever that is; `too_many`.
   */
  acquire(request: LeaseRequest): Ticket<HeldLease> {
    return this.#inTurn(request.name, () => this.#acquire(request));
  }

  /**
   * Holds a lease for longer; its fence stays.
   *
   * @param ttlMs From now on; `null` for as long as the last time.
   * @throws PosternError through the ticket: `not_found` for a lease that is over, or was never there.
   */
  renew(leaseId: string, ttlMs: number | null): Ticket<HeldLease> {
    return this.#ofHolder("lease.renew", leaseId, (lease, now) => {
      const renewed = { ...lease, ttlMs: ttlMs ?? lease.ttlMs };
      renewed.expiresMs = now + renewed.ttlMs;
      const stored = this.#log.put(renewalWrite(renewed));
      return this.#change(lease.name, stored, () => {
        const { ttlMs, expiresMs } = renewed;
        Object.assign(lease, { ttlMs, expiresMs, isOver: false, isRenewed: true });
      }).map(() => heldLease(renewed, leaseId));
    });
  }

  /**
   * Gives a lease back.
   *
   * @throws PosternError through the ticket: as `renew`.
   */
  release(leaseId: string): Ticket<void> {
    return this.#ofHolder("lease.release", leaseId, (lease) => this.#end(lease, "lease.released"));
  }

  /**
   * Gives back the lease of a name, whoever holds it.
   *
   * @throws PosternError through the ticket: `not_found` for a name that nobody holds.
   */
  releaseNamed(name: string): Ticket<void> {
    return this.#inTurn(name, () => {
      const lease = this.#byName.get(name);
      if (lease !== undefined && !this.#isOver(lease, this.#options.clock.now())) {
        return this.#end(lease, "lease.released");
      }
      throw new PosternError("not_found", `lease.release: nobody holds ${shown(name)}`);
    });
  }

  /** Ends the leases whose time is over; to be called once a second. What cannot be stored is tried again. */
  expire(): void {
    const now = this.#options.clock.now();
    for (const lease of this.#byName.values()) {
      if (this.#isOver(lease, now) && !this.#changing.has(lease.name)) {
        this.#end(lease, "lease.expired");
      }
    }
  }

  #acquire({ name, originator, tokenId, ttlMs, departure }: LeaseRequest): Ticket<HeldLease> {
    const { clock, secrets, news } = this.#options;
    const now = clock.now();
    const before = this.#byName.get(name);
    if (before !== undefined && !this.#isOver(before, now)) throw taken(before);
    this.#take(originator, tokenId);
    const leaseId = secrets.random();
    const lease: Lease = {
      name,
      originator,
      tokenId,
      fence: ++this.#fence,
      acquiredMs: now,
      ttlMs,
      expiresMs: now + ttlMs,
      hash: secrets.hash(leaseId),
      ...FRESH,
    };
    const events = [news.event("lease.acquired", told(lease))];
    if (before !== undefined) events.unshift(news.event("lease.expired", told(before)));
    const stored = this.#log.append(events, [leaseWrite(lease), fenceWrite(this.#fence)]);
    stored.whenSettled((outcome) => {
      if (!outcome.ok) this.#giveBack(lease);
    });
    return this.#change(name, stored, () => {
      if (before !== undefined) this.#forget(before);
      this.#keep(lease);
      // Last: a caller that has gone meanwhile has it released at once.
      lease.detach = departure?.add(() => this.#releaseDeparted(lease)) ?? NOTHING;
    }).map(() => heldLease(lease, leaseId));
  }

  /** Whether the lease's time is over; it has no more of it than its ttl, whatever the clock did. */
  #isOver(lease: Lease, now: number): boolean {
    lease.expiresMs = Math.min(lease.expiresMs, now + lease.ttlMs);
    return lease.isOver ||= now >= lease.expiresMs;
  }

  #end(lease: Lease, topic: "lease.released" | "lease.expired"): Ticket<void> {
    const events = [this.#options.news.event(topic, told(lease))];
    const removal: DocumentWrite = { key: ["lease", lease.name], content: null };
    return this.#change(lease.name, this.#log.append(events, [removal]), () => {
      this.#forget(lease);
    });
  }

  /** What cannot be stored now ends with its time. */
  #releaseDeparted(lease: Lease): void {
    this.#inTurn(lease.name, () => {
      const isHeld = this.#byName.get(lease.name) === lease &&
        !this.#isOver(lease, this.#options.clock.now());
      return isHeld ? this.#end(lease, "lease.released") : Ticket.of<void>(undefined);
    });
  }

  /** Decides about the lease that somebody proves to hold, once it is its turn. */
  #ofHolder<T>(
    operation: string,
    leaseId: string,
    decide: (lease: Lease, now: number) => Ticket<T>,
  ): Ticket<T> {
    const hash = this.#options.secrets.hash(leaseId);
    return this.#inTurn(this.#byHash.get(hash)?.name ?? null, () => {
      const lease = this.#byHash.get(hash);
      const now = this.#options.clock.now();
      if (lease !== undefined && !this.#isOver(lease, now)) return decide(lease, now);
      throw new PosternError(
        "not_found",
        `${operation}: there is no lease of this lease_id; it was released, its time is over, or it never was`,
      );
    });
  }

  /** Decides now, or once the change of the name that is on its way is known. What it throws fails the ticket. */
  #inTurn<T>(name: string | null, decide: () => Ticket<T>): Ticket<T> {
    const outcome = new Ticket<T>();
    const attempt = () => {
      const changing = name === null ? undefined : this.#changing.get(name);
      // Again then: others that have waited may have gone first.
      if (changing !== undefined) return changing.whenSettled(attempt);
      try {
        decide().whenSettled((decided) =>
          decided.ok ? outcome.succeed(decided.value) : outcome.fail(decided.error)
        );
      } catch (error) {
        outcome.fail(error);
      }
    };
    attempt();
    return outcome;
  }

  /** Carries a change out when it is on disk; whoever asks for the name meanwhile waits. */
  #change<T>(name: string, stored: Ticket<T>, carryOut: () => void): Ticket<void> {
    const changed = new Ticket<void>();
    this.#changing.set(name, changed);
    stored.whenSettled((outcome) => {
      this.#changing.delete(name);
      if (outcome.ok) carryOut();
      if (outcome.ok) changed.succeed();
      else changed.fail(outcome.error);
    });
    return changed;
  }

  /** @throws PosternError `too_many` */
  #take(originator: string, tokenId: string): void {
    if (this.#held(originator) >= MAX_LEASES_OF_ONE) {
      throw tooMany(MAX_LEASES_OF_ONE, " by one client");
    }
    const exceeded = this.#shares.exceededBy(tokenId);
    if (exceeded !== null) {
      throw tooMany(exceeded.limit, exceeded.isOfToken ? " with one token" : "");
    }
    this.#count({ originator, tokenId });
  }

  #held(originator: string): number {
    return this.#counts.get(originator) ?? 0;
  }

  #count({ originator, tokenId }: Pick<Lease, "originator" | "tokenId">): void {
    this.#counts.set(originator, this.#held(originator) + 1);
    this.#shares.take(tokenId);
  }

  #giveBack({ originator, tokenId }: Lease): void {
    const left = this.#held(originator) - 1;
    if (left === 0) this.#counts.delete(originator);
    else this.#counts.set(originator, left);
    this.#shares.giveBack(tokenId);
  }

  #keep(lease: Lease): void {
    this.#byName.set(lease.name, lease);
    this.#byHash.set(lease.hash, lease);
  }

  #forget(lease: Lease): void {
    this.#byName.delete(lease.name);
    this.#byHash.delete(lease.hash);
    this.#giveBack(lease);
    lease.detach();
    if (lease.isRenewed) this.#log.put({ key: renewalKey(lease.name), content: null });
  }

  #restore(documents: readonly Document[]): void {
    const own = documents.filter(({ key }) => key[0] === "lease");
    for (const { key: [, name, slot], fields } of own) {
      if (name === FENCE_NAME) this.#fence = fields.fence as number;
      else if (slot === undefined) {
        const lease = leaseOf(name, fields);
        this.#keep(lease);
        this.#count(lease);
      }
    }
    for (const { key: [, name, slot], fields } of own) {
      if (slot === undefined) continue;
      const lease = this.#byName.get(name);
      if (lease?.fence === fields.fence) {
        const [ttlMs, expiresMs] = [fields.ttl_ms as number, fields.expires_ms as number];
        Object.assign(lease!, { ttlMs, expiresMs, isRenewed: true });
        continue;
      }
      // A crash came between the end of a lease and this.
      this.#log.put({ key: renewalKey(name), content: null });
    }
  }
}

function taken({ name, originator, fence, expiresMs }: LeaseInfo): PosternError {
  return new PosternError(
    "conflict",
    `lease.acquire: ${shown(name)} is held by ${originator} until ${expiresMs}, fence ${fence}`,
    { originator, fence, expires_at: expiresMs },
  );
}

/** What its events say. */
function told({ name, originator, fence }: LeaseInfo) {
  return { name, originator, fence };
}

function heldLease(
  { name, originator, tokenId, fence, acquiredMs, expiresMs }: LeaseInfo,
  leaseId: string,
): HeldLease {
  return { name, originator, tokenId, fence, acquiredMs, expiresMs, leaseId };
}

function tooMany(limit: number, whose: string): PosternError {
  return new PosternError(
    "too_many",
    `lease.acquire: ${limit} leases are held at most${whose}; release one first`,
    { limit },
  );
}
