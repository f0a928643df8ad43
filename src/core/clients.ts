/**
 * Clients: who is the same as before, over reconnects and restarts of either side.
 *
 * A client_id is a secret of 256 bits that the daemon mints and the client keeps; what is published of it is its
 * originator, a hash. Invariants: nobody becomes an originator but by its client_id; an id is kept from its first use
 * on, which is to be shown again or to do something that others see, and one that is not used is forgotten.
 *
 * Bounds: `MAX_CLIENTS` kept ones, those unseen for longest go first; `MAX_MINTED` that were not used yet, for
 * `MINTED_LIFE_MS` at most.
 */

import type { Clock, Document, Documents, Secrets } from "./ports.ts";

/** Clients that are kept. */
export const MAX_CLIENTS = 10_000;
/** Ids that were minted and not used yet; the oldest is forgotten for one more. */
export const MAX_MINTED = 1000;
/** How long an id may stay unused. */
export const MINTED_LIFE_MS = 86_400_000;
/** How exactly it is kept when a client was seen last: each time would be a write. */
const LAST_SEEN_STEP_MS = 3_600_000;
/** Characters of an originator behind its prefix. */
const ORIGINATOR_CHARS = 32;

/** Who a connection is. */
export interface ClientIdentity {
  readonly kind: string;
  /** Public. */
  readonly originator: string;
}

/** What a client says that it is, before it has shown a token. */
export interface ClientClaim {
  readonly kind: string;
  /** What it kept from the last time; `null` if nothing. */
  readonly clientId: string | null;
}

/** An identity with the secret that proves it, for its client only. */
export interface MintedClient extends ClientIdentity {
  readonly clientId: string;
}

interface Kept extends ClientIdentity {
  lastSeenMs: number;
}

interface Minted {
  readonly kind: string;
  readonly mintedMs: number;
}

/** The clients of one daemon. */
export class Clients {
  readonly #documents: Documents;
  readonly #clock: Clock;
  readonly #secrets: Secrets;
  readonly #kept = new Map<string, Kept>();
  /** By originator, the oldest first. */
  readonly #minted = new Map<string, Minted>();

  constructor(
    documents: Documents,
    options: {
      readonly clock: Clock;
      readonly secrets: Secrets;
      readonly documents: readonly Document[];
    },
  ) {
    this.#documents = documents;
    this.#clock = options.clock;
    this.#secrets = options.secrets;
    const stored = options.documents.filter(({ key }) => key[0] === "client");
    for (const { key: [, originator], fields } of stored) {
      const kind = fields.kind as string;
      this.#kept.set(originator, { kind, originator, lastSeenMs: fields.last_seen_ms as number });
    }
  }

  /**
   * Who presents itself: the client of that id if it is known under that kind, else a new one.
   *
   * @param kind What sort of client it says it is.
   * @param clientId What it kept from the last time; `null` if nothing.
   * @returns With a `clientId` when it was minted now.
   */
  identify(kind: string, clientId: string | null): ClientIdentity | MintedClient {
    const known = clientId === null ? null : this.#resume(kind, clientId);
    return known ?? this.#mint(kind);
  }

  /** Notes that something was done in a client's name that others see: from now on it is kept. */
  used({ kind, originator }: ClientIdentity): void {
    const kept = this.#kept.get(originator);
    if (kept === undefined) this.#keep(kind, originator);
    else this.#seen(kept);
  }

  /**
   * Keeps a client for which something waits, even one that was minted and has not come back yet.
   *
   * @returns Whether there is such a client.
   */
  keep(originator: string): boolean {
    const minted = this.#minted.get(originator);
    if (minted !== undefined) this.#keep(minted.kind, originator);
    return this.#kept.has(originator);
  }

  #resume(kind: string, clientId: string): ClientIdentity | null {
    const originator = this.#originatorOf(clientId);
    this.#forgetUnused(MAX_MINTED);
    const known = this.#kept.get(originator) ?? this.#minted.get(originator);
    if (known?.kind !== kind) return null;
    this.used({ kind, originator });
    return { kind, originator };
  }

  #keep(kind: string, originator: string): void {
    this.#minted.delete(originator);
    const first = { kind, originator, lastSeenMs: -Infinity };
    this.#forgetExcess();
    this.#kept.set(originator, first);
    this.#seen(first);
  }

  #mint(kind: string): MintedClient {
    const clientId = this.#secrets.random();
    const originator = this.#originatorOf(clientId);
    this.#forgetUnused(MAX_MINTED - 1);
    this.#minted.set(originator, { kind, mintedMs: this.#clock.now() });
    return { kind, originator, clientId };
  }

  #forgetUnused(limit: number): void {
    const now = this.#clock.now();
    for (const [originator, { mintedMs }] of this.#minted) {
      if (this.#minted.size <= limit && now - mintedMs < MINTED_LIFE_MS) return;
      this.#minted.delete(originator);
    }
  }

  #seen(kept: Kept): void {
    const now = this.#clock.now();
    if (now - kept.lastSeenMs < LAST_SEEN_STEP_MS) return;
    kept.lastSeenMs = now;
    const { kind, originator, lastSeenMs } = kept;
    const fields = { kind, last_seen_ms: lastSeenMs };
    this.#documents.put({ key: ["client", originator], content: { fields } });
  }

  #forgetExcess(): void {
    if (this.#kept.size < MAX_CLIENTS) return;
    let oldest: Kept | null = null;
    for (const kept of this.#kept.values()) {
      if (oldest === null || kept.lastSeenMs < oldest.lastSeenMs) oldest = kept;
    }
    this.#kept.delete(oldest!.originator);
    this.#documents.put({ key: ["client", oldest!.originator], content: null });
  }

  #originatorOf(clientId: string): string {
    return `o-${this.#secrets.hash(`originator ${clientId}`).slice(0, ORIGINATOR_CHARS)}`;
  }
}
