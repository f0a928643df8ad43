/**
 * The turns of one session: queued, run one after the other, ended.
 *
 * Invariants: a turn ends exactly once, as completed, failed or cancelled, and its document is gone with the event
 * that says so; nothing is told of it behind that; turns run in the order in which they were accepted, one at a time;
 * only the runner to which a turn was given says what becomes of it. What the daemon itself decides (a turn is given
 * to a runner, its runner has gone, nobody came) and cannot store is decided again at the next `settle`.
 *
 * Bound: `MAX_TURNS` open ones.
 */

import { PosternError, shown } from "./errors.ts";
import type { Elapsed } from "./elapsed.ts";
import type { Documents, Journal, News } from "./ports.ts";
import type { Runner, Serving } from "./runners.ts";
import {
  type Session,
  type SessionState,
  sessionWrite,
  type Turn,
  type TurnEnd,
  turnWrites,
} from "./session.ts";
import { type Placed, StateChain } from "./state_chain.ts";
import { JsonText } from "./text.ts";
import { Ticket } from "./ticket.ts";

/** Open turns of one session. One more is refused with `too_many`. */
export const MAX_TURNS = 100;

/** What a runner says of a turn that it runs. */
export const TURN_TELLINGS = ["delta", "tool_start", "tool_end", "completed", "failed"] as const;

export type TurnTelling = typeof TURN_TELLINGS[number];

/** What the turns of a session need. */
export interface TurnsOptions {
  readonly news: News;
  readonly journal: Journal;
  readonly documents: Documents;
  /** How long a turn waits for a runner while none is attached. */
  readonly queueMs: number;
  readonly elapsed: Elapsed;
  serving(session: Session): Serving | null;
  /** Called when the end of a turn is on disk. */
  ended(turn: Turn, end: TurnEnd): void;
}

type Payload = Readonly<Record<string, unknown>>;

const SERVICE_UNAVAILABLE = "service_unavailable";

/** One session with its turns. */
export class SessionTurns {
  readonly #options: TurnsOptions;
  readonly #chain: StateChain<SessionState>;
  readonly sessionId: string;
  /** When it was last used, as the clock says it. */
  lastMs: number;
  /** Until when a runner was attached, in elapsed time. */
  #servedUntilMs = 0;

