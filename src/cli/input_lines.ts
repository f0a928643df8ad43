/**
 * Input of people as lines that can be named by their number.
 *
 * Unlike the wire's splitter it counts blank lines and survives bad ones: of a line over `maxBytes` nothing
 * is kept, and it is reported in its place, so that whoever reads can name it and go on with the next.
 */

/** Why a line cannot be given as text. */
export interface LineFault {
  readonly fault: "too long" | "not UTF-8";
}

/** A line without its end, or why there is none. */
export type Line = string | LineFault;

const LF = 10;
const CR = 13;
const EMPTY = new Uint8Array(0);

/** Collects bytes and gives lines. Holds at most one unfinished line. */
export class InputLines {
  readonly #maxBytes: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #parts: Uint8Array[] = [];
  #held = 0;
  #skipping = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that `chunk` completes. The chunk may be reused afterwards. */
  push(chunk: Uint8Array): Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(this.#take());
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.slice(start));
    return lines;
  }

  /** The line that the end of the input completes, if one was begun. */
  end(): Line | null {
    return this.#held > 0 || this.#skipping ? this.#take() : null;
  }

  #keep(part: Uint8Array): void {
    if (this.#skipping || part.length === 0) return;
    if (this.#held + part.length > this.#maxBytes) {
      this.#skipping = true;
      this.#drop();
      return;
    }
    this.#parts.push(part);
    this.#held += part.length;
  }

  #take(): Line {
    const bytes = this.#joined();
    const skipped = this.#skipping;
    this.#skipping = false;
    this.#drop();
    if (skipped) return { fault: "too long" };
    const length = bytes.at(-1) === CR ? bytes.length - 1 : bytes.length;
    try {
      return this.#decoder.decode(bytes.subarray(0, length));
    } catch {
      return { fault: "not UTF-8" };
    }
  }

  #drop(): void {
    this.#parts = [];
    this.#held = 0;
  }

  #joined(): Uint8Array {
    if (this.#parts.length < 2) return this.#parts[0] ?? EMPTY;
    const all = new Uint8Array(this.#held);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
