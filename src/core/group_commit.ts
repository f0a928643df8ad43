/**
 * Group commit: while one commit runs, what arrives collects; then it goes in together.
 *
 * Every commit is an fsync, so the cost of durability is shared by all who wait for it. Invariants: one
 * commit at a time; seqs are given in the order of the appends, at the moment a commit is put together,
 * and only a stored event keeps its seq; a ticket is settled after its commit and never before; documents that are
 * put in order are on disk up to one of them and none of those after it.
 *
 * Bounds: a commit takes at most `COMMIT_CHARS` of envelopes, `COMMIT_DOCUMENTS` documents and
 * `COMMIT_TEXT_BYTES` of their text, one always; the backlog is the callers' to bound, by `backlogChars`.
 */

import type { DedupEntry, LogEvent, NewEvent } from "./event.ts";
import type {
  Clock,
  CommitBatch,
  CommitOutcome,
  DocumentContent,
  DocumentKey,
  DocumentWrite,
  LogStore,
  Unit,
} from "./ports.ts";
import { utf8Length } from "./text.ts";
import { Ticket } from "./ticket.ts";

/** What an appended event became. */
export interface Appended {
  readonly seq: number;
  readonly msgId: string;
  /** Set when the event had been there before, by its dedup key; nothing was appended. */
  readonly duplicate?: true;
}

/** What a commit carries besides events and documents; asked for as each commit is put together. */
export type Housekeeping = Pick<CommitBatch, "droppedBlocks" | "merges">;

/** Envelope characters that one commit takes: ten blocks of 60 KiB, less what the store adds a line. */
const COMMIT_CHARS = 512 * 1024;
/** What a stored line has beyond its envelope, in characters. */
const LINE_OVERHEAD = 48;
/** Up to 16 small documents are nearly free in a commit, 100 cost more than half of it, measured. */
const COMMIT_DOCUMENTS = 64;
/** What an atomic operation has room for beside its blocks. */
const COMMIT_TEXT_BYTES = 112 * 1024;

const NO_DEDUP: DedupEntry[] = [];
const NO_DOCUMENTS: readonly DocumentWrite[] = [];

interface PendingUnit {
  readonly events: readonly NewEvent[];
  readonly documents: readonly DocumentWrite[];
  readonly chars: number;
  readonly ticket: Ticket<readonly Appended[]>;
}

interface PendingDocument {
  readonly key: DocumentKey;
  content: DocumentContent | null;
  bytes: number;
  /** Of all the changes that became one. */
  heldBytes: number;
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

/** Collects appends and changes of documents, and commits them in groups. */
export class GroupCommit {
  readonly #store: LogStore;
  readonly #clock: Clock;
  readonly #hooks: Hooks;
  readonly #keepEvents: boolean;
  readonly #maxTtlMs: number;
  #head: number;
  #lastMs: number;
  #units: PendingUnit[] = [];
  readonly #documents = new Map<string, PendingDocument>();
  /** Makes the names of those differ that are put in order. */
  #ordered = 0;
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

  /** Characters of what waits for a commit. */
  get backlogChars(): number {
    return this.#backlogChars;
  }

  /** Resolves when at most so many characters wait. */
  backlogAtMost(chars: number): Promise<void> {
    if (this.#backlogChars <= chars) return Promise.resolve();
    return new Promise((resolve) => this.#backlogWaiters.push({ chars, resolve }));
  }

  /**
   * Appends events that are stored together or not at all.
   *
   * @param documents Changes that are stored with them. Whoever changes a document so changes it so always: in what
   * order the two ways take effect is not said.
   */
  append(
    events: readonly NewEvent[],
    documents: readonly DocumentWrite[] = NO_DOCUMENTS,
  ): Ticket<readonly Appended[]> {
    let chars = 0;
    for (const { content } of documents) chars += content?.text?.length ?? 0;
    for (const event of events) chars += event.envelope.length + LINE_OVERHEAD;
    const ticket = new Ticket<readonly Appended[]>();
    this.#units.push({ events, documents, chars, ticket });
    this.#backlogChars += chars;
    this.start();
    return ticket;
  }

  /**
   * Stores or removes a document. Several changes of one become one write, in the place of the first; of one that is
   * put in order only those that the same commit takes.
   */
  put({ key, content, inOrder }: DocumentWrite): Ticket<void> {
    const ticket = new Ticket<void>();
    const bytes = content?.text === undefined ? 0 : utf8Length(content.text);
    const name = inOrder ? `${++this.#ordered}` : nameOf(key);
    const pending = this.#documents.get(name);
    const change = { key, content, bytes, heldBytes: bytes, tickets: [ticket] };
    if (pending === undefined) this.#documents.set(name, change);
    else replace(pending, change);
    this.#backlogChars += bytes;
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
      const idle = this.#units.length === 0 && this.#documents.size === 0;
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
    const pendingDocuments = this.#takeDocuments();
    const batch: CommitBatch = {
      units: this.#sequence(pendingUnits),
      keepEvents: this.#keepEvents,
      documents: pendingDocuments,
      ...housekeeping,
    };
    const outcome = await this.#store.commit(batch);
    this.#head = batch.units[outcome.storedUnits - 1]?.events.at(-1)?.seq ?? this.#head;
    this.#hooks.committed(batch, outcome);
    this.#settle(pendingUnits, batch, outcome);
    for (const { tickets, heldBytes } of pendingDocuments) {
      this.#backlogChars -= heldBytes;
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

  #takeDocuments(): PendingDocument[] {
    const taken = new Map<string, PendingDocument>();
    let bytes = 0;
    for (const [name, pending] of this.#documents) {
      const document = nameOf(pending.key);
      const before = taken.get(document);
      bytes += pending.bytes - (before?.bytes ?? 0);
      if (taken.size > 0 && bytes > COMMIT_TEXT_BYTES) break;
      if (before === undefined && taken.size === COMMIT_DOCUMENTS) break;
      this.#documents.delete(name);
      if (before === undefined) taken.set(document, pending);
      else replace(before, pending);
    }
    return [...taken.values()];
  }

  #sequence(pending: readonly PendingUnit[]): Unit[] {
    let seq = this.#head;
    // Times never run backwards in the log, whatever the wall clock does.
    const now = this.#clock.now();
    const bufferedAtMs = this.#lastMs = Math.max(this.#lastMs, now);
    return pending.map(({ events, documents }) => {
      let dedup: DedupEntry[] = NO_DEDUP;
      const sequenced = events.map((event): LogEvent => {
        seq++;
        const { msgId, dedupKey, kind, topic, envelope, ttlMs } = event;
        if (dedupKey !== null) dedup = [...dedup, { key: dedupKey, seq, msgId }];
        const expiresAtMs = ttlMs === null || ttlMs >= this.#maxTtlMs ? null : now + ttlMs;
        return { seq, bufferedAtMs, kind, topic, expiresAtMs, envelope };
      });
      return { events: sequenced, dedup, documents };
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

/** No number is one: those are of documents that are put in order. */
function nameOf(key: DocumentKey): string {
  return key.join("\0");
}

/** Makes two changes of one document one. */
function replace(pending: PendingDocument, later: PendingDocument): void {
  pending.content = later.content;
  pending.bytes = later.bytes;
  pending.heldBytes += later.heldBytes;
  pending.tickets.push(...later.tickets);
}
