/**
 * Named tokens that were revoked, until the store knows.
 *
 * Invariants: one try at a time stores a removal, and it is tried again until that succeeds; whoever was told that it
 * had failed may ask again, and learns when a later try has stored it.
 *
 * Bounds: `maxRemovals` that are not stored yet, and as many that a later try has stored, for `TOLD_MS`.
 */

import { PosternError, shown } from "./errors.ts";
import type { Clock, Documents } from "./ports.ts";
import { Ticket } from "./ticket.ts";
import type { KeptToken, NamedToken } from "./token.ts";

/** So long may somebody who was told that a removal is not stored yet ask again. */
const TOLD_MS = 600_000;

/** A token that is gone, of which the store does not know that yet. */
interface Removal {
  readonly token: KeptToken;
  /** The try that is on its way. */
  trying: Ticket<void> | null;
  /** Whether a try has failed. */
  hasFailed: boolean;
}

/** A removal that was stored after whoever asked for it had been told that it was not. */
interface LateRemoval {
  readonly name: string;
  readonly untilMs: number;
}

/** The removals of one daemon's tokens. */
export class TokenRemovals {
  readonly #documents: Documents;
  readonly #clock: Clock;
  readonly #max: number;
  readonly #waiting = new Map<string, Removal>();
  /** By id, oldest first. */
  readonly #late = new Map<string, LateRemoval>();

  constructor(options: { documents: Documents; clock: Clock; maxRemovals: number }) {
    this.#documents = options.documents;
    this.#clock = options.clock;
    this.#max = options.maxRemovals;
  }

  /** @throws PosternError `storage_full` when no other token can be revoked until some removals are stored. */
  requireRoom(): void {
    if (this.#waiting.size < this.#max) return;
    throw new PosternError(
      "storage_full",
      `token.create: ${this.#max} revoked tokens wait until that can be stored`,
      { limit: this.#max },
    );
  }

  /** Those whose removal could not be stored so far. */
  failed(): NamedToken[] {
    return [...this.#waiting.values()].filter(({ hasFailed }) => hasFailed)
      .map(({ token }): NamedToken => ({ ...token, isRevoked: true }));
  }

  /** Removes a token from the store. Whatever comes of it, it is tried again until it is stored. */
  add(token: KeptToken): Ticket<void> {
    const removal: Removal = { token, trying: null, hasFailed: false };
    this.#waiting.set(token.id, removal);
    return this.#told(removal);
  }

  /**
   * What comes of a removal that was asked for before.
   *
   * @param reference The id or the name of the token.
   * @returns `null` when no removal of it is known.
   */
  again(reference: string): Ticket<void> | null {
    const removal = this.#waiting.get(reference) ??
      [...this.#waiting.values()].find(({ token }) => token.name === reference);
    if (removal !== undefined) return this.#told(removal);
    return this.#isLate(reference) ? Ticket.of<void>(undefined) : null;
  }

  /** Tries again to store what is not stored yet. */
  retry(): void {
    for (const removal of this.#waiting.values()) this.#try(removal);
  }

  /** The next outcome, for somebody who waits for it. */
  #told(removal: Removal): Ticket<void> {
    const told = new Ticket<void>();
    this.#try(removal).whenSettled((outcome) => {
      if (outcome.ok) {
        this.#late.delete(removal.token.id);
        told.succeed();
      } else told.fail(notStored(removal.token, outcome.error));
    });
    return told;
  }

  /** One try at a time. */
  #try(removal: Removal): Ticket<void> {
    if (removal.trying !== null) return removal.trying;
    const { id } = removal.token;
    const stored = this.#documents.put({ key: ["token", id], content: null });
    removal.trying = stored;
    stored.whenSettled(({ ok }) => {
      removal.trying = null;
      if (!ok) removal.hasFailed = true;
      else {
        this.#waiting.delete(id);
        if (removal.hasFailed) this.#keepLate(removal.token);
      }
    });
    return stored;
  }

  #isLate(reference: string): boolean {
    const now = this.#clock.now();
    for (const [id, { name, untilMs }] of this.#late) {
      if (now < untilMs && (id === reference || name === reference)) return true;
    }
    return false;
  }

  #keepLate({ id, name }: NamedToken): void {
    const now = this.#clock.now();
    for (const [id, { untilMs }] of this.#late) {
      if (now >= untilMs || this.#late.size >= this.#max) this.#late.delete(id);
    }
    this.#late.set(id, { name, untilMs: now + TOLD_MS });
  }
}

function notStored({ name }: NamedToken, error: unknown): unknown {
  if (!(error instanceof PosternError)) return error;
  return new PosternError(
    error.code,
    `token.revoke: ${shown(name)} is revoked until the next start, not stored yet: ` +
      `${error.message}; it is tried again each second`,
    error.details,
  );
}
