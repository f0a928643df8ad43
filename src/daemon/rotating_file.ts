/**
 * A file of lines that is rotated by size while it is written.
 *
 * The current file keeps its name and its inode: a full one is copied to `<path>.1` and emptied, so that whoever
 * holds it open (the launcher, `tail -f`) goes on with the right one. A crash between the two repeats lines and
 * loses none. What could not be written whole is taken back. At most `files` files exist, of at most `maxBytes` and one line each. A line that cannot be
 * written is counted, and the count is written when the disk takes lines again: logging never ends the daemon.
 */

import { lookAt, openOwnFile, removeIfPresent, writeAll } from "./safe_file.ts";

/** How large and how many. */
export interface RotationOptions {
  readonly maxBytes: number;
  /** How many files there may be, the current one included. */
  readonly files: number;
}

/** What it takes to open one. */
export interface RotatingFileOptions extends RotationOptions {
  readonly uid: number | null;
  /** The line that says how many could not be written, with its newline. @default one of the log */
  readonly lostLine?: (count: number) => string;
}

const COPY_BYTES = 65_536;

/** The file; lines are on their way to the disk when `append` returns. */
export class RotatingFile implements Disposable {
  readonly #path: string;
  readonly #uid: number | null;
  readonly #file: Deno.FsFile;
  readonly #lostLine: (count: number) => string;
  readonly #encoder = new TextEncoder();
  #rotation: RotationOptions;
  #size: number;
  #lost = 0;
  #closed = false;

  constructor(path: string, options: RotatingFileOptions) {
    this.#path = path;
    this.#uid = options.uid;
    this.#rotation = options;
    this.#lostLine = options.lostLine ?? lostLine;
    this.#file = openOwnFile(path, { uid: options.uid, append: true });
    this.#size = this.#file.statSync().size;
  }

  /** Writes a line, or `count` lines, which have their newlines; does nothing after `close`. */
  append(lines: string, count = 1): void {
    if (this.#closed) return;
    try {
      this.#tellLost();
      this.#write(lines);
    } catch {
      this.#lost += count;
    }
  }

  /** Takes other bounds from the next line on; files beyond the new count are removed at the next rotation. */
  configure(rotation: RotationOptions): void {
    this.#rotation = rotation;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #tellLost(): void {
    if (this.#lost === 0) return;
    this.#write(this.#lostLine(this.#lost));
    this.#lost = 0;
  }

  #write(line: string): void {
    const bytes = this.#encoder.encode(line);
    if (this.#size > 0 && this.#size + bytes.length > this.#rotation.maxBytes) this.#rotate();
    this.#writeWhole(bytes);
    this.#size += bytes.length;
  }

  #writeWhole(bytes: Uint8Array): void {
    let done = 0;
    try {
      while (done < bytes.length) done += this.#file.writeSync(bytes.subarray(done));
    } catch (error) {
      // A full disk takes the beginning of a line; the next one must not stand behind it.
      if (done > 0) this.#file.truncateSync(this.#file.statSync().size - done);
      throw error;
    }
  }

  #rotate(): void {
    // The launcher may have written as well: what counts is what is there.
    this.#size = this.#file.statSync().size;
    const oldest = this.#rotation.files - 1;
    // First the copy, which a full disk refuses: what is numbered already stays as it is then.
    if (oldest >= 1) this.#copyTo(`${this.#path}.new`);
    let surplus = Math.max(1, oldest);
    while (removeIfPresent(`${this.#path}.${surplus}`)) surplus++;
    for (let index = oldest - 1; index >= 1; index--) {
      if (lookAt(`${this.#path}.${index}`) === null) continue;
      Deno.renameSync(`${this.#path}.${index}`, `${this.#path}.${index + 1}`);
    }
    if (oldest >= 1) Deno.renameSync(`${this.#path}.new`, `${this.#path}.1`);
    this.#file.truncateSync(0);
    this.#size = 0;
  }

  #copyTo(path: string): void {
    using copy = openOwnFile(path, { uid: this.#uid });
    copy.truncateSync(0);
    this.#file.seekSync(0, Deno.SeekMode.Start);
    const part = new Uint8Array(COPY_BYTES);
    for (let count = this.#file.readSync(part); count !== null; count = this.#file.readSync(part)) {
      writeAll(copy, part.subarray(0, count));
    }
  }
}

function lostLine(count: number): string {
  return `${new Date().toISOString()} ERROR lines could not be written count=${count}\n`;
}
