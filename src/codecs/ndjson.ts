/**
 * Cuts a stream of bytes into lines of text.
 *
 * Pure: the caller reads into `space()` and says how much came. Invariants: a line is at most `maxBytes`
 * without its end; a CR before the LF belongs to the end; blank lines are left out; a line that is not
 * UTF-8 is told as `null` and does not harm the next; the buffer is as large as the longest unfinished line
 * needs and small again after it.
 */

import { utf8Length } from "../core/text.ts";

const LF = 0x0a;
const CR = 0x0d;
/** Where the buffer begins and to what it shrinks: an idle connection costs little. */
const SMALL = 1024;
/** Reads in a row that fill less than a quarter, after which the buffer is halved. */
const CALM_READS = 16;
/** Up to here the buffer doubles for throughput alone. */
const ROOMY = 64 * 1024;

const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const fatal = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Cuts the bytes of one connection into lines. */
export class LineSplitter {
  readonly #maxBytes: number;
  #buffer = new Uint8Array(SMALL);
  /** Bytes of the unfinished line at the front of the buffer. */
  #held = 0;
  #overlong = false;
  #calmReads = 0;

  /** @param maxBytes The longest line, without its end. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether a line has begun that has no end yet. */
  get unfinished(): boolean {
    return this.#held > 0;
  }

  /** Whether a line was longer than allowed. What came before it was returned, nothing behind it will be. */
  get overlong(): boolean {
    return this.#overlong || this.#held > this.#maxBytes + 1;
  }

  /** Bytes that the buffer takes now. */
  get capacity(): number {
    return this.#buffer.byteLength;
  }

  /** Where the next bytes are to be read to; valid until the next call. */
  space(): Uint8Array<ArrayBuffer> {
    if (this.#held === this.#buffer.byteLength) this.#resize(this.#buffer.byteLength * 2);
    return this.#buffer.subarray(this.#held);
  }

  /** Takes the `count` bytes that were read into the space, and returns the lines they complete. */
  take(count: number): (string | null)[] {
    const filled = this.#held + count;
    const end = this.#buffer.subarray(this.#held, filled).lastIndexOf(LF);
    if (end < 0) {
      this.#held = filled;
      return [];
    }
    const complete = this.#held + end;
    const lines = this.#withinBound(this.#linesOf(this.#buffer.subarray(0, complete)), complete);
    this.#buffer.copyWithin(0, complete + 1, filled);
    this.#held = filled - complete - 1;
    this.#adapt(filled);
    return lines;
  }

  /** Doubles a buffer that reads fill, and halves one that they do not, after a while. */
  #adapt(filled: number): void {
    const size = this.#buffer.byteLength;
    this.#calmReads = filled * 4 < size ? this.#calmReads + 1 : 0;
    if (filled === size && size < ROOMY) this.#resize(size * 2);
    else if (this.#held > 0) return;
    else if (size > ROOMY && filled < size) this.#resize(ROOMY);
    else if (this.#calmReads >= CALM_READS && size > SMALL) this.#resize(size / 2);
  }

  #withinBound(lines: (string | null)[], bytes: number): (string | null)[] {
    if (bytes <= this.#maxBytes) return lines;
    const first = lines.findIndex((line) => line !== null && this.#isOverlong(line));
    if (first < 0) return lines;
    this.#overlong = true;
    return lines.slice(0, first);
  }

  #isOverlong(line: string): boolean {
    return line.length * 3 > this.#maxBytes && utf8Length(line) > this.#maxBytes;
  }

  #linesOf(bytes: Uint8Array): (string | null)[] {
    const text = lenient.decode(bytes);
    // A replacement character may have been sent as one; only the bytes can tell.
    if (text.includes("\ufffd")) return this.#linesOneByOne(bytes);
    const lines: string[] = [];
    let from = 0;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", from)) {
      addLine(lines, text.slice(from, at));
      from = at + 1;
    }
    addLine(lines, text.slice(from));
    return lines;
  }

  #linesOneByOne(bytes: Uint8Array): (string | null)[] {
    const lines: (string | null)[] = [];
    let from = 0;
    while (from <= bytes.byteLength) {
      const found = bytes.indexOf(LF, from);
      const at = found < 0 ? bytes.byteLength : found;
      try {
        addLine(lines, fatal.decode(bytes.subarray(from, at)));
      } catch {
        const end = bytes[at - 1] === CR ? at - 1 : at;
        // Too long is the graver fault of the two, and closes the connection.
        const overlong = end - from > this.#maxBytes;
        lines.push(overlong ? lenient.decode(bytes.subarray(from, end)) : null);
      }
      from = at + 1;
    }
    return lines;
  }

  #resize(size: number): void {
    // One byte for a CR, one to see that the line is longer than it may be.
    const next = new Uint8Array(Math.min(size, Math.max(this.#maxBytes + 2, SMALL)));
    next.set(this.#buffer.subarray(0, this.#held));
    this.#buffer = next;
  }
}

function addLine(lines: (string | null)[], text: string): void {
  const line = text.charCodeAt(text.length - 1) === CR ? text.slice(0, -1) : text;
  if (line !== "" && line.trim() !== "") lines.push(line);
}
