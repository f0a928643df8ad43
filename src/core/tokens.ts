/**
 * The tokens that are valid now: the owner's, and named ones with scopes of their own.
 *
 * Invariants: a named token is kept as its hash only, and shown once, when it is made; secrets are compared in
 * constant time and never leave this file; what a connection has shown holds as long as the token does; a token
 * that has expired is valid no more, whatever else is done about it; one that is revoked is gone at once, and its
 * removal is tried again until it is stored.
 *
 * Bounds: `MAX_TOKENS` named tokens, of which those that have expired make room, and the removals of
 * as many; `MAX_FORMERS` former owner tokens.
 */

import { PosternError, shown } from "./errors.ts";
import type { Clock, Document, Documents, Secrets } from "./ports.ts";
import { OWNER_ID, type Principal, type RemoteToken, type Scope, TRUSTED } from "./principal.ts";
import type { Ticket } from "./ticket.ts";
import { isOver, keptOf, type KeptToken, type NamedToken, tokenWrite } from "./token.ts";
import { TokenRemovals } from "./token_removals.ts";

/** How many named tokens one daemon keeps. One more is refused with `too_many`. */
export const MAX_TOKENS = 1000;
/** Owner tokens that were replaced and are still taken; the oldest ends early for one more. */
const MAX_FORMERS = 16;
/** How exactly it is kept when a token was used last: each use would be a write. */
const LAST_USED_STEP_MS = 60_000;

/** A token with its secret, as it is told once. */
export interface CreatedToken {
  readonly token: NamedToken;
  readonly secret: string;
}

/** An owner token that was replaced and is still taken for a while. */
interface Former {
  readonly token: string;
  readonly principal: Principal;
  readonly untilMs: number;
}

export interface TokensOptions {
  readonly documents: Documents;
  readonly clock: Clock;
  readonly secrets: Secrets;
  /** The documents of the store among which the tokens are. */
  readonly stored: readonly Document[];
  /** One more token that is valid, for remote access. */
  readonly remote?: RemoteToken | undefined;
}

/** A named token as its owner writes it: `pst_<id>_<secret>`. */
const NAMED = /^pst_([0-9a-f]{16})_([0-9a-f]{64})$/;

/** All tokens of one daemon. */
export class Tokens {
  /** Called when `nextEndMs` may have changed. */
  onChanged: () => void = () => {};
  readonly #options: TokensOptions;
  readonly #named = new Map<string, KeptToken>();
  readonly #removals: TokenRemovals;
  #owner: string;
  /** Whoever has shown the owner token as it is now. */
  #ownerPrincipal: Principal = { ...TRUSTED };
  /** Oldest first. */
  #formers: readonly Former[] = [];
  readonly #remote: { readonly token: string; readonly principal: Principal } | null;

