/**
 * The event log: append, read from a position, retention.
 *
 * Invariants: seqs start at 1, are contiguous and never used twice within an epoch; an event is visible
 * once its commit is on disk and not before; readers never see an event that retention has dropped, and
 * learn of it as a gap. Retention trims from the front by count, bytes and age, to the event exactly.
 *
 * Memory: the newest blocks, up to `memoryBytes`, and what `ColdBlocks` has read back.
 */

import { BlockIndex } from "./block_index.ts";
import { ColdBlocks } from "./cold_blocks.ts";
import { DedupKeys } from "./dedup.ts";
import type { Block, BlockInfo, LogEvent, NewEvent } from "./event.ts";
import type { Filter } from "./filter.ts";
import { type Appended, GroupCommit, type Housekeeping } from "./group_commit.ts";
import type {
  Clock,
  CommitBatch,
  CommitOutcome,
  Documents,
  DocumentWrite,
  LogStore,
} from "./ports.ts";
import { allSettled, Ticket } from "./ticket.ts";

/** How much the log keeps. The oldest events go first, whichever limit is reached. */
export interface Retention {
  /** Events; 0 keeps none: they are numbered, shown to live subscribers, and gone. */
  readonly maxEvents: number;
  /** Bytes; 0 keeps none, and with any other the newest event stays even if it alone is larger. */
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

/** Where a reader goes on. */
export interface Position {
  readonly block: Block | null;
  /** The first readable seq at or behind the one sought; a larger one means that a range is lost. */
  readonly seq: number;
}

export interface LogOptions {
  readonly clock: Clock;
  readonly retention: Retention;
  /** Bytes of the newest blocks to keep in memory. @default 8 MiB */
  readonly memoryBytes?: number;
}

const DEFAULT_MEMORY_BYTES = 8 * 1024 * 1024;
/** Dropped blocks that one commit deletes; a commit takes 1,000 mutations. */
const DROPS_PER_COMMIT = 256;
/** Small blocks that may gather while the log is never idle; then they are merged all the same. */
const UNMERGED_BLOCKS = 1024;

/** One durable log. */
export class EventLog implements Documents {
  readonly #store: LogStore;
  readonly #clock: Clock;
  readonly #retention: Retention;
  readonly #index: BlockIndex;
  readonly #commits: GroupCommit;
  readonly #cold: ColdBlocks;
  readonly #dedup: DedupKeys;
  #dropped: BlockInfo[] = [];
  #head: number;
  #appendedCount = 0;
  #front: number;
  #healthy = true;
  #tidying = false;
  /** Called after each commit, once its senders have their answers. */
  onAppended: () => void = () => {};

