/**
 * All sessions of one daemon, and the way to every open turn.
 *
 * Invariants: what is listed is on disk; what is asked of a turn goes to the session that it belongs to, and once its
 * end is on disk it is `conflict` for as long as that is remembered, then `not_found`. A restart keeps sessions and
 * queued turns, and ends the turns that ran as failed.
 *
 * Bounds: `MAX_SESSIONS`, of which session_room.ts says who has how many; `MAX_TEXT_BYTES` of one message;
 * `MAX_WAITING_CHARS` of all events on their way to the disk.
 */

import { PosternError, shown } from "./errors.ts";
import { Elapsed } from "./elapsed.ts";
import { OpenTurns } from "./open_turns.ts";
import type { Clock, Document, Documents, Journal, News } from "./ports.ts";
import { type Place, Runner, Runners } from "./runners.ts";
import {
  type AcceptedTurn,
  type Message,
  type Reply,
  type Session,
  type SessionDefinition,
  type SessionState,
  sessionWrite,
  storedSessions,
  type Turn,
} from "./session.ts";
import { toForget } from "./session_room.ts";
import type { Placed } from "./state_chain.ts";
import { JsonText, utf8Length } from "./text.ts";
import { Ticket } from "./ticket.ts";
import { SessionTurns, type TurnTelling } from "./turns.ts";

/** Of one message, with its data. More is refused with `too_large`. */
export const MAX_TEXT_BYTES = 48 * 1024;
/** Of events that wait for the disk. More is refused with `too_many`. */
export const MAX_WAITING_CHARS = 16 * 1024 * 1024;
/** How exactly it is kept when a session was used last: each use would be a write. */
const LAST_USED_STEP_MS = 3_600_000;

/** What a message makes of a session that there is none of. */
const UNDEFINED_SESSION: SessionDefinition = {
  runner: null,
  title: null,
  permissionTimeoutSecs: null,
};

/** A session as others see it. */
export interface SessionView {
  readonly session: Session;
  readonly lastMs: number;
  readonly turns: readonly Turn[];
  /** Whether a runner is attached that its turns are given to. */
  readonly isServed: boolean;
}

export interface SessionsOptions {
  readonly news: News;
  readonly journal: Journal;
  readonly clock: Clock;
  /** The documents of the store among which sessions and turns are. */
  readonly documents: readonly Document[];
  /** How long a turn waits for a runner while none is attached. */
  readonly queueMs: number;
  newId(): string;
}

/** The sessions of one daemon. */
export class Sessions {
  readonly #documents: Documents;
  readonly #options: SessionsOptions;
  readonly #runners = new Runners();
  readonly #sessions = new Map<string, SessionTurns>();
  /** Those that are on their way to the disk for the first time. */
  readonly #creating = new Map<string, Ticket<void>>();
  readonly #turns = new OpenTurns();
  readonly #elapsed: Elapsed;

  /** @param documents Where sessions are put. */
  constructor(documents: Documents, options: SessionsOptions) {
    this.#documents = documents;
    this.#options = options;
    this.#elapsed = new Elapsed(options.clock);
    this.#restore(options.documents);
    this.expire();
  }