  /** @param owner The content of the token file. */
  constructor(owner: string, options: TokensOptions) {
    this.#owner = owner;
    this.#options = options;
    const { documents, clock } = options;
    this.#removals = new TokenRemovals({ documents, clock, maxRemovals: MAX_TOKENS });
    this.#remote = options.remote === undefined ? null : {
      token: options.remote.token,
      principal: { tokenId: "remote", scopes: new Set(options.remote.scopes), isRemote: true },
    };
    for (const document of options.stored) {
      if (document.key[0] === "token") this.#keep(keptOf(document));
    }
  }

  /**
   * Takes a new owner token at once.
   *
   * @param graceMs How long the one before is still taken; with 0 none that was replaced is taken any longer.
   */
  replaceOwner(token: string, graceMs = 0): void {
    if (token === this.#owner) return;
    const now = this.#options.clock.now();
    const former = {
      token: this.#owner,
      principal: this.#ownerPrincipal,
      untilMs: now + graceMs,
    };
    const others = this.#formers.filter(({ untilMs }) => now < untilMs);
    this.#formers = graceMs > 0 ? [...others, former].slice(-MAX_FORMERS) : [];
    this.#owner = token;
    this.#ownerPrincipal = { ...TRUSTED };
    this.onChanged();
  }

  /** When the first of what is valid now ends, in epoch milliseconds; `null` when nothing ends by itself. */
  get nextEndMs(): number | null {
    const now = this.#options.clock.now();
    let next = Infinity;
    for (const { untilMs } of this.#formers) if (untilMs > now) next = Math.min(next, untilMs);
    for (const { expiresMs } of this.#named.values()) {
      if (expiresMs !== null && expiresMs > now) next = Math.min(next, expiresMs);
    }
    return next === Infinity ? null : next;
  }

  /** Whether what the principal once showed still holds. */
  isValid(principal: Principal): boolean {
    if (principal === TRUSTED || principal === this.#ownerPrincipal) return true;
    if (principal === this.#remote?.principal) return true;
    const now = this.#options.clock.now();
    const kept = this.#named.get(principal.tokenId);
    if (kept?.principal === principal) return !isOver(kept, now);
    const former = this.#formers.find((one) => one.principal === principal);
    return former !== undefined && now < former.untilMs;
  }

  /** Whether there is a token of that id which still holds. */
  isKnown(tokenId: string): boolean {
    if (tokenId === OWNER_ID || tokenId === this.#remote?.principal.tokenId) return true;
    const kept = this.#named.get(tokenId);
    return kept !== undefined && !isOver(kept, this.#options.clock.now());
  }

  /** Whom the token stands for, or `null`. */
  authenticate(token: string): Principal | null {
    // It is hex, and files that people edit end in a newline.
    const given = token.trim().toLowerCase();
    const now = this.#options.clock.now();
    const named = NAMED.exec(given);
    if (named !== null) return this.#authenticateNamed(given, named[1]!, now);
    // Compared in any case, so that the time does not tell which of them it was like.
    const isRemote = this.#remote !== null && equalInConstantTime(token.trim(), this.#remote.token);
    if (equalInConstantTime(given, this.#owner)) return this.#ownerPrincipal;
    if (isRemote) return this.#remote!.principal;
    for (const { token: former, principal, untilMs } of this.#formers) {
      if (equalInConstantTime(given, former) && now < untilMs) return principal;
    }
    return null;
  }

  /**
   * Every named token, oldest first; those that have expired too, until there is no room for them, and those that are
   * revoked, until the store knows.
   */
  list(): NamedToken[] {
    return [...this.#named.values(), ...this.#removals.failed()]
      .sort((a, b) => a.createdMs - b.createdMs);
  }

  /**
   * Makes a named token.
   *
   * @param lifeMs How long it is valid; `null` for ever.
   * @returns What is known of it, once it is on disk, and its secret, which nobody can read again.
   * @throws PosternError `conflict` for a name that is taken, `too_many`, `storage_full`.
   */
  create(
    name: string,
    scopes: readonly Scope[],
    lifeMs: number | null,
  ): Ticket<CreatedToken> {
    const { clock, secrets, documents } = this.#options;
    const now = clock.now();
    this.#makeRoom(name, now);
    const id = secrets.random().slice(0, 16);
    const secret = `pst_${id}_${secrets.random()}`;
    const kept: KeptToken = {
      id,
      name,
      scopes,
      createdMs: now,
      expiresMs: lifeMs === null ? null : now + lifeMs,
      lastUsedMs: null,
      hash: secrets.hash(secret),
      principal: { tokenId: id, scopes: new Set(scopes) },
    };
    this.#keep(kept);
    this.onChanged();
    const stored = documents.put(tokenWrite(kept));
    stored.whenSettled((outcome) => {
      if (!outcome.ok) this.#named.delete(id);
    });
    return stored.map((): CreatedToken => ({ token: kept, secret }));
  }

  /**
   * Revokes a token by its id or name, at once. Where that cannot be stored it is tried again, and may be asked for
   * again, also when a later try has stored it; until it is stored the token would be back after a start.
   *
   * @throws PosternError `not_found`
   */
  revoke(reference: string): Ticket<void> {
    const kept = this.#find(reference);
    const revoked = kept === undefined ? this.#removals.again(reference) : this.#remove(kept);
    if (revoked !== null) return revoked;
    throw new PosternError("not_found", `token.revoke: there is no token ${shown(reference)}`);
  }

  /** Tries again to store what was revoked and is not stored yet. To be called once a second. */
  storeRemovals(): void {
    this.#removals.retry();
  }

  /** @throws PosternError `conflict` for a name that is taken, `too_many`, `storage_full`. */
  #makeRoom(name: string, now: number): void {
    this.#removals.requireRoom();
    const namesake = this.#find(name);
    if (namesake !== undefined && !isOver(namesake, now)) {
      throw new PosternError("conflict", `token.create: there is a token ${shown(name)} already`);
    }
    const full = this.#named.size >= MAX_TOKENS;
    const over = namesake ??
      (full ? [...this.#named.values()].find((one) => isOver(one, now)) : undefined);
    if (over !== undefined) this.#remove(over);
    else if (full) {
      throw new PosternError(
        "too_many",
        `token.create: ${MAX_TOKENS} tokens are kept at most; revoke one first`,
        { limit: MAX_TOKENS },
      );
    }
  }

  #find(reference: string): KeptToken | undefined {
    return this.#named.get(reference) ??
      [...this.#named.values()].find(({ name }) => name === reference);
  }

  /** From now on it is valid no more; the store is yet to be told. */
  #remove(token: KeptToken): Ticket<void> {
    this.#named.delete(token.id);
    return this.#removals.add(token);
  }

  #authenticateNamed(given: string, id: string, now: number): Principal | null {
    const kept = this.#named.get(id);
    // The same work for an id that does not exist.
    const hash = this.#options.secrets.hash(given);
    const matches = equalInConstantTime(hash, kept?.hash ?? hash.replace(/./g, "x"));
    if (!matches || kept === undefined || isOver(kept, now)) return null;
    if (kept.lastUsedMs === null || now - kept.lastUsedMs >= LAST_USED_STEP_MS) {
      kept.lastUsedMs = now;
      this.#options.documents.put(tokenWrite(kept));
    }
    return kept.principal;
  }

  #keep(kept: KeptToken): void {
    this.#named.set(kept.id, kept);
  }
}

function equalInConstantTime(given: string, secret: string): boolean {
  let difference = given.length ^ secret.length;
  for (let i = 0; i < secret.length; i++) {
    difference |= (given.charCodeAt(i) || 0) ^ secret.charCodeAt(i);
  }
  return difference === 0;
}
