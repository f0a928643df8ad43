/**
 * A store that keeps its blocks in memory, fails when it is told to and waits when it is told to.
 *
 * `reopened()` is what a restart finds: what was committed, and nothing else. A block's size is that of its
 * envelopes in characters, so that a test can reckon retention by bytes to the event.
 */

import type { Block, BlockInfo, DedupEntry, LogEvent } from "../../src/core/event.ts";
import { cursorsIn, type CursorState } from "../../src/core/consumers.ts";
import type {
  CommitBatch,
  CommitOutcome,
  Document,
  DocumentWrite,
  LogStore,
  StoreState,
} from "../../src/core/ports.ts";

/** What the next commit is to come to. */
interface Failure {
  readonly error: unknown;
  /** Units that are stored nevertheless, with documents and the rest when there are any. */
  readonly storedUnits: number;
}

export interface MemoryStoreOptions {
  /** Units that share a block. @default all of a commit */
  readonly unitsPerBlock?: number;
}

export class MemoryStore implements LogStore {
  readonly state: StoreState;
  /** Every batch that was asked for, failed ones too. */
  readonly batches: CommitBatch[] = [];
  /** How often blocks were read back. */
  loads = 0;
  readonly #options: MemoryStoreOptions;
  readonly #blocks: Map<number, Block>;
  readonly #documents: Map<string, Document>;
  #head: number;
  #failures: Failure[] = [];
  #gate: Promise<void> | null = null;
  #loadGate: Promise<void> | null = null;
  #begun: (() => void)[] = [];
  #loadBegun: (() => void)[] = [];

  constructor(options: MemoryStoreOptions = {}, from?: MemoryStore) {
    this.#options = options;
    this.#blocks = new Map(from?.blocks.map((block) => [block.firstSeq, block]));
    this.#documents = new Map(from?.documents.map((one) => [one.key.join(), one]));
    this.#head = from === undefined ? 0 : from.#head;
    this.state = {
      epoch: "the epoch",
      head: this.#head,
      blocks: this.blocks.map(infoOf),
      documents: this.documents,
      dedup: this.blocks.flatMap(({ dedup }) => dedup),
    };
  }

  /** The blocks that are kept, in order. */
  get blocks(): Block[] {
    return [...this.#blocks.values()].sort((a, b) => a.firstSeq - b.firstSeq);
  }

  get cursors(): CursorState[] {
    return cursorsIn(this.documents);
  }

  get documents(): Document[] {
    return [...this.#documents.values()];
  }

  /** The same store after a restart. */
  reopened(): MemoryStore {
    return new MemoryStore(this.#options, this);
  }

  /** Lets the next commit fail, behind so many units that go in. */
  failNext(error: unknown, storedUnits = 0): void {
    this.#failures.push({ error, storedUnits });
  }

  /** Holds every commit back from now on; the function returned lets them go. */
  holdCommits(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    return () => {
      this.#gate = null;
      resolve();
    };
  }

  /** Holds every read back from now on; the function returned lets them go. */
  holdLoads(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#loadGate = promise;
    return () => {
      this.#loadGate = null;
      resolve();
    };
  }

  /** Resolves when the next commit has begun. */
  commitBegins(): Promise<void> {
    return new Promise((resolve) => this.#begun.push(resolve));
  }

  /** Resolves when the next read has begun. */
  loadBegins(): Promise<void> {
    return new Promise((resolve) => this.#loadBegun.push(resolve));
  }

  async commit(batch: CommitBatch): Promise<CommitOutcome> {
    this.batches.push(batch);
    for (const resolve of this.#begun.splice(0)) resolve();
    const failure = this.#failures.shift();
    // A real store is never done in the turn in which it was asked.
    await Promise.resolve();
    await this.#gate;
    const storedUnits = Math.min(failure?.storedUnits ?? Infinity, batch.units.length);
    const blocks = this.#blocksOf(batch, storedUnits);
    if (batch.keepEvents) { for (const block of blocks) this.#blocks.set(block.firstSeq, block); }
    this.#head = blocks.at(-1)?.lastSeq ?? this.#head;
    for (const { documents } of batch.units.slice(0, storedUnits)) this.#write(documents);
    const restStored = failure === undefined || storedUnits > 0;
    const merged = restStored ? this.#storeRest(batch) : [];
    return {
      storedUnits,
      blocks,
      restStored,
      merged,
      ...(failure === undefined ? {} : { failure: failure.error }),
    };
  }

  async load(first: BlockInfo, limit: number): Promise<Block[]> {
    this.loads++;
    for (const resolve of this.#loadBegun.splice(0)) resolve();
    await Promise.resolve();
    await this.#loadGate;
    const blocks = this.blocks.filter(({ firstSeq }) => firstSeq >= first.firstSeq).slice(0, limit);
    // Copies, as a database gives them.
    return blocks[0]?.firstSeq === first.firstSeq ? blocks.map((block) => ({ ...block })) : [];
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #blocksOf({ units }: CommitBatch, storedUnits: number): Block[] {
    const { unitsPerBlock = Math.max(1, storedUnits) } = this.#options;
    const blocks: Block[] = [];
    for (let at = 0; at < storedUnits; at += unitsPerBlock) {
      const own = units.slice(at, Math.min(at + unitsPerBlock, storedUnits));
      blocks.push(
        blockOf(own.flatMap(({ events }) => events), own.flatMap(({ dedup }) => dedup)),
      );
    }
    return blocks;
  }

  #write(documents: readonly DocumentWrite[]): void {
    for (const { key, content } of documents) {
      if (content === null) this.#documents.delete(key.join());
      else this.#documents.set(key.join(), { key, ...content });
    }
  }

  #storeRest({ documents, droppedBlocks, merges }: CommitBatch): Block[] {
    this.#write(documents);
    for (const { firstSeq } of droppedBlocks) this.#blocks.delete(firstSeq);
    return merges.map((run) => {
      const whole = blockOf(run.flatMap(({ events }) => events), run.flatMap(({ dedup }) => dedup));
      for (const { firstSeq } of run) this.#blocks.delete(firstSeq);
      this.#blocks.set(whole.firstSeq, whole);
      return whole;
    });
  }
}

/** A block of these events. */
export function blockOf(events: readonly LogEvent[], dedup: readonly DedupEntry[] = []): Block {
  const [first, last] = [events[0]!, events.at(-1)!];
  return {
    firstSeq: first.seq,
    lastSeq: last.seq,
    firstMs: first.bufferedAtMs,
    lastMs: last.bufferedAtMs,
    bytes: events.reduce((sum, { envelope }) => sum + envelope.length, 0),
    chunks: 0,
    expiring: events.some(({ expiresAtMs }) => expiresAtMs !== null),
    events,
    dedup,
  };
}

function infoOf(
  { firstSeq, lastSeq, firstMs, lastMs, bytes, chunks, expiring }: Block,
): BlockInfo {
  return { firstSeq, lastSeq, firstMs, lastMs, bytes, chunks, expiring };
}
