/**
 * Encodes a block once for all subscribers who get the same bytes of it.
 *
 * Bound: the encodings of the last `MAX_BLOCKS` blocks that were asked for, `MAX_PER_BLOCK` of each; what
 * does not fit is encoded for its own subscriber and forgotten.
 */

import type { Block } from "../core/event.ts";

export interface EncodedLines {
  readonly bytes: Uint8Array;
  /** The last event in it; 0 when the filter let none through. */
  readonly lastSeq: number;
}

/** A block is at most 60 KiB, or one event of 1 MiB. */
const MAX_BLOCKS = 32;
const MAX_PER_BLOCK = 16;

/** A small cache of encoded blocks. */
export class SharedEncodings {
  readonly #byBlock = new Map<Block, Map<string, EncodedLines>>();

  /** The lines called `name` of a block, made by `make` if nobody had them yet. */
  get(block: Block, name: string, make: () => EncodedLines): EncodedLines {
    let encodings = this.#byBlock.get(block);
    if (encodings === undefined) {
      encodings = new Map();
      this.#byBlock.set(block, encodings);
      if (this.#byBlock.size > MAX_BLOCKS) {
        this.#byBlock.delete(this.#byBlock.keys().next().value!);
      }
    }
    const known = encodings.get(name);
    if (known !== undefined) return known;
    const made = make();
    if (encodings.size < MAX_PER_BLOCK) encodings.set(name, made);
    return made;
  }
}
