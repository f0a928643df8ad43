/**
 * All records of one daemon: defined, found by name, type id or pattern, watched, removed.
 *
 * Invariants: a record is there once its definition is on disk; a name is free again only once nothing of its
 * record is; definitions and removals of one name follow each other; a watch by name or pattern goes on over
 * removals and sees records that are defined later.
 *
 * Bounds: `MAX_RECORDS` records; all their values and schemas together `MAX_VALUE_CHARS`.
 */

import { PosternError, shown } from "./errors.ts";
import type { Clock, Document, Documents } from "./ports.ts";
import {
  type BufferType,
  charsOf,
  LiveRecord,
  type RecordDefinition,
  type RecordUpdate,
  type RecordWatcher,
} from "./record.ts";
import { type MayTake, type RecordWatch, RecordWatches } from "./record_watches.ts";
import { allSettled, Ticket } from "./ticket.ts";

/** How many records one daemon keeps. One more is refused with `too_many`. */
export const MAX_RECORDS = 10_000;
/** Values of an `spmc_ring`. */
export const MAX_CAPACITY = 10_000;
/** Characters of all values and schemas together, those on their way to the disk too. What does not fit is refused with `storage_full`. */
export const MAX_VALUE_CHARS = 64 * 1024 * 1024;

/** First segments of names that are the daemon's own. */
const OWN_NAMES: ReadonlySet<string> = new Set(["aimx", "postern"]);

/** The records of one daemon. */
export class Records {
  readonly #documents: Documents;
  readonly #clock: Clock;
  readonly #byName = new Map<string, LiveRecord>();
  readonly #byTypeId = new Map<string, LiveRecord>();
  /** By name; `null` when it must be made anew. */
  #sorted: readonly LiveRecord[] | null = null;
  /** Definitions and removals that are on their way to the disk. */
  readonly #changing = new Map<string, Ticket<void>>();
  /** Removed, with values that could not be deleted. */
  readonly #leftovers = new Map<string, LiveRecord>();
  readonly #watches = new RecordWatches();
  readonly #computed = new Map<string, () => string>();
  #heldChars = 0;

  /** @param options The documents of the store among which definitions and values are. */
  constructor(
    documents: Documents,
    options: { readonly clock: Clock; readonly documents: readonly Document[] },
  ) {
    this.#documents = documents;
    this.#clock = options.clock;
    this.#restore(options.documents);
  }

  /** Every record, by name. */
  list(): readonly LiveRecord[] {
    return this.#sorted ??= [...this.#byName.values()]
      .sort((a, b) => a.definition.name < b.definition.name ? -1 : 1);
  }

  /** The record of a name or a type id, or `undefined`. */
  find(reference: string): LiveRecord | undefined {
    return this.#byName.get(reference) ?? this.#byTypeId.get(reference);
  }

  /** @throws PosternError `not_found` */
  get(operation: string, reference: string): LiveRecord {
    const record = this.find(reference);
    if (record !== undefined) return record;
    throw new PosternError("not_found", `${operation}: there is no record ${shown(reference)}`);
  }

  /** What a record holds; of a computed one what it would now, or while it is watched what its watchers heard last. */
  latest(record: LiveRecord): RecordUpdate | null {
    this.#refreshUnwatched(record);
    return record.latest;
  }

  /**
   * Defines a record. The same definition again changes nothing; schema and opt-in may change, and are in force once
   * that is on disk.
   *
   * @param requireFits Called with a record that is there, when no set of it is on its way and nothing can be set
   * before the definition is in force; throws what its value forbids.
   * @throws PosternError at once or through the ticket: `conflict` for another buffer under a name that is taken,
   * `too_many`, `storage_full`, and what `requireFits` throws.
   */
  define(
    definition: RecordDefinition,
    requireFits: (record: LiveRecord) => void = () => {},
  ): Ticket<LiveRecord> {
    const { name } = definition;
    const again = () => this.define(definition, requireFits);
    const changing = this.#changing.get(name);
    if (changing !== undefined) return this.#after(changing, name, again);
    const known = this.#byName.get(name);
    if (known !== undefined) return this.#redefine(known, definition, requireFits);
    const leftover = this.#leftovers.get(name);
    if (leftover !== undefined) return this.#after(this.#clear(leftover), name, again);
    if (this.#size >= MAX_RECORDS) {
      throw new PosternError(
        "too_many",
        `record.define: ${shown(name)} would be one more than the ${MAX_RECORDS} that are kept`,
        { limit: MAX_RECORDS },
      );
    }
    this.#requireRoom("record.define", charsOf(definition));
    this.#heldChars += charsOf(definition);
    const record = this.#make(definition, this.#clock.now());
    const stored = this.#documents.put(record.definitionWrite());
    stored.whenSettled(({ ok }) => ok || record.forget());
    const defined = stored.map(() => {
      record.definitionStored();
      this.#enter(record);
      return record;
    });
    return this.#change(name, defined);
  }

