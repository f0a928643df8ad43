/**
 * One record: a named live value, its last values, and who watches it.
 *
 * Invariants: sequences rise by set and are never given twice to values that anyone saw; a value is visible once it is
 * on disk (a volatile one at once) and not before; watchers are told in the order of the sequences, each by its own
 * `tell`, which keeps what it cannot pass on. Sets take effect in their order, each checked by the definition that is in
 * force when it begins; one with a condition waits for those before it, so that it never builds on a value that was
 * not stored, and so does a new definition, for which those behind it wait until it is on disk.
 *
 * Bounds: `capacity` values, and what is on its way: who sets is bounded by the connections' requests in flight.
 */

import { ChangeOrder } from "./change_order.ts";
import { PosternError } from "./errors.ts";
import type { Clock, Document, Documents, DocumentWrite } from "./ports.ts";
import type { Producer } from "./producer.ts";
import { RecordValues } from "./record_values.ts";
import { SequenceBound } from "./sequence_bound.ts";
import type { Ticket } from "./ticket.ts";

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

interface PendingSet {
  readonly ifSequence: number | undefined;
  readonly requireValid: () => void;
  readonly ticket: Ticket<RecordUpdate>;
}

interface RecordOptions {
  readonly documents: Documents;
  readonly clock: Clock;
  /** Accounts for characters of values and schemas, on their way or kept, or no longer. */
  readonly hold: (chars: number) => void;
  /** @throws PosternError `storage_full` when there is no room for so many more characters. */
  readonly requireRoom: (operation: string, chars: number) => void;
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
  readonly #values: RecordValues;
  #definition: RecordDefinition;
  #latest: RecordUpdate | null = null;
  #sequence = 0;
  #assigned = 0;
  #updatedMs: number | null = null;
  readonly #changes = new ChangeOrder();
  /** On its way to the disk. */
  #redefinition: RecordDefinition | null = null;
  /** Of a volatile record. */
  readonly #bound: SequenceBound;

  constructor(definition: RecordDefinition, createdAtMs: number, options: RecordOptions) {
    this.#definition = definition;
    this.createdAtMs = createdAtMs;
    this.#options = options;
    this.#values = new RecordValues(definition.capacity, options.hold);
    this.#bound = new SequenceBound(() => options.documents.put(this.definitionWrite()));
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
    return this.#values.history(limit);
  }

  /**
   * Sets the value. The ticket has what it became, once it is on disk.
   *
   * @param value JSON text.
   * @param ifSequence Sets only when the value before has this sequence; 0 for none.
   * @param requireValid Called when the set begins; throws what the definition of then refuses the value with.
   * @throws PosternError through the ticket: `conflict`, `not_found`, `storage_full`, what `requireValid` throws, and
   * what the store refuses with.
   */
  set(
    value: string,
    ifSequence?: number,
    requireValid: () => void = () => {},
  ): Ticket<RecordUpdate> {
    return this.#changes.add(
      ifSequence !== undefined,
      (ticket: Ticket<RecordUpdate>) => this.#begin(value, { ifSequence, requireValid, ticket }),
    );
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

