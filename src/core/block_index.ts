/**
 * Which blocks the log consists of, and the newest of them in memory.
 *
 * Invariants: blocks are in order and do not overlap; those in memory are a suffix of the index; the
 * memory they take stays under its bound, oldest out first. A log that keeps nothing has no other copy, so
 * there a block that leaves memory leaves the index too.
 */

import type { Block, BlockInfo } from "./event.ts";

interface Entry {
  info: BlockInfo;
  block: Block | null;
}

/** How many small neighbours are gathered before they are rewritten as one block. */
const MERGE_RUN = 64;
/** A block at least this large, in bytes, is left as it is. */
const MERGE_BLOCK_BYTES = 16 * 1024;
/** A merged block stays below this, in bytes, so that it fits one stored value. */
const MERGED_BYTES = 48 * 1024;

/** The index of a log's blocks. */
export class BlockIndex {
  readonly #memoryBytes: number;
  readonly #keeps: boolean;
  #entries: Entry[];
  /** Position of the first entry whose block is in memory. */
  #inMemory: number;
  #bytesInMemory = 0;
  #bytes = 0;
  /** Seq from which on no merge was tried. */
  #mergeFrom = 0;

  constructor(blocks: readonly BlockInfo[], options: { memoryBytes: number; keeps: boolean }) {
    this.#memoryBytes = options.memoryBytes;
    this.#keeps = options.keeps;
    this.#entries = blocks.map((info) => ({ info, block: null }));
    this.#inMemory = this.#entries.length;
    for (const info of blocks) this.#bytes += info.bytes;
    this.#mergeFrom = (blocks.at(-1)?.lastSeq ?? 0) + 1;
  }

  /** Stored bytes of all blocks. */
  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#entries.length;
  }

  get first(): BlockInfo | undefined {
    return this.#entries[0]?.info;
  }

  /** Adds a block behind all others. */
  add(block: Block): void {
    this.#entries.push({ info: infoOf(block), block });
    this.#bytes += block.bytes;
    this.#bytesInMemory += block.bytes;
    while (this.#bytesInMemory > this.#memoryBytes && this.#inMemory < this.#entries.length - 1) {
      this.#leaveMemory();
    }
  }

  /** Takes the first block out. */
  dropFirst(): BlockInfo | undefined {
    const entry = this.#entries.shift();
    if (entry === undefined) return undefined;
    this.#bytes -= entry.info.bytes;
    if (this.#inMemory > 0) this.#inMemory--;
    else this.#bytesInMemory -= entry.info.bytes;
    return entry.info;
  }

  /** The first block that reaches up to `seq` or beyond, with its content if that is in memory. */
  find(seq: number): { readonly info: BlockInfo; readonly block: Block | null } | undefined {
    return this.#entries[this.#search(seq)];
  }

  /** Blocks in memory for which no merge was tried yet. */
  get unmerged(): number {
    return this.#entries.length - Math.max(this.#search(this.#mergeFrom), this.#inMemory);
  }

  /** A run of small blocks in memory that is worth rewriting as one, or `null`. */
  mergeableRun(): Block[] | null {
    let at = Math.max(this.#search(this.#mergeFrom), this.#inMemory);
    while (this.#entries.length - at >= MERGE_RUN) {
      const run = this.#smallRun(at);
      if (run.length >= MERGE_RUN / 4) return run;
      at += Math.max(1, run.length);
      this.#mergeFrom = this.#entries[at]?.info.firstSeq ?? this.#mergeFrom;
    }
    return null;
  }

  /**
   * Puts one block in the place of those it was made of, and tries no merge before its end again.
   *
   * @returns `false` when all of those have been dropped since, and the merged one with them.
   */
  replace(merged: Block): boolean {
    const at = this.#search(merged.firstSeq);
    let bytes = 0;
    let count = 0;
    for (; (this.#entries[at + count]?.info.lastSeq ?? Infinity) <= merged.lastSeq; count++) {
      bytes += this.#entries[at + count]!.info.bytes;
    }
    if (count === 0) return false;
    this.#entries.splice(at, count, { info: infoOf(merged), block: merged });
    this.#bytes += merged.bytes - bytes;
    this.#bytesInMemory += merged.bytes - bytes;
    this.#mergeFrom = merged.lastSeq + 1;
    return true;
  }

  #smallRun(at: number): Block[] {
    const run: Block[] = [];
    let bytes = 0;
    for (let i = at; i < this.#entries.length && run.length < MERGE_RUN; i++) {
      const { info, block } = this.#entries[i]!;
      bytes += info.bytes;
      const large = info.bytes >= MERGE_BLOCK_BYTES || info.chunks > 0 || bytes > MERGED_BYTES;
      if (large || block === null) break;
      run.push(block);
    }
    return run;
  }

  #leaveMemory(): void {
    if (!this.#keeps) {
      this.dropFirst();
      return;
    }
    const entry = this.#entries[this.#inMemory++]!;
    entry.block = null;
    this.#bytesInMemory -= entry.info.bytes;
  }

  #search(seq: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entries[middle]!.info.lastSeq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Without the content, so that a block that leaves memory is gone from it. */
function infoOf(
  { firstSeq, lastSeq, firstMs, lastMs, bytes, chunks, expiring }: BlockInfo,
): BlockInfo {
  return { firstSeq, lastSeq, firstMs, lastMs, bytes, chunks, expiring };
}
