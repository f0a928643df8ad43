/** Real stores on disk for tests, with what they wrote to their log and noted as their head. */

import { join } from "@std/path/posix";
import type { Block, LogEvent, NewEvent } from "../../src/core/event.ts";
import type { CommitBatch, Log, LogStore, Unit } from "../../src/core/ports.ts";
import { type HeadHint, openKvStore } from "../../src/store/kv_store.ts";

/** A place for a store, removed in the end; a store is opened in it as often as a test likes. */
export class StorePlace implements AsyncDisposable {
  readonly directory: string;
  /** What the hint says now; a test may change it. */
  hinted: { epoch: string; head: number } | null = null;
  readonly logged: { level: keyof Log; message: string }[] = [];
  #open: LogStore | null = null;
  #epochs = 0;

  constructor() {
    this.directory = Deno.makeTempDirSync({ prefix: "postern_store_" });
  }

  get path(): string {
    return join(this.directory, "events.kv");
  }

  /** Opens the store as a start of the daemon does; the one that was open is closed first. */
  async open(hint: Partial<HeadHint> = {}): Promise<LogStore> {
    await this.close();
    const at = (level: keyof Log) => (message: string) => void this.logged.push({ level, message });
    return this.#open = await openKvStore({
      path: this.path,
      hint: {
        read: () => this.hinted,
        write: (hint) => void (this.hinted = hint),
        close() {},
        ...hint,
      },
      log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
      newEpoch: () => `epoch-${++this.#epochs}`,
    });
  }

  async close(): Promise<void> {
    await this.#open?.close();
    this.#open = null;
  }

  /** Works on the database itself, which no store has open meanwhile. */
  async raw<T>(work: (kv: Deno.Kv) => Promise<T>): Promise<T> {
    await this.close();
    const kv = await Deno.openKv(this.path);
    try {
      return await work(kv);
    } finally {
      kv.close();
    }
  }

  /** Every key that is stored, as text. */
  async keys(): Promise<string[]> {
    return await this.raw(async (kv) => {
      const keys: string[] = [];
      for await (const { key } of kv.list({ prefix: [] })) keys.push(key.join(" "));
      return keys;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Opens a store for a process that notes no head and says nothing. */
export function openQuietly(path: string): Promise<LogStore> {
  return openKvStore({
    path,
    hint: { read: () => null, write() {}, close() {} },
    log: { debug() {}, info() {}, warn() {}, error() {} },
    newEpoch: () => "the epoch",
  });
}

/** A batch of these units and nothing else, or with what `more` says. */
export function batchOf(units: readonly Unit[], more: Partial<CommitBatch> = {}): CommitBatch {
  return {
    units,
    keepEvents: true,
    documents: [],
    droppedBlocks: [],
    merges: [],
    ...more,
  };
}

/** Events as one unit, with seqs from `firstSeq` on. */
export function unitOf(firstSeq: number, made: readonly NewEvent[], bufferedAtMs = 1000): Unit {
  const events = made.map(({ kind, topic, envelope, ttlMs }, i): LogEvent => ({
    seq: firstSeq + i,
    bufferedAtMs,
    kind,
    topic,
    expiresAtMs: ttlMs === null ? null : bufferedAtMs + ttlMs,
    envelope,
  }));
  const dedup = made.flatMap(({ dedupKey, msgId }, i) =>
    dedupKey === null ? [] : [{ key: dedupKey, seq: firstSeq + i, msgId }]
  );
  return { events, dedup, documents: [] };
}

/** Events as units of their own. */
export function unitsOf(firstSeq: number, made: readonly NewEvent[]): Unit[] {
  return made.map((event, i) => unitOf(firstSeq + i, [event]));
}

/** Every event that a store holds, read back block by block. */
export async function eventsOf(store: LogStore): Promise<LogEvent[]> {
  return plain((await blocksOf(store)).flatMap(({ events }) => events));
}

/** Events with nothing but the fields that an event has. */
export function plain(events: readonly LogEvent[]): LogEvent[] {
  return events.map(({ seq, bufferedAtMs, kind, topic, expiresAtMs, envelope }) => (
    { seq, bufferedAtMs, kind, topic, expiresAtMs, envelope }
  ));
}

/** Every block that a store knew when it was opened. */
export async function blocksOf(store: LogStore): Promise<Block[]> {
  const blocks: Block[] = [];
  for (const info of store.state.blocks) blocks.push(...await store.load(info, 1));
  return blocks;
}
