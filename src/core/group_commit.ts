/**
 * Group commit: while one commit runs, what arrives collects; then it goes in together.
 *
 * Every commit is an fsync, so the cost of durability is shared by all who wait for it. Invariants: one
 * commit at a time; seqs are given in the order of the appends, at the moment a commit is put together,
 * and only a stored event keeps its seq; a ticket is settled after its commit and never before.
 *
 * Bounds: a commit takes at most `COMMIT_CHARS` of envelopes and `COMMIT_CURSORS` cursors; the backlog is
 * the callers' to bound, by `backlogChars`.
 */

import type { DedupEntry, LogEvent, NewEvent } from "./event.ts";
import type { Clock, CommitBatch, CommitOutcome, CursorState, LogStore, Unit } from "./ports.ts";
import { Ticket } from "./ticket.ts";

/** What an appended event became. */
export interface Appended {
  readonly seq: number;
  readonly msgId: string;
  /** Set when the event had been there before, by its dedup key; nothing was appended. */
  readonly duplicate?: true;
}

/** What a commit carries besides events and cursors; asked for as each commit is put together. */
export type Housekeeping = Pick<CommitBatch, "droppedBlocks" | "merges">;

/** Envelope characters that one commit takes: ten blocks of 60 KiB, less what the store adds a line. */
const COMMIT_CHARS = 512 * 1024;
/** What a stored line has beyond its envelope, in characters. */
const LINE_OVERHEAD = 48;
/** Up to 16 cursors are nearly free in a commit, 100 cost more than half of it, measured. */
const COMMIT_CURSORS = 64;

const NO_DEDUP: DedupEntry[] = [];

interface PendingUnit {
  readonly events: readonly NewEvent[];
  readonly chars: number;
  readonly ticket: Ticket<readonly Appended[]>;
}

interface PendingCursor {
  /** `null` removes the consumer. */
  state: CursorState | null;
  readonly tickets: Ticket<void>[];
}

interface Hooks {
  /** What else the next commit should carry. `idle` says that nobody waits for it. */
  housekeeping(idle: boolean): Housekeeping | null;
  /** Called after each commit, before any ticket of it is settled. */
  committed(batch: CommitBatch, outcome: CommitOutcome): void;
  /** Called after the tickets are settled. */
  settled(): void;
}

/** Collects appends and cursor moves, and commits them in groups. */
export class GroupCommit {
  readonly #store: LogStore;
  readonly #clock: Clock;
  readonly #hooks: Hooks;
  readonly #keepEvents: boolean;
  readonly #maxTtlMs: number;
  #head: number;
  #lastMs: number;
  #units: PendingUnit[] = [];
  #cursors = new Map<string, PendingCursor>();
  #backlogChars = 0;
  #backlogWaiters: { chars: number; resolve: () => void }[] = [];
  #active = false;
  #running: Promise<void> = Promise.resolve();

  constructor(
    store: LogStore,
    hooks: Hooks,
    options: { clock: Clock; keepEvents: boolean; maxTtlMs: number },
  ) {
    this.#store = store;
    this.#hooks = hooks;
    this.#clock = options.clock;
    this.#keepEvents = options.keepEvents;
    this.#maxTtlMs = options.maxTtlMs;
    this.#head = store.state.head;
    this.#lastMs = store.state.blocks.at(-1)?.lastMs ?? 0;
  }

  /** Characters of the events that wait for a commit. */
  get backlogChars(): number {
    return this.#backlogChars;
  }