  /** @param store An opened store; the log is its one writer from now on. */
  constructor(store: LogStore, options: LogOptions) {
    this.#store = store;
    this.#clock = options.clock;
    this.#retention = options.retention;
    this.#dedup = new DedupKeys(store.state.dedup);
    this.#head = store.state.head;
    this.#front = store.state.blocks[0]?.firstSeq ?? this.#head + 1;
    this.#index = new BlockIndex(store.state.blocks, {
      memoryBytes: options.memoryBytes ?? DEFAULT_MEMORY_BYTES,
      keeps: this.#keeps,
    });
    this.#cold = new ColdBlocks(
      store,
      (info) => this.#index.find(info.firstSeq)?.info === info,
    );
    this.#commits = new GroupCommit(store, {
      housekeeping: (idle) => this.#housekeeping(idle),
      committed: (batch, outcome) => this.#committed(batch, outcome),
      settled: () => this.onAppended(),
    }, {
      clock: options.clock,
      keepEvents: this.#keeps,
      maxTtlMs: options.retention.maxAgeMs,
    });
  }

  /** Whether the last commit was stored. */
  get isHealthy(): boolean {
    return this.#healthy;
  }

  get epoch(): string {
    return this.#store.state.epoch;
  }

  /** The highest committed seq, 0 for an empty log. */
  get head(): number {
    return this.#head;
  }

  /** Events appended since the log was opened. */
  get appendedCount(): number {
    return this.#appendedCount;
  }

  /** Characters of what waits for its commit; whoever feeds the log bounds it. */
  get backlogChars(): number {
    return this.#commits.backlogChars;
  }

  /** Resolves when at most so many characters wait for their commit. */
  backlogAtMost(chars: number): Promise<void> {
    return this.#commits.backlogAtMost(chars);
  }

  /** Retained bytes, blocks and dedup keys, for `system.status`. */
  get counters(): Record<"head" | "front" | "bytes" | "blocks" | "dedup_keys", number> {
    this.#refreshFront();
    return {
      head: this.#head,
      front: this.#front,
      bytes: this.#index.bytes,
      blocks: this.#index.length,
      dedup_keys: this.#dedup.size,
    };
  }

  /**
   * Appends events together or not at all. The ticket is settled when they are on disk.
   *
   * An event whose dedup key is taken is not appended; its place in the answer tells of the first one.
   *
   * @param documents Changes that are stored with the events or not at all; such events have no dedup keys.
   */
  append(
    events: readonly NewEvent[],
    documents: readonly DocumentWrite[] = [],
  ): Ticket<readonly Appended[]> {
    if (documents.length > 0) return this.#commits.append(events, documents);
    for (const { dedupKey } of events) if (dedupKey !== null) return this.#appendOnce(events);
    return this.#commits.append(events);
  }

  /** Stores or removes a document with the next commit. */
  put(write: DocumentWrite): Ticket<void> {
    return this.#commits.put(write);
  }

  /**
   * Finds where a reader at `seq` goes on: synchronously when the block is in memory.
   *
   * @param live Whether the event came after the reader did; a log that keeps nothing shows only such.
   * @returns `null` at the end of the log; a position without a block when all up to the head is lost.
   */
  seek(seq: number, live = false): Position | null | Promise<Position | null> {
    if (seq > this.#head) return null;
    this.#dropWholeBlocks();
    const from = Math.max(seq, this.#readableFront(live));
    const found = this.#index.find(from);
    if (found === undefined) return { block: null, seq: this.#head + 1 };
    const block = this.#atHand(found);
    if (block !== null) return this.#positionIn(block, from, live);
    return this.#cold.load(found.info).then((loaded) =>
      // Retention has taken it while it was read.
      loaded === null
        ? this.seek(from, live) ?? { block: null, seq: from }
        : this.#positionIn(loaded, from, live)
    );
  }

  /** How many events of a range are readable and pass the filter. */
  async count(from: number, to: number, filter: Filter): Promise<number> {
    this.#dropWholeBlocks();
    let count = 0;
    for (let seq = from; seq <= to;) {
      const found = this.#index.find(Math.max(seq, this.#front));
      if (found === undefined) break;
      const { info } = found;
      const whole = info.firstSeq >= seq && info.lastSeq <= to && info !== this.#index.first;
      if (whole && filter.passesAll && !info.expiring) {
        count += info.lastSeq - info.firstSeq + 1;
        seq = info.lastSeq + 1;
        continue;
      }
      const position = await this.seek(seq);
      if (position === null || position.block === null) break;
      for (const event of position.block.events) {
        if (event.seq < position.seq || event.seq > to) continue;
        if (filter.matches(event) && !this.isExpired(event)) count++;
      }
      seq = position.block.lastSeq + 1;
    }
    return count;
  }

  /** Whether a reader may still see the event, or its own time is over. */
  isExpired(event: LogEvent): boolean {
    return event.expiresAtMs !== null && event.expiresAtMs <= this.#clock.now();
  }

  /** Carries out what retention and merging left to do, though nobody sends. */
  tidy(): void {
    this.#dropWholeBlocks();
    this.#tidying = true;
    // Worth one try, whatever the last commit came to.
    this.#healthy = true;
    this.#commits.start();
  }

  /** Resolves when every append so far is settled. */
  drain(): Promise<void> {
    return this.#commits.drain();
  }

  get #keeps(): boolean {
    return this.#retention.maxEvents > 0 && this.#retention.maxBytes > 0;
  }

  /** Without retention a live subscriber may still read what is in memory. */
  #readableFront(live: boolean): number {
    return this.#keeps || !live ? this.#front : this.#index.first?.firstSeq ?? this.#head + 1;
  }

  #appendOnce(events: readonly NewEvent[]): Ticket<readonly Appended[]> {
    const outcomes: Ticket<Appended>[] = [];
    const fresh: NewEvent[] = [];
    const freshOutcomes: Ticket<Appended>[] = [];
    this.#refreshFront();
    for (const event of events) {
      const known = event.dedupKey === null ? undefined : this.#dedup.find(event.dedupKey);
      if (known !== undefined) {
        outcomes.push(known.map((first): Appended => ({ ...first, duplicate: true })));
        continue;
      }
      const outcome = new Ticket<Appended>();
      if (event.dedupKey !== null) this.#dedup.take(event.dedupKey, outcome);
      outcomes.push(outcome);
      fresh.push(event);
      freshOutcomes.push(outcome);
    }
    if (fresh.length > 0) {
      this.#commits.append(fresh).whenSettled((settled) =>
        freshOutcomes.forEach((outcome, i) =>
          settled.ok ? outcome.succeed(settled.value[i]!) : outcome.fail(settled.error)
        )
      );
    }
    return allSettled(outcomes);
  }

  #positionIn(
    block: Block,
    from: number,
    live: boolean,
  ): Position | null | Promise<Position | null> {
    const seq = Math.max(from, block.firstSeq, this.#readableFront(live), this.#frontWithin(block));
    if (seq <= block.lastSeq) return { block, seq };
    return this.seek(seq, live) ?? { block: null, seq };
  }

  /** The content of a block if it is in memory. */
  #atHand({ info, block }: { info: BlockInfo; block: Block | null }): Block | null {
    return block ?? this.#cold.find(info);
  }

  #dropWholeBlocks(): void {
    const { maxEvents, maxBytes, maxAgeMs } = this.#retention;
    const oldestMs = this.#clock.now() - maxAgeMs;
    for (
      let first = this.#index.first;
      first !== undefined && this.#keeps;
      first = this.#index.first
    ) {
      const over = first.lastSeq <= this.#head - maxEvents || first.lastMs <= oldestMs ||
        (this.#index.bytes - first.bytes >= maxBytes && first.lastSeq < this.#head);
      if (!over) break;
      this.#dropped.push(this.#index.dropFirst()!);
      this.#advanceFront(first.lastSeq + 1);
    }
    if (!this.#keeps) this.#advanceFront(this.#head + 1);
    this.#advanceFront(Math.min(this.#head - maxEvents + 1, this.#head + 1));
  }

  /** As exact as it can be without reading the store; keys of dropped events are free then. */
  #refreshFront(): void {
    this.#dropWholeBlocks();
    const found = this.#index.find(this.#front);
    const block = found === undefined ? null : this.#atHand(found);
    if (block !== null) this.#frontWithin(block);
    this.#dedup.forgetBefore(this.#front);
  }

  /** The exact front, given the content of a block; only the first block can be readable in part. */
  #frontWithin(block: Block): number {
    if (block.firstSeq !== this.#index.first?.firstSeq || !this.#keeps) return 0;
    const oldestMs = this.#clock.now() - this.#retention.maxAgeMs;
    if (block.firstMs > oldestMs && this.#index.bytes <= this.#retention.maxBytes) return 0;
    let excess = this.#index.bytes - this.#retention.maxBytes;
    const chars = block.events.reduce((sum, event) => sum + event.envelope.length, 0);
    for (const event of block.events) {
      // The newest event stays, however small the bound: somebody may be waiting for it.
      if (event.bufferedAtMs > oldestMs && (excess <= 0 || event.seq === this.#head)) {
        this.#advanceFront(event.seq);
        return this.#front;
      }
      excess -= block.bytes * event.envelope.length / chars;
    }
    this.#advanceFront(block.lastSeq + 1);
    return this.#front;
  }

  #advanceFront(seq: number): void {
    if (seq <= this.#front) return;
    this.#front = seq;
    this.#dedup.forgetBefore(seq);
  }

  /**
   * What rides in the next commit. An idle log commits for it alone only to merge, or when asked to tidy:
   * a commit is an fsync. After a failure it waits for the next success, so as not to spin.
   */
  #housekeeping(idle: boolean): Housekeeping | null {
    const mayMerge = idle || this.#index.unmerged >= UNMERGED_BLOCKS;
    const run = mayMerge && this.#keeps && this.#healthy ? this.#index.mergeableRun() : null;
    this.#tidying &&= this.#dropped.length > 0 && this.#healthy;
    if (idle && run === null && !this.#tidying) return null;
    const droppedBlocks = this.#dropped.splice(0, DROPS_PER_COMMIT);
    return { droppedBlocks, merges: run === null ? [] : [run] };
  }

  #committed(batch: CommitBatch, outcome: CommitOutcome): void {
    this.#healthy = outcome.failure === undefined;
    // Before new blocks push out of memory what was merged.
    if (outcome.restStored) { for (const merged of outcome.merged) this.#takeMerged(merged); }
    else this.#dropped.unshift(...batch.droppedBlocks);
    for (const block of outcome.blocks) {
      this.#index.add(block);
      this.#appendedCount += block.lastSeq - block.firstSeq + 1;
      this.#head = block.lastSeq;
    }
    this.#dropWholeBlocks();
  }

  /** Blocks that were dropped while they were merged live on in the merged one, until that is dropped. */
  #takeMerged(merged: Block): void {
    const { firstSeq, lastSeq } = merged;
    this.#dropped = this.#dropped.filter((info) =>
      info.lastSeq < firstSeq || info.firstSeq > lastSeq
    );
    if (!this.#index.replace(merged)) this.#dropped.push(merged);
  }
}
