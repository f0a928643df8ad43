/**
 * Encodes a block once for all subscribers who get the same bytes of it.
 *
 * Bound: the encodings of the last `MAX_BLOCKS` blocks that were asked for, `MAX_PER_BLOCK` of each and
 * `MAX_BYTES` together, the oldest blocks out first; what does not fit is encoded for its own subscriber
 * and forgotten.
 */

import type { Block } from "../core/event.ts";

export interface EncodedLines {
  readonly bytes: Uint8Array;
  /** The last event in it; 0 when the filter let none through. */
  readonly lastSeq: number;
}

const MAX_BLOCKS = 32;
const MAX_PER_BLOCK = 16;
const MAX_BYTES = 16 * 1024 * 1024;

/** A small cache of encoded blocks. */
export class SharedEncodings {
  readonly #byBlock = new Map<Block, Map<string, EncodedLines>>();
  #bytes = 0;

  /** Bytes of all encodings that are remembered. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The lines called `name` of a block, made by `make` if nobody had them yet. */
  get(block: Block, name: string, make: () => EncodedLines): EncodedLines {
    const encodings = this.#byBlock.get(block);
    const known = encodings?.get(name);
    if (known !== undefined) return known;
    const made = make();
    this.#remember(block, name, made);
    return made;
  }

  #remember(block: Block, name: string, made: EncodedLines): void {
    let encodings = this.#byBlock.get(block);
    if (encodings === undefined) this.#byBlock.set(block, encodings = new Map());
    if (encodings.size >= MAX_PER_BLOCK) return;
    encodings.set(name, made);
    this.#bytes += made.bytes.byteLength;
    for (const oldest of this.#byBlock.keys()) {
      if (this.#byBlock.size <= MAX_BLOCKS && this.#bytes <= MAX_BYTES) return;
      this.#forget(oldest);
    }
  }

  #forget(block: Block): void {
    for (const { bytes } of this.#byBlock.get(block)!.values()) this.#bytes -= bytes.byteLength;
    this.#byBlock.delete(block);
  }
}