  /** Removes a record with all its values. It stays, as it is, when that cannot be stored. */
  remove(record: LiveRecord): Ticket<void> {
    this.#drop(record);
    record.isRemoved = true;
    const removal = new Ticket<void>();
    // Alone: without its definition on disk no value means anything.
    this.#documents.put(record.definitionRemoval()).whenSettled((outcome) => {
      if (outcome.ok) {
        return this.#clear(record).whenSettled(() => {
          this.#watches.leave(record);
          record.forget();
          removal.succeed();
        });
      }
      record.isRemoved = false;
      this.#enter(record);
      removal.fail(outcome.error);
    });
    return this.#change(record.definition.name, removal);
  }

  /**
   * Watches the records of a pattern, those to come as well.
   *
   * @param pattern A record's name, or a pattern of names, which has no mailboxes.
   * @param initial Whether the watcher is told what they hold now; all at once, so it is for few, or for a watcher
   * with room for all. Mailboxes give what they hold in any case.
   * @param mayTake Whether it may take from the mailbox of a name; without it nothing is told of one.
   */
  watch(
    pattern: string,
    watcher: RecordWatcher,
    initial: boolean,
    mayTake: MayTake = () => true,
  ): RecordWatch {
    const watching = this.#watches.open(pattern, watcher, mayTake);
    const named = this.#byName.get(pattern);
    const candidates = !watching.isExact ? this.list() : named === undefined ? [] : [named];
    for (const record of candidates) {
      if (!watching.matches(record)) continue;
      this.#refreshUnwatched(record);
      watching.enter(record, initial);
    }
    return watching;
  }

  /** Gives a defined record a value that is computed now and when somebody asks. */
  compute(record: LiveRecord, value: () => string): Ticket<RecordUpdate> {
    this.#computed.set(record.definition.name, value);
    return record.set(value());
  }

  /** Computes what is watched; to be called once a second, however often it is read. */
  refreshWatched(): void {
    for (const name of this.#computed.keys()) {
      const record = this.#byName.get(name);
      if (record !== undefined && record.watcherCount > 0) this.#refresh(record);
    }
  }

  /** Notes what was really told, for a stop in order, when nobody is served. */
  async settle(): Promise<void> {
    await Promise.all(this.list().map((record) => record.settle()?.promise().catch(() => {})));
  }

  #refresh(record: LiveRecord): void {
    const value = this.#computed.get(record.definition.name);
    if (value !== undefined) record.set(value());
  }

  /** While it is watched `refreshWatched` does it: who reads sets nothing that others are told of. */
  #refreshUnwatched(record: LiveRecord): void {
    if (record.watcherCount === 0) this.#refresh(record);
  }

  #redefine(
    record: LiveRecord,
    definition: RecordDefinition,
    requireFits: (record: LiveRecord) => void,
  ): Ticket<LiveRecord> {
    const { bufferType, capacity, volatile, schema, writable, name } = record.definition;
    const fixed = bufferType === definition.bufferType && capacity === definition.capacity &&
      volatile === definition.volatile;
    if (!fixed) {
      throw new PosternError(
        "conflict",
        `record.define: ${shown(name)} is a ${
          volatile ? "volatile " : ""
        }${bufferType} of ${capacity}; ` +
          "remove it first to make another of it",
        { buffer_type: bufferType, buffer_capacity: capacity, volatile },
      );
    }
    if (schema === definition.schema && writable === definition.writable) return Ticket.of(record);
    const before = record.definition;
    const redefined = record.redefine(definition, () => requireFits(record)).map(() => {
      if (this.#byName.get(name) === record) {
        this.#byTypeId.delete(before.typeId);
        this.#byTypeId.set(definition.typeId, record);
      }
      return record;
    });
    return this.#change(name, redefined);
  }

  /** Records, and names that are taken though there is none. */
  get #size(): number {
    const names = [...this.#changing.keys(), ...this.#leftovers.keys()];
    const unseen = new Set(names.filter((name) => !this.#byName.has(name)));
    return this.#byName.size + unseen.size;
  }

  /** Whoever defines the name meanwhile waits for what becomes of it. */
  #change<T>(name: string, change: Ticket<T>): Ticket<T> {
    const changed = change.map((): void => {});
    this.#changing.set(name, changed);
    changed.whenSettled(() => {
      if (this.#changing.get(name) === changed) this.#changing.delete(name);
    });
    return change;
  }

  /** Deletes the values of a record that is removed; its name is taken until that is done. */
  #clear(record: LiveRecord): Ticket<void> {
    const { name } = record.definition;
    this.#leftovers.set(name, record);
    const cleared = allSettled(record.valueRemovals().map((write) => this.#documents.put(write)))
      .map((): void => void this.#leftovers.delete(name));
    return this.#change(name, cleared);
  }

  /** Defines once a change of the same name is made, or was not. */
  #after(change: Ticket<void>, name: string, define: () => Ticket<LiveRecord>): Ticket<LiveRecord> {
    const defined = new Ticket<LiveRecord>();
    change.whenSettled((outcome) => {
      // Once more would come to the same.
      if (!outcome.ok && this.#leftovers.has(name)) return defined.fail(outcome.error);
      try {
        define().whenSettled((outcome) =>
          outcome.ok ? defined.succeed(outcome.value) : defined.fail(outcome.error)
        );
      } catch (error) {
        defined.fail(error);
      }
    });
    return defined;
  }

  /** What takes the place of something larger always finds room. */
  #requireRoom(operation: string, chars: number): void {
    if (chars <= 0 || this.#heldChars + chars <= MAX_VALUE_CHARS) return;
    throw new PosternError(
      "storage_full",
      `${operation}: the values and schemas of all records take at most ${MAX_VALUE_CHARS} characters; remove some`,
      { limit: MAX_VALUE_CHARS },
    );
  }

  #make(definition: RecordDefinition, createdAtMs: number): LiveRecord {
    return new LiveRecord(definition, createdAtMs, {
      documents: this.#documents,
      clock: this.#clock,
      hold: (chars) => this.#heldChars += chars,
      requireRoom: (operation, chars) => this.#requireRoom(operation, chars),
    });
  }

  #enter(record: LiveRecord): void {
    const { name, typeId } = record.definition;
    this.#byName.set(name, record);
    this.#byTypeId.set(typeId, record);
    this.#sorted = null;
    this.#watches.enter(record);
  }

  #drop(record: LiveRecord): void {
    const { name, typeId } = record.definition;
    this.#byName.delete(name);
    this.#byTypeId.delete(typeId);
    this.#sorted = null;
  }

  #restore(documents: readonly Document[]): void {
    for (const document of documents) {
      if (document.key[0] !== "record") continue;
      const record = this.#make(definitionOf(document), document.fields.created_ms as number);
      record.restoreDefinition(document);
      this.#heldChars += charsOf(record.definition);
      this.#enter(record);
    }
    for (const document of documents) {
      if (document.key[0] !== "value") continue;
      const record = this.#byName.get(document.key[1]);
      if (record !== undefined) record.restoreValue(document);
      // A crash came between the removal of a record and that of its values.
      else this.#documents.put({ key: document.key, content: null });
    }
  }
}

/** Whether only the daemon may define and set a record of this name. */
export function isOwnRecord(name: string): boolean {
  return OWN_NAMES.has(name.split(".", 1)[0]!);
}

function definitionOf({ key, fields, text }: Document): RecordDefinition {
  return {
    name: key[1],
    typeId: fields.type_id as string,
    bufferType: fields.buffer_type as BufferType,
    capacity: fields.capacity as number,
    schema: text ?? null,
    writable: fields.writable as boolean,
    volatile: fields.volatile as boolean,
  };
}
