/**
 * Leases: names that one client at a time holds, for as long as it says so.
 *
 * Invariants: a name has one holder at most; each acquisition has a higher fence than any before it, of whatever name,
 * over releases and restarts; nobody renews or releases but by the lease_id, of which only a hash is kept; a lease and
 * the event that tells of it are stored together or not at all. What is asked of a name while a change of it is on its
 * way to the disk is decided once that is known, in the order in which it was asked.
 *
 * Time: a lease is over when its time is, whether or not `expire` has told so yet. The time that is left is never more
 * than the ttl, so a clock that steps back lengthens nothing; it goes on while the daemon is down.
 *
 * Bounds: `MAX_LEASES`, of one originator `MAX_LEASES_OF_ONE`. What waits is bounded by the callers' requests.
 */

import type { Departure } from "./departure.ts";
import { PosternError, shown } from "./errors.ts";
import type {
  Clock,
  Document,
  DocumentKey,
  Documents,
  DocumentWrite,
  Journal,
  News,
  Secrets,
} from "./ports.ts";
import { Ticket } from "./ticket.ts";

/** Leases that are held at once. One more is refused with `too_many`. */
export const MAX_LEASES = 10_000;
/** Of one originator. */
export const MAX_LEASES_OF_ONE = 1000;

/** What everybody may know of a lease. */
export interface LeaseInfo {
  readonly name: string;
  /** Whose it is. */
  readonly originator: string;
  /** Rises with each acquisition. */
  readonly fence: number;
  readonly acquiredMs: number;
  readonly expiresMs: number;
}

/** A lease as its holder is told of it. */
export interface HeldLease extends LeaseInfo {
  /** Proves the holder. A secret. */
  readonly leaseId: string;
}

/** Who wants a lease, and for how long. */
export interface LeaseRequest {
  readonly name: string;
  readonly originator: string;
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

interface Lease extends LeaseInfo {
  readonly hash: string;
  ttlMs: number;
  expiresMs: number;
  /** Once it was seen to be over it stays so, wherever the clock goes. */
  isOver: boolean;
  isRenewed: boolean;
  /** Takes the release at the caller's end back. */
  detach: () => void;
}

/** Under which the highest fence stands; no lease has this name. */
const FENCE_NAME = "";
/** The slot of a renewal, which is told to nobody and so is stored without an event. */
const RENEWAL_SLOT = 1;

const NOTHING = (): void => {};
const FRESH = { isOver: false, isRenewed: false, detach: NOTHING };

/** All leases of one daemon. */
export class Leases {
  readonly #log: Journal & Documents;
  readonly #options: LeasesOptions;
  readonly #byName = new Map<string, Lease>();
  readonly #byHash = new Map<string, Lease>();
  /** How many each originator has, or is about to have. */
  readonly #counts = new Map<string, number>();
  #count = 0;
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

  /** Ends the leases whose time is over; to be called once a second. What cannot be stored is tried again. */
  expire(): void {
    const now = this.#options.clock.now();
    for (const lease of this.#byName.values()) {
      if (this.#isOver(lease, now) && !this.#changing.has(lease.name)) {
        this.#end(lease, "lease.expired");
      }
    }
  }

  #acquire({ name, originator, ttlMs, departure }: LeaseRequest): Ticket<HeldLease> {
    const { clock, secrets, news } = this.#options;
    const now = clock.now();
    const before = this.#byName.get(name);
    if (before !== undefined && !this.#isOver(before, now)) throw taken(before);
    this.#take(originator);
    const leaseId = secrets.random();
    const lease: Lease = {
      name,
      originator,
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
      if (!outcome.ok) this.#giveBack(originator);
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

  #take(originator: string): void {
    const own = this.#counts.get(originator) ?? 0;
    if (this.#count >= MAX_LEASES || own >= MAX_LEASES_OF_ONE) {
      const [limit, whose] = own >= MAX_LEASES_OF_ONE
        ? [MAX_LEASES_OF_ONE, " by one client"]
        : [MAX_LEASES, ""];
      throw new PosternError(
        "too_many",
        `lease.acquire: ${limit} leases are held at most${whose}; release one first`,
        { limit },
      );
    }
    this.#counts.set(originator, own + 1);
    this.#count++;
  }

  #giveBack(originator: string): void {
    const left = this.#counts.get(originator)! - 1;
    if (left === 0) this.#counts.delete(originator);
    else this.#counts.set(originator, left);
    this.#count--;
  }

  #keep(lease: Lease): void {
    this.#byName.set(lease.name, lease);
    this.#byHash.set(lease.hash, lease);
  }

  #forget(lease: Lease): void {
    this.#byName.delete(lease.name);
    this.#byHash.delete(lease.hash);
    this.#giveBack(lease.originator);
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
        this.#counts.set(lease.originator, (this.#counts.get(lease.originator) ?? 0) + 1);
        this.#count++;
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
  { name, originator, fence, acquiredMs, expiresMs }: LeaseInfo,
  leaseId: string,
): HeldLease {
  return { name, originator, fence, acquiredMs, expiresMs, leaseId };
}

/** How a lease is stored. Persisted: a new field needs a default for the documents that lack it. */
function leaseWrite(
  { name, originator, fence, acquiredMs, expiresMs, ttlMs, hash }: Lease,
): DocumentWrite {
  const fields = {
    originator,
    fence,
    acquired_ms: acquiredMs,
    expires_ms: expiresMs,
    ttl_ms: ttlMs,
    hash,
  };
  return { key: ["lease", name], content: { fields } };
}

function leaseOf(name: string, fields: Document["fields"]): Lease {
  return {
    name,
    originator: fields.originator as string,
    fence: fields.fence as number,
    acquiredMs: fields.acquired_ms as number,
    expiresMs: fields.expires_ms as number,
    ttlMs: fields.ttl_ms as number,
    hash: fields.hash as string,
    ...FRESH,
  };
}

function renewalKey(name: string): DocumentKey {
  return ["lease", name, RENEWAL_SLOT];
}

function renewalWrite({ name, fence, ttlMs, expiresMs }: Lease): DocumentWrite {
  const fields = { fence, ttl_ms: ttlMs, expires_ms: expiresMs };
  return { key: renewalKey(name), content: { fields } };
}

function fenceWrite(fence: number): DocumentWrite {
  return { key: ["lease", FENCE_NAME], content: { fields: { fence } } };
}