  /** Every session, that used last in front. */
  list(): SessionView[] {
    return [...this.#sessions.values()]
      .filter(({ stored }) => stored.session !== null)
      .sort((a, b) => b.lastMs - a.lastMs)
      .map((turns) => this.#view(turns));
  }

  /** @throws PosternError `not_found` */
  get(operation: string, sessionId: string): SessionView {
    const turns = this.#sessions.get(sessionId);
    if (turns !== undefined && turns.stored.session !== null) return this.#view(turns);
    throw noSession(operation, sessionId);
  }

  /**
   * Makes a session. The same once more changes nothing.
   *
   * @param tokenId Of the token that it is made with.
   * @throws PosternError `conflict` for one that says otherwise, `too_many`.
   */
  create(sessionId: string, definition: SessionDefinition, tokenId: string): Ticket<SessionView> {
    const known = this.#sessions.get(sessionId)?.decided.session;
    if (known !== undefined && !(known !== null && isDefinedAs(known, definition))) {
      throw new PosternError(
        "conflict",
        `session.create: there is a session ${shown(sessionId)} that is defined otherwise`,
      );
    }
    const created = known === undefined
      ? this.#create("session.create", sessionId, { ...definition, tokenId })
      : this.#creating.get(sessionId) ?? Ticket.of(undefined);
    const turns = this.#sessions.get(sessionId)!;
    return created.map(() => this.#view(turns));
  }

  /**
   * Accepts a message, which asks for a turn; a session that there is none of is made.
   *
   * @returns Settled when it is on disk.
   * @throws PosternError `too_large`, `too_many`.
   */
  send({ sessionId, text, data, originator, tokenId }: Message): Ticket<AcceptedTurn> {
    requireSize("session.send", text, data);
    this.#requireRoom("session.send");
    this.#turns.requireRoom("session.send", { tokenId, text, data });
    const { newId, clock } = this.#options;
    const turnId = newId();
    const messageId = newId();
    const acceptedMs = clock.now();
    const turns = this.#ensure(sessionId, tokenId);
    const queued = turns.add(
      { id: turnId, messageId, text, data, originator, tokenId, acceptedMs },
      {
        session_id: sessionId,
        message_id: messageId,
        text,
        data: data === null ? undefined : new JsonText(data),
        origin: originator ?? undefined,
      },
    );
    this.#turns.enter(turns, { id: turnId, tokenId, text, data });
    queued.whenSettled(({ ok }) => ok ? this.#used(turns) : this.#turns.forget(turnId));
    return queued.map(() => ({ turnId, messageId, acceptedMs }));
  }

  /**
   * Attaches a runner to a session, or to all that name it, those too that come later.
   *
   * @returns How many turns waited for it.
   * @throws PosternError `conflict`, `too_many`.
   */
  attach(runner: Runner, place: Place): number {
    const named = "name" in place ? null : this.#sessions.get(place.sessionId)?.decided.session;
    this.#runners.attach(runner, place, named?.runner ?? null);
    let waiting = 0;
    for (const turns of this.#sessions.values()) {
      if (!this.#serves(runner, turns)) continue;
      waiting += turns.decided.turns.filter((turn) => turn.runner === null).length;
      turns.settle();
    }
    return waiting;
  }

  /**
   * Tells what a runner says of a turn that it runs; `completed` and `failed` end it.
   *
   * @param telling Its data as JSON text, or `null`.
   * @throws PosternError `permission_denied` for anyone else, `not_found`, `conflict`, `too_large`, `too_many`.
   */
  emit(
    runner: Runner,
    { turnId, type, data }: {
      readonly turnId: string;
      readonly type: TurnTelling;
      readonly data: string | null;
    },
  ): Ticket<Placed> {
    if (runner.attachments === 0) {
      throw new PosternError(
        "permission_denied",
        "turn.emit: this connection is attached to no session; session.attach comes first",
      );
    }
    requireSize("turn.emit", "", data);
    // An end makes room.
    if (type !== "completed" && type !== "failed") this.#requireRoom("turn.emit");
    return this.#turns.get("turn.emit", turnId).emit(turnId, { runner, type, data });
  }

  /**
   * A message from the runner's side, beside its turns.
   *
   * @returns Its id.
   * @throws PosternError `not_found`, `permission_denied` for anyone but the attached runner, `too_large`, `too_many`.
   */
  reply(runner: Runner, { sessionId, text, target, originator }: Reply): Ticket<string> {
    requireSize("session.reply", text, null);
    this.#requireRoom("session.reply");
    const turns = this.#sessions.get(sessionId);
    if (turns === undefined) throw noSession("session.reply", sessionId);
    if (!this.#serves(runner, turns)) {
      throw new PosternError(
        "permission_denied",
        `session.reply: this connection is not the runner of session ${shown(sessionId)}`,
      );
    }
    const messageId = this.#options.newId();
    const said = turns.say({
      session_id: sessionId,
      message_id: messageId,
      text,
      origin: originator ?? undefined,
      target,
    });
    return said.map(() => {
      this.#used(turns);
      return messageId;
    });
  }

  /**
   * Ends a turn as cancelled, whether it is queued or runs.
   *
   * @param originator Who wants it, if it has a public name.
   * @throws PosternError `not_found`; `conflict` for one that has ended.
   */
  cancel(turnId: string, originator: string | null): Ticket<void> {
    const reason = originator === null ? "cancelled" : `cancelled by ${originator}`;
    return this.#turns.get("session.cancel", turnId).cancel(turnId, reason);
  }

  /** A runner's connection has ended: the turns that it ran have failed. */
  runnerGone(runner: Runner): void {
    const served = [...this.#sessions.values()]
      .filter((turns) => this.#serves(runner, turns) || runs(runner, turns));
    for (const turns of served) turns.wasServed();
    this.#runners.leave(runner);
    for (const turns of served) turns.settle();
  }

  /** Ends what waited too long, and does again what could not be stored. To be called once a second. */
  expire(): void {
    for (const turns of this.#sessions.values()) turns.settle();
  }

  /** Whether the runner runs a turn that the originator asked for. */
  mayActFor(runner: Runner, originator: string): boolean {
    return [...this.#sessions.values()].some((turns) =>
      runs(runner, turns) && turns.decided.turns[0]!.originator === originator
    );
  }

  /**
   * Who asked for a turn that the runner runs, or another connection of the same client; `null` for somebody without a
   * public name, `undefined` for any other turn.
   *
   * @param originator Public name of whoever wants to know, if it has one.
   */
  turnOriginator(
    runner: Runner | null,
    turnId: string,
    originator: string | null = null,
  ): string | null | undefined {
    for (const turns of this.#sessions.values()) {
      const [turn] = turns.decided.turns;
      if (turn?.id !== turnId || turn.runner === null) continue;
      const isSameClient = originator !== null && turn.runner.originator === originator;
      return turn.runner === runner || isSameClient ? turn.originator : undefined;
    }
    return undefined;
  }

  /** The session of an open turn, or `null`. */
  sessionOfTurn(turnId: string): Session | null {
    return this.#turns.find(turnId)?.decided.session ?? null;
  }

  #view(turns: SessionTurns): SessionView {
    const { stored, lastMs } = turns;
    const session = stored.session!;
    const isServed = this.#runners.serving(session.id, session.runner) !== null;
    return { session, lastMs, turns: stored.turns, isServed };
  }

  #serves(runner: Runner, { sessionId, decided }: SessionTurns): boolean {
    return this.#runners.serving(sessionId, decided.session!.runner)?.runner === runner;
  }

  #ensure(sessionId: string, tokenId: string): SessionTurns {
    const known = this.#sessions.get(sessionId);
    if (known !== undefined) return known;
    this.#create("session.send", sessionId, { ...UNDEFINED_SESSION, tokenId });
    return this.#sessions.get(sessionId)!;
  }

  #create(
    operation: string,
    sessionId: string,
    definition: SessionDefinition & Pick<Session, "tokenId">,
  ): Ticket<void> {
    const nowMs = this.#options.clock.now();
    this.#makeRoom(operation, definition.tokenId, nowMs);
    const turns = this.#make(sessionId, { session: null, turns: [] }, nowMs);
    const created = turns.create({ id: sessionId, createdMs: nowMs, ...definition });
    this.#creating.set(sessionId, created);
    created.whenSettled(({ ok }) => {
      this.#creating.delete(sessionId);
      if (!ok) this.#sessions.delete(sessionId);
    });
    return created;
  }

  #makeRoom(operation: string, tokenId: string, nowMs: number): void {
    const isInUse = (turns: SessionTurns) => !turns.isIdle || this.#view(turns).isServed;
    const kept = [...this.#sessions.values()];
    const forgotten = toForget(kept, { operation, tokenId, nowMs, isInUse });
    if (forgotten === null) return;
    this.#sessions.delete(forgotten.sessionId);
    this.#documents.put({ key: ["session", forgotten.sessionId], content: null });
  }

  #make(sessionId: string, state: SessionState, lastMs: number): SessionTurns {
    const turns = new SessionTurns(sessionId, state, {
      ...this.#options,
      documents: this.#documents,
      lastMs,
      elapsed: this.#elapsed,
      serving: ({ id, runner }) => this.#runners.serving(id, runner),
      ended: ({ id }, end) => this.#turns.ended(id, end),
    });
    this.#sessions.set(sessionId, turns);
    return turns;
  }

  #used(turns: SessionTurns): void {
    const nowMs = this.#options.clock.now();
    const isDue = nowMs - turns.lastMs >= LAST_USED_STEP_MS;
    turns.lastMs = nowMs;
    if (isDue) this.#documents.put(sessionWrite(turns.stored.session!, nowMs));
  }

  /** @throws PosternError `too_many` */
  #requireRoom(operation: string): void {
    let waiting = 0;
    for (const { waitingChars } of this.#sessions.values()) waiting += waitingChars;
    if (waiting <= MAX_WAITING_CHARS) return;
    throw tooMany(operation, `${MAX_WAITING_CHARS} characters wait for the disk`);
  }

  #restore(documents: readonly Document[]): void {
    const gone = new Runner();
    gone.gone();
    for (const [sessionId, { session, lastMs, turns }] of storedSessions(documents, gone)) {
      const made = this.#make(sessionId, { session, turns }, lastMs);
      for (const turn of turns) this.#turns.enter(made, turn);
    }
  }
}

function isDefinedAs(session: Session, definition: SessionDefinition): boolean {
  const { runner, title, permissionTimeoutSecs } = definition;
  return session.runner === runner && session.title === title &&
    session.permissionTimeoutSecs === permissionTimeoutSecs;
}

function runs(runner: Runner, { decided }: SessionTurns): boolean {
  return decided.turns[0]?.runner === runner;
}

function requireSize(operation: string, text: string, data: string | null): void {
  const bytes = utf8Length(text) + (data === null ? 0 : utf8Length(data));
  if (bytes <= MAX_TEXT_BYTES) return;
  throw new PosternError(
    "too_large",
    `${operation}: text and data are at most ${MAX_TEXT_BYTES} bytes together, got ${bytes}`,
    { limit: MAX_TEXT_BYTES },
  );
}

function noSession(operation: string, sessionId: string): PosternError {
  return new PosternError("not_found", `${operation}: there is no session ${shown(sessionId)}`);
}

function tooMany(operation: string, what: string): PosternError {
  return new PosternError("too_many", `${operation}: ${what}, which is as many as can be`);
}
