/**
 * Runners: the connections that carry out turns, and what each is attached to.
 *
 * Invariants: a session, and a runner's name, has one attached runner at most; nobody attaches to a session while the
 * runner that it names is attached; whoever has gone is attached to nothing and never comes back: a connection that is
 * made anew is another runner. Nothing of this is stored.
 *
 * Bounds: `MAX_ATTACHMENTS` of one runner, `MAX_ALL_ATTACHMENTS` together; of the runners of one token but the owner's
 * `MAX_ATTACHMENTS_OF_TOKEN`, so that nobody can take the place of all others.
 */

import { PosternError, shown } from "./errors.ts";
import { Shares } from "./shares.ts";

/** What one connection may be attached to. One more is refused with `too_many`. */
export const MAX_ATTACHMENTS = 100;
/** What all are attached to together. One more is refused with `too_many`. */
export const MAX_ALL_ATTACHMENTS = 10_000;
/** Of these, what runners of one token are attached to, if that is not the owner's. */
export const MAX_ATTACHMENTS_OF_TOKEN = 2500;

/** One connection, as far as it runs turns. */
export class Runner {
  /** Public name of the client whose connection it is, when it attached first; `null` for one without. */
  originator: string | null = null;
  /** Of the token that its connection had shown when it attached first: whose share its attachments are. */
  tokenId = "";
  #isGone = false;
  #attachments = 0;

  /** Whether its connection has ended. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** How many sessions and names it is attached to. */
  get attachments(): number {
    return this.#attachments;
  }

  /** For {@linkcode Runners} only. */
  attached(): void {
    this.#attachments++;
  }

  /** For {@linkcode Runners} only. */
  gone(): void {
    this.#isGone = true;
    this.#attachments = 0;
  }
}

/** What a runner attaches to: one session, or all sessions that name a runner. */
export type Place = { readonly sessionId: string } | { readonly name: string };

/** The runner that serves a session. */
export interface Serving {
  readonly runner: Runner;
  /** The name under which it does; `null` where it is attached to the session itself. */
  readonly name: string | null;
}

/** Who is attached to what. */
export class Runners {
  readonly #bySession = new Map<string, Runner>();
  readonly #byName = new Map<string, Runner>();
  readonly #shares = new Shares({ all: MAX_ALL_ATTACHMENTS, each: MAX_ATTACHMENTS_OF_TOKEN });

  /**
   * Attaches a runner. Once more to the same place changes nothing.
   *
   * @param named The runner that the session of the place names, if it names one.
   * @throws PosternError `conflict` where another one is attached, be it as the runner that the session names;
   * `too_many`.
   */
  attach(runner: Runner, place: Place, named: string | null): void {
    const [places, key, what] = "name" in place
      ? [this.#byName, place.name, "runner"] as const
      : [this.#bySession, place.sessionId, "session"] as const;
    const present = places.get(key);
    if (present === runner) return;
    if (present !== undefined) {
      throw new PosternError(
        "conflict",
        `session.attach: another runner is attached as ${what} ${shown(key)}`,
      );
    }
    const serving = named === null ? undefined : this.#byName.get(named);
    if (serving !== undefined && serving !== runner) {
      throw new PosternError(
        "conflict",
        `session.attach: session ${shown(key)} is served by its own runner ${shown(named!)}`,
      );
    }
    this.#requireRoom(runner);
    places.set(key, runner);
    runner.attached();
    this.#shares.take(runner.tokenId);
  }

  /** Who serves the session: whoever is attached to it, else the runner that it names. */
  serving(sessionId: string, name: string | null): Serving | null {
    const own = this.#bySession.get(sessionId);
    if (own !== undefined) return { runner: own, name: null };
    const named = name === null ? undefined : this.#byName.get(name);
    return named === undefined ? null : { runner: named, name };
  }

  /** The runner has gone. */
  leave(runner: Runner): void {
    for (const places of [this.#bySession, this.#byName]) {
      for (const [key, attached] of places) if (attached === runner) places.delete(key);
    }
    this.#shares.giveBack(runner.tokenId, runner.attachments);
    runner.gone();
  }

  #requireRoom(runner: Runner): void {
    if (runner.attachments >= MAX_ATTACHMENTS) throw full(MAX_ATTACHMENTS, "by this connection");
    const exceeded = this.#shares.exceededBy(runner.tokenId);
    if (exceeded === null) return;
    throw full(exceeded.limit, exceeded.isOfToken ? "by one token" : "in all");
  }
}

function full(limit: number, whose: string): PosternError {
  return new PosternError(
    "too_many",
    `session.attach: ${limit} sessions and names are attached ${whose}, which is as many as can be`,
    { limit },
  );
}
