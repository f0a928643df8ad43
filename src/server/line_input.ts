/**
 * What a connection reads: lines, in order, each handled before the next is begun where it must be.
 *
 * Invariants: nothing is read while lines wait to be handled; whoever sends many or long lines lets other connections
 * come first. Bound: the bytes of a line, around which the buffer grows.
 */

import { LineSplitter } from "../codecs/ndjson.ts";
import type { Turns } from "./turns.ts";

/** So long may the lines of one read be handled while others wait; then they come first. */
const TURN_MS = 1;
/** A longer line is handled in a turn of its own. */
const LONG_LINE_CHARS = 16 * 1024;

/** What a connection does with its lines. */
export interface LineInputOptions {
  readonly maxLineBytes: number;
  readonly read: (into: Uint8Array) => Promise<number | null>;
  readonly turns: Turns;
  /** Told of each bunch of bytes that came. */
  readonly onRead: (bytes: number) => void;
  /** The buffer holds so many bytes more than before, or fewer. */
  readonly hold: (bytes: number) => void;
  /** Something to wait for before a line is handled, or nothing. */
  readonly untilReady: () => Promise<void> | undefined;
  /**
   * Handles a line.
   *
   * @param line `null` for one that is not UTF-8.
   * @returns A promise when the next line has to wait for this one.
   */
  readonly handle: (line: string | null) => Promise<void> | undefined;
}

/** How the input ended. */
export type InputEnd = "whole" | "unfinished" | "overlong" | "closed";

/** The input of one connection. */
export class LineInput {
  readonly #options: LineInputOptions;
  readonly #lines: LineSplitter;
  #heldBytes = 0;
  #closed = false;

  constructor(options: LineInputOptions) {
    this.#options = options;
    this.#lines = new LineSplitter(options.maxLineBytes);
  }

  get maxLineBytes(): number {
    return this.#options.maxLineBytes;
  }

  /** Bytes of its unfinished line, and of the buffer around it. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Reads to the end, or until it is closed. */
  async readAll(): Promise<InputEnd> {
    const { read, onRead } = this.#options;
    while (!this.#closed) {
      const space = this.#lines.space();
      this.#account();
      const count = await read(space);
      if (count === null) break;
      onRead(count);
      await this.#handleLines(this.#lines.take(count));
      if (this.#lines.overlong) return "overlong";
    }
    if (this.#closed) return "closed";
    return this.#lines.unfinished ? "unfinished" : "whole";
  }

  /** Handles nothing more, and holds nothing any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.hold(-this.#heldBytes);
  }

  async #handleLines(lines: readonly (string | null)[]): Promise<void> {
    const { turns, untilReady, handle } = this.#options;
    let turnBegan = performance.now();
    for (const [i, line] of lines.entries()) {
      if (this.#closed) return;
      const ready = untilReady();
      if (ready !== undefined) await ready;
      const isLong = line !== null && line.length > LONG_LINE_CHARS;
      const isOver = i % 32 === 31 && performance.now() - turnBegan > TURN_MS;
      if (isLong || isOver) {
        await turns.next();
        turnBegan = performance.now();
      }
      const done = handle(line);
      if (done !== undefined) await done;
    }
  }

  /** Tells what the buffer has become. */
  #account(): void {
    const grown = this.#lines.capacity - this.#heldBytes;
    this.#heldBytes = this.#lines.capacity;
    if (grown !== 0) this.#options.hold(grown);
  }
}
