/**
 * A file of lines that is rotated by size while it is written.
 *
 * A file that only this process writes is renamed to `<path>.1`, and a new one takes its place: that costs no room and
 * no time. A file that somebody else holds open as well (the launcher writes into the log, and could not open it
 * again) keeps its name and its inode: a full one is copied to `<path>.1`, and emptied once the copy and its name are
 * on disk. A crash between the two repeats lines and loses none; lines that were just written are the system's to
 * store, and may be lost with its power.
 *
 * What could not be written whole is taken back. At most `files` files exist, of at most `maxBytes` and one line each.
 * A line that cannot be written is counted, and the count is written when the disk takes lines again: logging never
 * ends the daemon. A rotation that failed leaves no copy behind, and is tried again after `RETRY_MS`.
 */

import { dirname } from "@std/path/posix";
import { lookAt, openOwnFile, removeIfPresent, syncDirectory, writeAll } from "./safe_file.ts";

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
  /** Whether another process writes to it too: then it is copied and keeps its inode. @default {false} */
  readonly isShared?: boolean;
  /** Milliseconds that only grow. */
  readonly now?: () => number;
}

const COPY_BYTES = 65_536;
/** A rotation may take long, and whoever writes a line waits for it. */
const RETRY_MS = 5000;

/** The file; lines are on their way to the disk when `append` returns. */
export class RotatingFile implements Disposable {
  readonly #path: string;
  readonly #uid: number | null;
  readonly #isShared: boolean;
  readonly #now: () => number;
  #file: Deno.FsFile;
  readonly #lostLine: (count: number) => string;
  readonly #encoder = new TextEncoder();
  #rotation: RotationOptions;
  #size: number;
  #lost = 0;
  /** When a rotation that failed is tried again. */
  #retryAtMs = -Infinity;
  #closed = false;

  constructor(path: string, options: RotatingFileOptions) {
    this.#path = path;
    this.#uid = options.uid;
    this.#rotation = options;
    this.#lostLine = options.lostLine ?? lostLine;
    this.#isShared = options.isShared ?? false;
    this.#now = options.now ?? (() => performance.now());
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
    // Another may have written as well, or this process emptied it: what counts is what is there.
    this.#size = this.#file.statSync().size;
    if (this.#now() < this.#retryAtMs) throw new Error("the rotation failed a moment ago");
    // First what a full disk refuses: what is numbered already stays as it is then.
    const next = openOwnFile(this.#next, { uid: this.#uid, append: true });
    try {
      next.truncateSync(0);
      if (this.#isShared) this.#emptyInto(next);
      else this.#giveWayTo(next);
    } catch (error) {
      this.#retryAtMs = this.#now() + RETRY_MS;
      next.close();
      removeIfPresent(this.#next);
      throw error;
    }
    this.#size = 0;
  }

  get #next(): string {
    return `${this.#path}.new`;
  }

  /** The new file takes the name of the full one. */
  #giveWayTo(next: Deno.FsFile): void {
    if (this.#makeRoomForNewest()) Deno.renameSync(this.#path, `${this.#path}.1`);
    Deno.renameSync(this.#next, this.#path);
    this.#file.close();
    this.#file = next;
  }

  /** The new file is the copy. */
  #emptyInto(copy: Deno.FsFile): void {
    if (this.#rotation.files > 1) this.#copyTo(copy);
    if (this.#makeRoomForNewest()) {
      Deno.renameSync(this.#next, `${this.#path}.1`);
      syncDirectory(dirname(this.#path));
    } else removeIfPresent(this.#next);
    this.#file.truncateSync(0);
    copy.close();
  }

  /** Removes what is too old, and moves the others up. @returns whether there is to be a `<path>.1` */
  #makeRoomForNewest(): boolean {
    const oldest = this.#rotation.files - 1;
    let surplus = Math.max(1, oldest);
    while (removeIfPresent(`${this.#path}.${surplus}`)) surplus++;
    for (let index = oldest - 1; index >= 1; index--) {
      if (lookAt(`${this.#path}.${index}`) === null) continue;
      Deno.renameSync(`${this.#path}.${index}`, `${this.#path}.${index + 1}`);
    }
    return oldest >= 1;
  }

  #copyTo(copy: Deno.FsFile): void {
    this.#file.seekSync(0, Deno.SeekMode.Start);
    const part = new Uint8Array(COPY_BYTES);
    for (let count = this.#file.readSync(part); count !== null; count = this.#file.readSync(part)) {
      writeAll(copy, part.subarray(0, count));
    }
    copy.syncSync();
  }
}

function lostLine(count: number): string {
  return `${new Date().toISOString()} ERROR lines could not be written count=${count}\n`;
}
