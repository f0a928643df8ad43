/**
 * A file of lines that is rotated by size while it is written.
 *
 * The current file keeps its name and its inode: a full one is copied to `<path>.1` and emptied, so that whoever
 * holds it open (the launcher, `tail -f`) goes on with the right one. A crash between the two repeats lines and
 * loses none. At most `files` files exist, of at most `maxBytes` and one line each. A line that cannot be
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
}

const COPY_BYTES = 65_536;

/** The file; lines are on their way to the disk when `append` returns. */
export class RotatingFile implements Disposable {
  readonly #path: string;
  readonly #uid: number | null;
  readonly #file: Deno.FsFile;
  readonly #encoder = new TextEncoder();
  #rotation: RotationOptions;
  #size: number;
  #lost = 0;
  #closed = false;

  constructor(path: string, options: RotatingFileOptions) {
    this.#path = path;
    this.#uid = options.uid;
    this.#rotation = options;
    this.#file = openOwnFile(path, { uid: options.uid, append: true });
    this.#size = this.#file.statSync().size;
  }

  /** Writes a line, which has its newline; does nothing after `close`. */
  append(line: string): void {
    if (this.#closed) return;
    try {
      this.#tellLost();
      this.#write(line);
    } catch {
      this.#lost++;
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
    this.#write(
      `${new Date().toISOString()} ERROR lines could not be written count=${this.#lost}\n`,
    );
    this.#lost = 0;
  }

  #write(line: string): void {
    const bytes = this.#encoder.encode(line);
    if (this.#size > 0 && this.#size + bytes.length > this.#rotation.maxBytes) this.#rotate();
    writeAll(this.#file, bytes);
    this.#size += bytes.length;
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
