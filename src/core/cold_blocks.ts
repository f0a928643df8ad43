/**
 * Blocks that were read back from the store: at hand for other readers, each read once however many ask.
 *
 * Bounds: `COLD_BYTES` of blocks that are at hand, and one more if it alone is larger; the oldest go first.
 */

import type { Block, BlockInfo } from "./event.ts";
import type { LogStore } from "./ports.ts";

/** Bytes of blocks that stay at hand, so that several readers share one read. */
const COLD_BYTES = 4 * 1024 * 1024;
/** Blocks to read back at once. */
const READ_AHEAD = 16;

/** What one log has read back. */
export class ColdBlocks {
  readonly #store: LogStore;
  readonly #isThere: (info: BlockInfo) => boolean;
  /** By first seq, oldest first. */
  readonly #blocks = new Map<number, Block>();
  readonly #loading = new Map<number, Promise<Block | null>>();
  #bytes = 0;

  /** @param isThere Whether the log still consists of this block. */
  constructor(store: LogStore, isThere: (info: BlockInfo) => boolean) {
    this.#store = store;
    this.#isThere = isThere;
  }

  /** The block, if it is at hand; what was read back before it was merged is not it. */
  find({ firstSeq, lastSeq }: BlockInfo): Block | null {
    const found = this.#blocks.get(firstSeq);
    return found?.lastSeq === lastSeq ? found : null;
  }

  /** Reads a block back. @returns `null` when the log has dropped it meanwhile. */
  load(info: BlockInfo): Promise<Block | null> {
    let loading = this.#loading.get(info.firstSeq);
    if (loading === undefined) {
      loading = this.#read(info).finally(() => this.#loading.delete(info.firstSeq));
      this.#loading.set(info.firstSeq, loading);
    }
    return loading;
  }

  async #read(info: BlockInfo): Promise<Block | null> {
    const blocks = await this.#store.load(info, READ_AHEAD);
    if (blocks[0] === undefined) {
      if (!this.#isThere(info)) return null;
      throw new Error(`block ${info.firstSeq} is not in the store`);
    }
    for (const block of blocks) this.#keep(block);
    return blocks[0];
  }

  #keep(block: Block): void {
    this.#forget(block.firstSeq);
    this.#blocks.set(block.firstSeq, block);
    this.#bytes += block.bytes;
    for (const oldest of this.#blocks.keys()) {
      if (this.#blocks.size === 1 || this.#bytes <= COLD_BYTES) return;
      this.#forget(oldest);
    }
  }

  #forget(firstSeq: number): void {
    this.#bytes -= this.#blocks.get(firstSeq)?.bytes ?? 0;
    this.#blocks.delete(firstSeq);
  }
}