  /** Resolves when at most so many characters wait. */
  backlogAtMost(chars: number): Promise<void> {
    if (this.#backlogChars <= chars) return Promise.resolve();
    return new Promise((resolve) => this.#backlogWaiters.push({ chars, resolve }));
  }

  /** Appends events that are stored together or not at all. */
  append(events: readonly NewEvent[]): Ticket<readonly Appended[]> {
    let chars = 0;
    for (const event of events) chars += event.envelope.length + LINE_OVERHEAD;
    const ticket = new Ticket<readonly Appended[]>();
    this.#units.push({ events, chars, ticket });
    this.#backlogChars += chars;
    this.start();
    return ticket;
  }

  /** Stores a consumer's state, or removes it; several moves of one consumer become one write. */
  putCursor(name: string, state: CursorState | null): Ticket<void> {
    const ticket = new Ticket<void>();
    const pending = this.#cursors.get(name);
    if (pending === undefined) this.#cursors.set(name, { state, tickets: [ticket] });
    else {
      pending.state = state;
      pending.tickets.push(ticket);
    }
    this.start();
    return ticket;
  }

  /** Commits what there is, housekeeping too, even when nothing else waits. */
  start(): void {
    if (this.#active) return;
    this.#active = true;
    this.#running = this.#run();
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    while (this.#active) await this.#running;
  }

  async #run(): Promise<void> {
    for (;;) {
      // Whoever appends in this turn of the event loop shares the commit; waiting longer does not pay.
      await null;
      const idle = this.#units.length === 0 && this.#cursors.size === 0;
      const housekeeping = this.#hooks.housekeeping(idle);
      if (idle && housekeeping === null) {
        this.#active = false;
        return;
      }
      await this.#commit(housekeeping ?? { droppedBlocks: [], merges: [] });
    }
  }

  async #commit(housekeeping: Housekeeping): Promise<void> {
    const pendingUnits = this.#takeUnits();
    const pendingCursors = this.#takeCursors();
    const batch: CommitBatch = {
      units: this.#sequence(pendingUnits),
      keepEvents: this.#keepEvents,
      cursors: pendingCursors.flatMap(([, { state }]) => state === null ? [] : [state]),
      removedCursors: pendingCursors.flatMap(([name, { state }]) => state === null ? [name] : []),
      ...housekeeping,
    };
    const outcome = await this.#store.commit(batch);
    this.#head = batch.units[outcome.storedUnits - 1]?.events.at(-1)?.seq ?? this.#head;
    this.#hooks.committed(batch, outcome);
    this.#settle(pendingUnits, batch, outcome);
    for (const [, { tickets }] of pendingCursors) {
      for (const ticket of tickets) {
        if (outcome.restStored) ticket.succeed();
        else ticket.fail(outcome.failure);
      }
    }
    this.#hooks.settled();
    this.#tellBacklogWaiters();
  }

  #tellBacklogWaiters(): void {
    if (this.#backlogWaiters.length === 0) return;
    const waiters = this.#backlogWaiters;
    this.#backlogWaiters = waiters.filter(({ chars }) => this.#backlogChars > chars);
    for (const { chars, resolve } of waiters) if (this.#backlogChars <= chars) resolve();
  }

  #takeUnits(): PendingUnit[] {
    let chars = 0;
    let count = 0;
    while (count < this.#units.length) {
      chars += this.#units[count]!.chars;
      if (count > 0 && chars > COMMIT_CHARS) break;
      count++;
    }
    const taken = count === this.#units.length ? this.#units : this.#units.slice(0, count);
    this.#units = count === this.#units.length ? [] : this.#units.slice(count);
    return taken;
  }

  #takeCursors(): [string, PendingCursor][] {
    const taken = [...this.#cursors.entries()].slice(0, COMMIT_CURSORS);
    for (const [name] of taken) this.#cursors.delete(name);
    return taken;
  }

  #sequence(pending: readonly PendingUnit[]): Unit[] {
    let seq = this.#head;
    // Times never run backwards in the log, whatever the wall clock does.
    const now = this.#clock.now();
    const bufferedAtMs = this.#lastMs = Math.max(this.#lastMs, now);
    return pending.map(({ events }) => {
      let dedup: DedupEntry[] = NO_DEDUP;
      const sequenced = events.map((event): LogEvent => {
        seq++;
        const { msgId, dedupKey, kind, topic, envelope, ttlMs } = event;
        if (dedupKey !== null) dedup = [...dedup, { key: dedupKey, seq, msgId }];
        const expiresAtMs = ttlMs === null || ttlMs >= this.#maxTtlMs ? null : now + ttlMs;
        return { seq, bufferedAtMs, kind, topic, expiresAtMs, envelope };
      });
      return { events: sequenced, dedup };
    });
  }

  #settle(pending: readonly PendingUnit[], batch: CommitBatch, outcome: CommitOutcome): void {
    pending.forEach(({ events, chars, ticket }, i) => {
      this.#backlogChars -= chars;
      if (i >= outcome.storedUnits) return ticket.fail(outcome.failure);
      const stored = batch.units[i]!.events;
      ticket.succeed(stored.map(({ seq }, j) => ({ seq, msgId: events[j]!.msgId })));
    });
  }
}