  /** @param state What is on disk of it. */
  constructor(
    sessionId: string,
    state: SessionState,
    options: TurnsOptions & { readonly lastMs: number },
  ) {
    this.sessionId = sessionId;
    this.lastMs = options.lastMs;
    this.#options = options;
    const { documents, journal } = options;
    this.#chain = new StateChain(state, ({ from, to, events }) => {
      if (events.length > 0) return journal.append(events, turnWrites(from, to));
      return documents.put(sessionWrite(to.session!, this.lastMs)).map((): readonly Placed[] => []);
    });
  }

  /** Of the token that the session was made with. */
  get tokenId(): string {
    return this.decided.session!.tokenId;
  }

  /** As decided, which need not be on disk yet. */
  get decided(): SessionState {
    return this.#chain.decided;
  }

  /** As it is on disk. */
  get stored(): SessionState {
    return this.#chain.stored;
  }

  /** Whether it has no open turn and nothing of it is on its way to the disk. */
  get isIdle(): boolean {
    return this.decided.turns.length === 0 && !this.#chain.isBusy;
  }

  /** Characters of events that wait for the disk. */
  get waitingChars(): number {
    return this.#chain.waitingChars;
  }

  /** Makes the session. */
  create(session: Session): Ticket<void> {
    return this.#chain.decide({ ...this.decided, session }, []).map(() => {});
  }

  /**
   * Queues a turn, and has it run if a runner is free.
   *
   * @param inbound What tells of the message that asks for it.
   * @throws PosternError `too_many`
   */
  add(made: Omit<Turn, "order" | "runner" | "waitsSinceMs">, inbound: Payload): Ticket<void> {
    const { turns, session } = this.decided;
    if (turns.length >= MAX_TURNS) {
      throw new PosternError(
        "too_many",
        `session.send: ${
          shown(this.sessionId)
        } has ${MAX_TURNS} open turns, which is as many as can wait`,
        { limit: MAX_TURNS },
      );
    }
    const turn: Turn = {
      ...made,
      order: (turns.at(-1)?.order ?? 0) + 1,
      waitsSinceMs: this.#options.elapsed.now(),
      runner: null,
    };
    const queued = this.#chain.decide({ session, turns: [...turns, turn] }, [
      this.#options.news.event("session.inbound", inbound),
      this.#event("turn.queued", turn, { text: turn.text }),
    ]);
    this.settle();
    return queued.map(() => {});
  }

  /**
   * Tells what the runner says of a turn.
   *
   * @param data JSON text, or `null`.
   * @throws PosternError `conflict` for a turn that does not run, `permission_denied` for one that another runs.
   */
  emit(
    turnId: string,
    { runner, type, data }: {
      readonly runner: Runner;
      readonly type: TurnTelling;
      readonly data: string | null;
    },
  ): Ticket<Placed> {
    const turn = this.#open("turn.emit", turnId);
    if (turn.runner !== runner) throw this.#notRun(turn, runner);
    const payload = { data: jsonOf(data) };
    const told = type === "completed" || type === "failed"
      ? this.#end(turn, type, payload)
      : this.#chain.decide(this.decided, [this.#event(`turn.${type}`, turn, payload)]);
    this.settle();
    return told.map(([placed]) => placed!);
  }

  /**
   * Ends a turn at once, whether it is queued or runs; nothing that its runner says of it counts any more.
   *
   * @throws PosternError `conflict` for a turn that is ending.
   */
  cancel(turnId: string, reason: string): Ticket<void> {
    const cancelled = this.#end(this.#open("session.cancel", turnId), "cancelled", { reason });
    this.settle();
    return cancelled.map(() => {});
  }

  /** Tells what the runner says beside its turns. */
  say(outbound: Payload): Ticket<void> {
    const event = this.#options.news.event("session.outbound", outbound);
    return this.#chain.decide(this.decided, [event]).map(() => {});
  }

  /** Its runner has gone: from now on turns wait for another. */
  wasServed(): void {
    this.#servedUntilMs = this.#options.elapsed.now();
  }

  /** Decides what is due: ends what lost its runner or waited too long, and gives the next turn to its runner. */
  settle(): void {
    const [first] = this.decided.turns;
    if (first === undefined) return;
    if (first.runner?.isGone) {
      this.#fail(first, "the connection of its runner ended before it did");
    }
    const serving = this.#options.serving(this.decided.session!);
    if (serving === null) return this.#expire();
    this.wasServed();
    const next = this.decided.turns[0];
    if (next !== undefined && next.runner === null) this.#start(next, serving);
  }

  #expire(): void {
    const { queueMs } = this.#options;
    const oldestMs = this.#options.elapsed.now() - queueMs;
    // None of them runs: what did has failed with its runner.
    for (const turn of this.decided.turns) {
      if (Math.max(turn.waitsSinceMs, this.#servedUntilMs) > oldestMs) continue;
      this.#fail(turn, `no runner was attached for ${queueMs / 1000} seconds`);
    }
  }

  #start(turn: Turn, { runner, name }: Serving): void {
    const { session, turns } = this.decided;
    const { text, data } = turn;
    const payload = { text, data: jsonOf(data), runner: name ?? undefined };
    const running = { ...turn, runner };
    this.#chain.decide({ session, turns: [running, ...turns.slice(1)] }, [
      this.#event("turn.started", turn, payload),
    ]);
  }

  #fail(turn: Turn, reason: string): void {
    this.#end(turn, "failed", { code: SERVICE_UNAVAILABLE, reason });
  }

  #end(turn: Turn, end: TurnEnd, payload: Payload): Ticket<readonly Placed[]> {
    const { session, turns } = this.decided;
    const others = turns.filter((open) => open !== turn);
    const ended = this.#chain.decide({ session, turns: others }, [
      this.#event(`turn.${end}`, turn, payload),
    ]);
    ended.whenSettled(({ ok }) => ok && this.#options.ended(turn, end));
    return ended;
  }

  #event(topic: string, turn: Turn, payload: Payload) {
    const ids = { turn_id: turn.id, session_id: this.sessionId };
    return this.#options.news.event(topic, { ...ids, ...payload });
  }

  /** @throws PosternError `conflict` */
  #open(operation: string, turnId: string): Turn {
    const turn = this.decided.turns.find(({ id }) => id === turnId);
    if (turn !== undefined) return turn;
    throw new PosternError("conflict", `${operation}: turn ${shown(turnId)} is about to end`);
  }

  #notRun(turn: Turn, runner: Runner): PosternError {
    const isServed = this.#options.serving(this.decided.session!)?.runner === runner;
    if (turn.runner === null && isServed) {
      return new PosternError(
        "conflict",
        `turn.emit: turn ${shown(turn.id)} is queued; it runs from its turn.started on`,
      );
    }
    return new PosternError(
      "permission_denied",
      `turn.emit: turn ${shown(turn.id)} is not run by this connection`,
    );
  }
}

function jsonOf(data: string | null): JsonText | undefined {
  return data === null ? undefined : new JsonText(data);
}
