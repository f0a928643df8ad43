/**
 * What a program writes, as texts that each fit one `turn.delta`: a line with its end, or a part of a longer one.
 *
 * Holds one unfinished line of at most MAX_PIECE_CHARS. What is not UTF-8 is replaced; put together, the pieces are
 * what was written.
 */

/** As JSON a character takes six bytes at most, and the data of an emit has 48 KiB. */
export const MAX_PIECE_CHARS = 8000;

/** Collects bytes and gives pieces. */
export class OutputPieces {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #rest = "";

  /** The pieces that `chunk` completes. */
  push(chunk: Uint8Array): string[] {
    return this.#take(this.#decoder.decode(chunk, { stream: true }));
  }

  /** What the end of the output completes. */
  end(): string[] {
    const pieces = this.#take(this.#decoder.decode());
    if (this.#rest !== "") pieces.push(this.#rest);
    this.#rest = "";
    return pieces;
  }

  #take(text: string): string[] {
    const lines = (this.#rest + text).split("\n");
    const last = lines.pop()!;
    const pieces = lines.flatMap((line) => cut(`${line}\n`));
    const unfinished = cut(last);
    this.#rest = last.length > 0 && unfinished.at(-1)!.length < MAX_PIECE_CHARS
      ? unfinished.pop()!
      : "";
    return [...pieces, ...unfinished];
  }
}

/** No character of two units is cut in half. */
function cut(text: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + MAX_PIECE_CHARS, text.length);
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--;
    pieces.push(text.slice(at, end));
    at = end;
  }
  return pieces;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}
