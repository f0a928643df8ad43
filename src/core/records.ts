/**
 * All records of one daemon: defined, found by name, type id or pattern, watched, removed.
 *
 * Invariants: a record is there once its definition is on disk; a name is free again only once nothing of its
 * record is; definitions and removals of one name follow each other; a watch by name or pattern goes on over
 * removals and sees records that are defined later.
 *
 * Bounds: `MAX_RECORDS` records; all their values together `MAX_VALUE_CHARS`.
 */

import { PosternError, shown } from "./errors.ts";
import { NamePatterns } from "./filter.ts";
import type { Clock, Document, Documents } from "./ports.ts";
import {
  type BufferType,
  LiveRecord,
  type RecordDefinition,
  type RecordUpdate,
  type RecordWatcher,
} from "./record.ts";
import { allSettled, Ticket } from "./ticket.ts";

/** How many records one daemon keeps. One more is refused with `too_many`. */
export const MAX_RECORDS = 10_000;
/** Values of an `spmc_ring`. */
export const MAX_CAPACITY = 10_000;
/** Characters of all values together. What does not fit is refused with `storage_full`. */
export const MAX_VALUE_CHARS = 64 * 1024 * 1024;

/** First segments of names that are the daemon's own. */
const OWN_NAMES: ReadonlySet<string> = new Set(["aimx", "postern"]);

/** A watch by name or pattern. */
export interface RecordWatch {
  /** Nothing is told after this. */
  end(): void;
  /** Asks the mailboxes it watches for what they hold: the watcher is ready again. */
  ready(): void;
  /** Those that it watches now, by name. */
  records(): LiveRecord[];
}

interface Watching {
  readonly patterns: NamePatterns;
  readonly watcher: RecordWatcher;
}

/** The records of one daemon. */
export class Records {
  readonly #documents: Documents;
  readonly #clock: Clock;
  readonly #byName = new Map<string, LiveRecord>();
  readonly #byTypeId = new Map<string, LiveRecord>();
  /** Definitions and removals that are on their way to the disk. */
  readonly #changing = new Map<string, Ticket<void>>();
  /** Removed, with values that could not be deleted. */
  readonly #leftovers = new Map<string, LiveRecord>();
  readonly #watches = new Set<Watching>();
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
  list(): LiveRecord[] {
    return [...this.#byName.values()]
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

  /** What a record holds; of a computed one what it would now. */
  latest(record: LiveRecord): RecordUpdate | null {
    this.#refresh(record);
    return record.latest;
  }

  /**
   * Defines a record. The same definition again changes nothing; schema and opt-in may change.
   *
   * @throws PosternError `conflict` for another buffer under a name that is taken, `too_many`.
   */
  define(definition: RecordDefinition): Ticket<LiveRecord> {
    const { name } = definition;
    const changing = this.#changing.get(name);
    if (changing !== undefined) return this.#defineAfter(changing, definition);
    const known = this.#byName.get(name);
    if (known !== undefined) return this.#redefine(known, definition);
    const leftover = this.#leftovers.get(name);
    if (leftover !== undefined) return this.#defineAfter(this.#clear(leftover), definition);
    if (this.#size >= MAX_RECORDS) {
      throw new PosternError(
        "too_many",
        `record.define: ${shown(name)} would be one more than the ${MAX_RECORDS} that are kept`,
        { limit: MAX_RECORDS },
      );
    }
    const record = this.#make(definition, this.#clock.now());
    const stored = this.#documents.put(record.definitionWrite()).map(() => {
      record.definitionStored();
      this.#enter(record);
      return record;
    });
    return this.#change(name, stored);
  }

  /**
   * Sets a record's value, as {@linkcode LiveRecord.set} does.
   *
   * @throws PosternError `storage_full` when all values together would be too much.
   */
  set(record: LiveRecord, value: string, ifSequence?: number): Ticket<RecordUpdate> {
    if (this.#heldChars + value.length > MAX_VALUE_CHARS) {
      throw new PosternError(
        "storage_full",
        `record.set: the values of all records take at most ${MAX_VALUE_CHARS} characters; remove some`,
        { limit: MAX_VALUE_CHARS },
      );
    }
    return record.set(value, ifSequence);
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
   * @param pattern A record's name, or a pattern of names.
   * @param initial Whether the watcher is told what they hold now; all at once, so it is for few, or for a watcher
   * with room for all. Mailboxes give what they hold in any case.
   */
  watch(pattern: string, watcher: RecordWatcher, initial: boolean): RecordWatch {
    const watching = { patterns: new NamePatterns([pattern]), watcher };
    this.#watches.add(watching);
    const matching = () =>
      this.list().filter(({ definition }) => watching.patterns.matches(definition.name));
    for (const record of matching()) {
      if (initial) this.#refresh(record);
      record.watch(watcher, initial);
    }
    return {
      records: matching,
      end: () => {
        this.#watches.delete(watching);
        for (const record of matching()) record.unwatch(watcher);
      },
      ready: () => {
        for (const record of matching()) record.offer();
      },
    };
  }

  /** Gives a defined record a value that is computed now and when somebody asks. */
  compute(record: LiveRecord, value: () => string): Ticket<RecordUpdate> {
    this.#computed.set(record.definition.name, value);
    return record.set(value());
  }

  /** Computes what is watched; to be called once a second. */
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

  #redefine(record: LiveRecord, definition: RecordDefinition): Ticket<LiveRecord> {
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
    const stored = record.redefine(definition);
    this.#byTypeId.delete(before.typeId);
    this.#byTypeId.set(definition.typeId, record);
    stored.whenSettled((outcome) => {
      if (outcome.ok || this.#byName.get(name) !== record) return;
      this.#byTypeId.delete(definition.typeId);
      this.#byTypeId.set(before.typeId, record);
    });
    return this.#change(name, stored.map(() => record));
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

  #defineAfter(change: Ticket<void>, definition: RecordDefinition): Ticket<LiveRecord> {
    const defined = new Ticket<LiveRecord>();
    change.whenSettled((outcome) => {
      // Once more would come to the same.
      if (!outcome.ok && this.#leftovers.has(definition.name)) return defined.fail(outcome.error);
      try {
        this.define(definition).whenSettled((outcome) =>
          outcome.ok ? defined.succeed(outcome.value) : defined.fail(outcome.error)
        );
      } catch (error) {
        defined.fail(error);
      }
    });
    return defined;
  }

  #make(definition: RecordDefinition, createdAtMs: number): LiveRecord {
    return new LiveRecord(definition, createdAtMs, {
      documents: this.#documents,
      clock: this.#clock,
      hold: (chars) => this.#heldChars += chars,
    });
  }

  #enter(record: LiveRecord): void {
    const { name, typeId } = record.definition;
    this.#byName.set(name, record);
    this.#byTypeId.set(typeId, record);
    for (const { patterns, watcher } of this.#watches) {
      if (patterns.matches(name)) record.watch(watcher, false);
    }
  }

  #drop(record: LiveRecord): void {
    const { name, typeId } = record.definition;
    this.#byName.delete(name);
    this.#byTypeId.delete(typeId);
  }

  #restore(documents: readonly Document[]): void {
    for (const document of documents) {
      if (document.key[0] !== "record") continue;
      const record = this.#make(definitionOf(document), document.fields.created_ms as number);
      record.restoreDefinition(document);
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
