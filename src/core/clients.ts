/**
 * Clients: who is the same as before, over reconnects and restarts of either side.
 *
 * A client_id is a secret of 256 bits that the daemon mints and the client keeps; what is published of it is its
 * originator, a hash. Invariants: nobody becomes an originator but by its client_id; an id is kept from its first use
 * on, which is to be shown again or to do something that others see, and one that is not used is forgotten.
 *
 * Bounds: `MAX_CLIENTS` kept ones, and `MAX_MINTED` that were not used yet, for `MINTED_LIFE_MS` at most. Of one token
 * but the owner's `MAX_CLIENTS_EACH` and `MAX_MINTED_EACH`: one more takes the place of that token's own. Where there
 * is no room for anyone the token that has most makes it. Those unseen for longest go first.
 */

import type { Clock, Document, Documents, Secrets } from "./ports.ts";
import { Shares } from "./shares.ts";

/** Clients that are kept. */
export const MAX_CLIENTS = 10_000;
/** Of them those that came with one token, if that is not the owner's. */
export const MAX_CLIENTS_EACH = 1000;
/** Ids that were minted and not used yet; an oldest one is forgotten for one more. */
export const MAX_MINTED = 1000;
/** Of them those of one token, if that is not the owner's. */
export const MAX_MINTED_EACH = 100;
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
  /** With which it came last; `""` for one of a store that did not say. */
  tokenId: string;
  lastSeenMs: number;
}

interface Minted {
  readonly kind: string;
  readonly tokenId: string;
  readonly mintedMs: number;
}

/** The clients of one daemon. */
export class Clients {
  readonly #documents: Documents;
  readonly #clock: Clock;
  readonly #secrets: Secrets;
  readonly #kept = new Map<string, Kept>();
  readonly #keptShares = new Shares({ all: MAX_CLIENTS, each: MAX_CLIENTS_EACH });
  /** By originator, the oldest first. */
  readonly #minted = new Map<string, Minted>();
  readonly #mintedShares = new Shares({ all: MAX_MINTED, each: MAX_MINTED_EACH });

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
      const tokenId = fields.token_id as string | undefined ?? "";
      const lastSeenMs = fields.last_seen_ms as number;
      this.#kept.set(originator, { kind, originator, tokenId, lastSeenMs });
      this.#keptShares.take(tokenId);
    }
  }

  /**
   * Who presents itself: the client of that id if it is known under that kind, else a new one.
   *
   * @param kind What sort of client it says it is.
   * @param clientId What it kept from the last time; `null` if nothing.
   * @param tokenId Of the token that it came with.
   * @returns With a `clientId` when it was minted now.
   */
  identify(kind: string, clientId: string | null, tokenId: string): ClientIdentity | MintedClient {
    const known = clientId === null ? null : this.#resume(kind, clientId, tokenId);
    return known ?? this.#mint(kind, tokenId);
  }

  /**
   * Notes that something was done in a client's name that others see: from now on it is kept.
   *
   * @param tokenId With which it was done.
   */
  used({ kind, originator }: ClientIdentity, tokenId: string): void {
    const kept = this.#kept.get(originator);
    if (kept === undefined) this.#keep(kind, originator, tokenId);
    else this.#seen(kept);
  }

  /**
   * Keeps a client for which something waits, even one that was minted and has not come back yet; like any other it
   * has to go once its token has too many that were seen later.
   *
   * @returns Whether there is such a client.
   */
  keep(originator: string): boolean {
    const minted = this.#minted.get(originator);
    if (minted !== undefined) this.#keep(minted.kind, originator, minted.tokenId);
    return this.#kept.has(originator);
  }

  #resume(kind: string, clientId: string, tokenId: string): ClientIdentity | null {
    const originator = this.#originatorOf(clientId);
    this.#forgetExpired();
    const kept = this.#kept.get(originator);
    const known = kept ?? this.#minted.get(originator);
    if (known?.kind !== kind) return null;
    if (kept !== undefined && kept.tokenId !== tokenId) this.#move(kept, tokenId);
    else this.used({ kind, originator }, tokenId);
    return { kind, originator };
  }

  #keep(kind: string, originator: string, tokenId: string): void {
    this.#unmint(originator);
    this.#makeRoom(tokenId);
    const first = { kind, originator, tokenId, lastSeenMs: -Infinity };
    this.#kept.set(originator, first);
    this.#keptShares.take(tokenId);
    this.#seen(first);
  }

  /** It comes with another token now, and is one of that token's. */
  #move(kept: Kept, tokenId: string): void {
    this.#keptShares.giveBack(kept.tokenId);
    this.#kept.delete(kept.originator);
    this.#keep(kept.kind, kept.originator, tokenId);
  }

  #mint(kind: string, tokenId: string): MintedClient {
    const clientId = this.#secrets.random();
    const originator = this.#originatorOf(clientId);
    this.#forgetExpired();
    const whose = this.#mintedShares.whoMakesRoom(tokenId);
    for (const [oldest, minted] of whose === null ? [] : this.#minted) {
      if (minted.tokenId !== whose) continue;
      this.#unmint(oldest);
      break;
    }
    this.#minted.set(originator, { kind, tokenId, mintedMs: this.#clock.now() });
    this.#mintedShares.take(tokenId);
    return { kind, originator, clientId };
  }

  #forgetExpired(): void {
    const now = this.#clock.now();
    for (const [originator, { mintedMs }] of this.#minted) {
      if (now - mintedMs < MINTED_LIFE_MS) return;
      this.#unmint(originator);
    }
  }

  #unmint(originator: string): void {
    const minted = this.#minted.get(originator);
    if (minted === undefined) return;
    this.#minted.delete(originator);
    this.#mintedShares.giveBack(minted.tokenId);
  }

  #seen(kept: Kept): void {
    const now = this.#clock.now();
    if (now - kept.lastSeenMs < LAST_SEEN_STEP_MS) return;
    kept.lastSeenMs = now;
    const { kind, originator, tokenId, lastSeenMs } = kept;
    const fields = { kind, token_id: tokenId, last_seen_ms: lastSeenMs };
    this.#documents.put({ key: ["client", originator], content: { fields } });
  }

  #makeRoom(tokenId: string): void {
    const whose = this.#keptShares.whoMakesRoom(tokenId);
    if (whose === null) return;
    let oldest: Kept | null = null;
    for (const kept of this.#kept.values()) {
      if (kept.tokenId !== whose) continue;
      if (oldest === null || kept.lastSeenMs < oldest.lastSeenMs) oldest = kept;
    }
    this.#kept.delete(oldest!.originator);
    this.#keptShares.giveBack(whose);
    this.#documents.put({ key: ["client", oldest!.originator], content: null });
  }

  #originatorOf(clientId: string): string {
    return `o-${this.#secrets.hash(`originator ${clientId}`).slice(0, ORIGINATOR_CHARS)}`;
  }
}
