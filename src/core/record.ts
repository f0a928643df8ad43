/**
 * One record: a named live value, its last values, and who watches it.
 *
 * Invariants: sequences rise by set and are never given twice to values that anyone saw; a value is visible once it is
 * on disk (a volatile one at once) and not before; watchers are told in the order of the sequences, each by its own
 * `tell`, which keeps what it cannot pass on. Sets take effect in their order; one with a condition waits for those
 * before it, so that it never builds on a value that was not stored.
 *
 * Bounds: `capacity` values; who sets is bounded by the connections' requests in flight.
 */

import { PosternError } from "./errors.ts";
import { InOrder } from "./in_order.ts";
import type { Clock, Document, Documents, DocumentWrite } from "./ports.ts";
import { Ticket } from "./ticket.ts";

/**
 * How a record keeps its values: the latest one; the last `capacity` ones; or one slot, overwritten until a
 * watcher takes it.
 */
export const BUFFER_TYPES = ["single_latest", "spmc_ring", "mailbox"] as const;

export type BufferType = typeof BUFFER_TYPES[number];

/** What a record is. */
export interface RecordDefinition {
  readonly name: string;
  /** `0x` and 16 hex digits, over name and schema. */
  readonly typeId: string;
  readonly bufferType: BufferType;
  readonly capacity: number;
  /** JSON Schema as text; opaque here. */
  readonly schema: string | null;
  /** Whether remote access may be allowed to set it. */
  readonly writable: boolean;
  /** Whether its values are kept in memory only. */
  readonly volatile: boolean;
}

/** One value of a record, as it was set. */
export interface RecordUpdate {
  readonly name: string;
  readonly sequence: number;
  readonly atMs: number;
  /** The same as AimX writes it: `"secs.nanosecs"`. */
  readonly timestamp: string;
  /** JSON text. */
  readonly value: string;
}

/** Whoever watches records. */
export interface RecordWatcher {
  /** Whether it would pass a value on at once; what a mailbox holds goes to no other. */
  readonly isReady: boolean;
  tell(update: RecordUpdate): void;
}

/** How far ahead of a volatile record's sequence the bound on disk is set. */
const BOUND_STRIDE = 65_536;

interface PendingSet {
  readonly isConditional: boolean;
  readonly begin: () => void;
}

interface RecordOptions {
  readonly documents: Documents;
  readonly clock: Clock;
  /** Accounts for characters of values that are kept or no longer. */
  readonly hold: (chars: number) => void;
}

/** One record that is defined. */
export class LiveRecord {
  readonly createdAtMs: number;
  /** Nothing more is stored of it: what would be comes behind the removal. */
  isRemoved = false;
  /** Who has set it and is still there. */
  readonly producers: Set<Producer> = new Set();
  readonly #watchers = new Set<RecordWatcher>();
  readonly #options: RecordOptions;
  readonly #slots = new Map<number, RecordUpdate>();
  #definition: RecordDefinition;
  #latest: RecordUpdate | null = null;
  #sequence = 0;
  #assigned = 0;
  #updatedMs: number | null = null;
  /** Sets on their way to the disk, in the order of their sequences. */
  readonly #inFlight = new InOrder();
  #waiting: PendingSet[] = [];
  /** Of a volatile record: no sequence beyond it is told before a further one is on disk. */
  #bound = BOUND_STRIDE;
  #storedBound = 0;

  constructor(definition: RecordDefinition, createdAtMs: number, options: RecordOptions) {
    this.#definition = definition;
    this.createdAtMs = createdAtMs;
    this.#options = options;
  }

  get definition(): RecordDefinition {
    return this.#definition;
  }

  /** What it holds now; `null` before the first set, and when a watcher has taken it. */
  get latest(): RecordUpdate | null {
    return this.#latest;
  }

  /** Of the value set last, 0 before. */
  get sequence(): number {
    return this.#sequence;
  }