  /**
   * Changes what may change, schema, type id and opt-in, behind all sets before; those behind it wait. It is in force
   * once it is on disk.
   *
   * @param requireFits Called when no set is on its way; throws what the present value forbids.
   * @throws PosternError through the ticket: `not_found`, `storage_full`, what `requireFits` throws, and what the store
   * refuses with.
   */
  redefine(definition: RecordDefinition, requireFits: () => void): Ticket<void> {
    return this.#changes.add(
      true,
      (ticket: Ticket<void>) => this.#redefine(definition, { requireFits, ticket }),
    );
  }

  /** How its definition is stored. Persisted: a new field needs a default for the documents that lack it. */
  definitionWrite(): DocumentWrite {
    const definition = this.#redefinition ?? this.#definition;
    const { name, typeId, bufferType, capacity, schema, writable, volatile } = definition;
    const fields = {
      type_id: typeId,
      buffer_type: bufferType,
      capacity,
      writable,
      volatile,
      created_ms: this.createdAtMs,
      bound: this.#bound.bound,
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
      { key: ["value", name, (i + 1) % capacity], content: null, inOrder: true }
    ));
  }

  /** Takes the state that a definition's document has. */
  restoreDefinition({ fields }: Document): void {
    const bound = fields.bound as number;
    this.#bound.restore(bound);
    // What was told before a crash is known only by its bound.
    if (this.#definition.volatile) this.#sequence = this.#assigned = bound;
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
    this.#options.hold(update.value.length);
    this.#values.keep(update);
    if (isNewest) this.#latest = update;
  }

  /** Notes the definition as stored. */
  definitionStored(): void {
    this.#bound.firstStored();
  }

  /** Sets the bound on disk to what was really told, before a stop in order. */
  settle(): Ticket<void> | null {
    return this.#definition.volatile ? this.#bound.settle(this.#sequence) : null;
  }

  /** It is not there any more: nobody watches it, and it takes no room. */
  forget(): void {
    this.#values.clear();
    this.#options.hold(-charsOf(this.#definition));
    this.#watchers.clear();
  }

  #begin(value: string, { ifSequence, requireValid, ticket }: PendingSet): void {
    this.#requireThere("record.set");
    requireValid();
    if (ifSequence !== undefined && ifSequence !== this.#sequence) {
      throw this.#conflict(ifSequence);
    }
    const { name, volatile } = this.#definition;
    const { hold, requireRoom, clock } = this.#options;
    const sequence = this.#assigned + 1;
    requireRoom("record.set", value.length - this.#values.charsReplacedBy(sequence));
    this.#assigned = sequence;
    const update = updateOf({ name, sequence, atMs: clock.now(), value });
    hold(value.length);
    const stored = volatile
      ? this.#bound.reserve(sequence, this.#changes.isBusy)
      : this.#store(update);
    if (stored === null) {
      this.#accept(update);
      return ticket.succeed(update);
    }
    // Changes of one document that become one write are answered together, before their neighbours.
    const end = this.#changes.onItsWay();
    stored.whenSettled((outcome) =>
      end(() => {
        if (outcome.ok) this.#accept(update);
        else hold(-value.length);
        // What was refused was never seen.
        if (!this.#changes.isBusy) this.#assigned = this.#sequence;
        if (outcome.ok) ticket.succeed(update);
        else ticket.fail(outcome.error);
      })
    );
  }

  #redefine(
    definition: RecordDefinition,
    { requireFits, ticket }: { requireFits: () => void; ticket: Ticket<void> },
  ): void {
    this.#requireThere("record.define");
    requireFits();
    const { hold, requireRoom, documents } = this.#options;
    const [before, after] = [charsOf(this.#definition), charsOf(definition)];
    requireRoom("record.define", after - before);
    hold(after);
    this.#redefinition = definition;
    const end = this.#changes.holdOthers();
    documents.put(this.definitionWrite()).whenSettled((outcome) =>
      end(() => {
        this.#redefinition = null;
        if (outcome.ok) this.#definition = definition;
        hold(outcome.ok ? -before : -after);
        if (outcome.ok) ticket.succeed();
        else ticket.fail(outcome.error);
      })
    );
  }

  #requireThere(operation: string): void {
    if (!this.isRemoved) return;
    throw new PosternError("not_found", `${operation}: "${this.#definition.name}" was removed`);
  }

  /** A ring's values go to the disk in their order, so that a crash leaves the last ones without a hole. */
  #store({ name, sequence, atMs, value }: RecordUpdate): Ticket<void> {
    const { capacity } = this.#definition;
    return this.#options.documents.put({
      key: ["value", name, sequence % capacity],
      content: { fields: { sequence, at_ms: atMs }, text: value },
      ...(capacity > 1 ? { inOrder: true } : {}),
    });
  }

  #accept(update: RecordUpdate): void {
    this.#sequence = update.sequence;
    this.#updatedMs = update.atMs;
    this.#latest = update;
    this.#values.keep(update);
    if (this.#definition.bufferType === "mailbox") return this.offer();
    for (const watcher of this.#watchers) watcher.tell(update);
  }

  /** Empties a mailbox. A crash before that is on disk gives the value to a watcher once more. */
  #take({ name, sequence, atMs }: RecordUpdate): void {
    this.#latest = null;
    this.#values.clear();
    // What is on its way to the disk takes the place of it anyway, and must not be overwritten by it.
    if (this.#definition.volatile || this.isRemoved || this.#changes.isBusy) return;
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

/** Characters that a definition takes in the account. */
export function charsOf({ schema }: RecordDefinition): number {
  return schema?.length ?? 0;
}

function updateOf(set: Omit<RecordUpdate, "timestamp">): RecordUpdate {
  return { ...set, timestamp: timestampOf(set.atMs) };
}

/** A time as AimX writes it: seconds and nanoseconds, `"secs.nanosecs"`. */
export function timestampOf(ms: number): string {
  const secs = Math.floor(ms / 1000);
  return `${secs}.${String(Math.round((ms - secs * 1000) * 1e6)).padStart(9, "0")}`;
}