  get updatedMs(): number | null {
    return this.#updatedMs;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** The last values, oldest first. */
  history(limit: number): RecordUpdate[] {
    const values = [...this.#slots.values()].sort((a, b) => a.sequence - b.sequence);
    return values.slice(Math.max(0, values.length - limit));
  }

  /**
   * Sets the value. The ticket has what it became, once it is on disk.
   *
   * @param value JSON text.
   * @param ifSequence Sets only when the value before has this sequence; 0 for none.
   * @throws PosternError through the ticket: `conflict`, and what the store refuses with.
   */
  set(value: string, ifSequence?: number): Ticket<RecordUpdate> {
    const ticket = new Ticket<RecordUpdate>();
    const isConditional = ifSequence !== undefined;
    const begin = () => this.#begin(value, { ifSequence, ticket });
    if (this.#waiting.length > 0 || (isConditional && this.#inFlight.size > 0)) {
      this.#waiting.push({ isConditional, begin });
    } else begin();
    return ticket;
  }

  /** Adds a watcher; with `initial` it is told what the record holds. */
  watch(watcher: RecordWatcher, initial: boolean): void {
    // Two patterns of one watcher may match.
    if (this.#watchers.has(watcher)) return;
    this.#watchers.add(watcher);
    if (this.#definition.bufferType === "mailbox") this.offer();
    else if (initial && this.#latest !== null) watcher.tell(this.#latest);
  }

  unwatch(watcher: RecordWatcher): void {
    this.#watchers.delete(watcher);
  }

  /** Gives what a mailbox holds to the first watcher that is ready; the one that had the last is asked last. */
  offer(): void {
    const update = this.#latest;
    if (update === null || this.#definition.bufferType !== "mailbox") return;
    for (const watcher of this.#watchers) {
      if (!watcher.isReady) continue;
      this.#watchers.delete(watcher);
      this.#watchers.add(watcher);
      this.#take(update);
      return watcher.tell(update);
    }
  }

  /** Changes what may change: schema, type id, opt-in. */
  redefine(definition: RecordDefinition): Ticket<void> {
    const before = this.#definition;
    this.#definition = definition;
    const stored = this.#options.documents.put(this.definitionWrite());
    stored.whenSettled((outcome) => {
      if (!outcome.ok && this.#definition === definition) this.#definition = before;
    });
    return stored;
  }

  /** How its definition is stored. Persisted: a new field needs a default for the documents that lack it. */
  definitionWrite(): DocumentWrite {
    const { name, typeId, bufferType, capacity, schema, writable, volatile } = this.#definition;
    const fields = {
      type_id: typeId,
      buffer_type: bufferType,
      capacity,
      writable,
      volatile,
      created_ms: this.createdAtMs,
      bound: this.#bound,
    };
    return {
      key: ["record", name],
      content: schema === null ? { fields } : { fields, text: schema },
    };
  }

  definitionRemoval(): DocumentWrite {
    return { key: ["record", this.#definition.name], content: null };
  }

  /** The changes that leave none of its values. */
  valueRemovals(): DocumentWrite[] {
    const { name, capacity, volatile } = this.#definition;
    const count = volatile ? 0 : Math.min(capacity, this.#assigned);
    return Array.from({ length: count }, (_, i) => (
      { key: ["value", name, (i + 1) % capacity], content: null }
    ));
  }

  /** Takes the state that a definition's document has. */
  restoreDefinition({ fields }: Document): void {
    this.#bound = this.#storedBound = fields.bound as number;
    // What was told before a crash is known only by its bound.
    if (this.#definition.volatile) this.#sequence = this.#assigned = this.#storedBound;
  }

  /** Takes a value as it was stored. */
  restoreValue({ fields, text }: Document): void {
    const update = updateOf({
      name: this.#definition.name,
      sequence: fields.sequence as number,
      atMs: fields.at_ms as number,
      value: text ?? "",
    });
    const isNewest = update.sequence > this.#sequence;
    if (isNewest) {
      this.#sequence = this.#assigned = update.sequence;
      this.#updatedMs = update.atMs;
    }
    if (fields.taken === true) return;
    this.#keep(update);
    if (isNewest) this.#latest = update;
  }

  /** Notes the definition as stored. */
  definitionStored(): void {
    this.#storedBound = Math.max(this.#storedBound, BOUND_STRIDE);
  }

  /** Sets the bound on disk to what was really told, before a stop in order. */
  settle(): Ticket<void> | null {
    if (!this.#definition.volatile || this.#storedBound === this.#sequence) return null;
    this.#bound = this.#storedBound = this.#sequence;
    return this.#options.documents.put(this.definitionWrite());
  }

  /** It is not there any more: nobody watches it, and it takes no room. */
  forget(): void {
    for (const { value } of this.#slots.values()) this.#options.hold(-value.length);
    this.#slots.clear();
    this.#watchers.clear();
  }

  #begin(
    value: string,
    { ifSequence, ticket }: { ifSequence: number | undefined; ticket: Ticket<RecordUpdate> },
  ): void {
    const { name } = this.#definition;
    if (this.isRemoved) {
      return ticket.fail(new PosternError("not_found", `record.set: "${name}" was removed`));
    }
    if (ifSequence !== undefined && ifSequence !== this.#sequence) {
      return ticket.fail(this.#conflict(ifSequence));
    }
    const sequence = ++this.#assigned;
    const update = updateOf({ name, sequence, atMs: this.#options.clock.now(), value });
    const stored = this.#definition.volatile ? this.#reserve(sequence) : this.#store(update);
    if (stored === null) {
      this.#accept(update);
      return ticket.succeed(update);
    }
    // A slot that is written again while it waits goes to the disk before its neighbours.
    const finish = this.#inFlight.begin();
    stored.whenSettled((outcome) =>
      finish(() => {
        if (outcome.ok) this.#accept(update);
        // What was refused was never seen.
        if (this.#inFlight.size === 0) this.#assigned = this.#sequence;
        if (outcome.ok) ticket.succeed(update);
        else ticket.fail(outcome.error);
        this.#runWaiting();
      })
    );
  }

  #runWaiting(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (next.isConditional && this.#inFlight.size > 0) return;
      this.#waiting.shift();
      next.begin();
    }
  }

  #store({ name, sequence, atMs, value }: RecordUpdate): Ticket<void> {
    return this.#options.documents.put({
      key: ["value", name, sequence % this.#definition.capacity],
      content: { fields: { sequence, at_ms: atMs }, text: value },
    });
  }

  /** @returns `null` when the sequence may be told at once. */
  #reserve(sequence: number): Ticket<void> | null {
    if (sequence > this.#bound - BOUND_STRIDE / 2 || sequence > this.#storedBound) {
      const bound = this.#bound = Math.max(this.#bound, sequence + BOUND_STRIDE);
      const stored = this.#options.documents.put(this.definitionWrite());
      stored.whenSettled((outcome) => {
        if (outcome.ok) this.#storedBound = Math.max(this.#storedBound, bound);
        else if (this.#bound === bound) this.#bound = this.#storedBound;
      });
      if (sequence > this.#storedBound) return stored;
    }
    return this.#inFlight.size > 0 ? this.#options.documents.put(this.definitionWrite()) : null;
  }

  #accept(update: RecordUpdate): void {
    this.#sequence = update.sequence;
    this.#updatedMs = update.atMs;
    this.#latest = update;
    this.#keep(update);
    if (this.#definition.bufferType === "mailbox") return this.offer();
    for (const watcher of this.#watchers) watcher.tell(update);
  }

  #keep(update: RecordUpdate): void {
    const slot = update.sequence % this.#definition.capacity;
    const before = this.#slots.get(slot);
    this.#options.hold(update.value.length - (before?.value.length ?? 0));
    this.#slots.set(slot, update);
  }

  /** Empties a mailbox. A crash before that is on disk gives the value to a watcher once more. */
  #take({ name, sequence, atMs, value }: RecordUpdate): void {
    this.#latest = null;
    this.#slots.clear();
    this.#options.hold(-value.length);
    // What is on its way to the disk takes the place of it anyway, and must not be overwritten by it.
    if (this.#definition.volatile || this.isRemoved || this.#inFlight.size > 0) return;
    this.#options.documents.put({
      key: ["value", name, 0],
      content: { fields: { sequence, at_ms: atMs, taken: true } },
    });
  }

  #conflict(ifSequence: number): PosternError {
    return new PosternError(
      "conflict",
      `record.set: if_sequence is ${ifSequence}, and "${this.#definition.name}" is at ${this.#sequence}`,
      { sequence: this.#sequence },
    );
  }
}

function updateOf(set: Omit<RecordUpdate, "timestamp">): RecordUpdate {
  return { ...set, timestamp: timestampOf(set.atMs) };
}

/** Records that one who sets them counts as producer of; with more, the first is forgotten. */
const MAX_PRODUCED = 1000;

/** One who sets records: a connection, or a program that runs the daemon inside itself. */
export class Producer {
  readonly #records = new Set<LiveRecord>();

  /** Counts as a producer of the record from now on. */
  uses(record: LiveRecord): void {
    if (this.#records.has(record)) return;
    if (this.#records.size >= MAX_PRODUCED) this.#leave(this.#records.values().next().value!);
    this.#records.add(record);
    record.producers.add(this);
  }

  /** Counts no longer. */
  end(): void {
    for (const record of [...this.#records]) this.#leave(record);
  }

  #leave(record: LiveRecord): void {
    this.#records.delete(record);
    record.producers.delete(this);
  }
}

/** A time as AimX writes it: seconds and nanoseconds, `"secs.nanosecs"`. */
export function timestampOf(ms: number): string {
  const secs = Math.floor(ms / 1000);
  return `${secs}.${String(Math.round((ms - secs * 1000) * 1e6)).padStart(9, "0")}`;
}
