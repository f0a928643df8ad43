/**
 * A file of lines that is rotated by size while it is written.
 *
 * A file that only this process writes is renamed to `<path>.1`, and a new one takes its place: that costs no room and
 * no time. A file that somebody else holds open as well (the launcher writes into the log, and could not open it
 * again) keeps its name and its inode: a full one is copied to `<path>.1`, and emptied once the copy and its name are
 * on disk. A crash between the two repeats lines and loses none; lines that were just written are the system's to
 * store, and may be lost with its power.
 *
 * Lines go to the file that has the name: one that was removed or moved away is made anew, and one that was put in
 * its place is taken, before a line is written and before anything is renamed. A rotation that fails is undone, with
 * what is numbered as it was, leaves no copy behind, and is tried again after `RETRY_MS`.
 *
 * What could not be written whole is taken back. At most `files` files exist, one more while they are rotated, of at
 * most `maxBytes` and one line each. A line that cannot be written is counted, and the count is written when the disk
 * takes lines again: logging never ends the daemon.
 */

import { dirname } from "@std/path/posix";
import {
  lookAt,
  openOwnFile,
  removeIfPossible,
  removeIfPresent,
  syncDirectory,
  writeAll,
} from "./safe_file.ts";

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
  /** Told when the file that was written to has lost its name, and another one is written to from now on. */
  readonly onReplaced?: () => void;
}

const LF = 10;
const COPY_BYTES = 65_536;
/** A rotation may take long, and whoever writes a line waits for it. */
const RETRY_MS = 5000;

/** The file; lines are on their way to the disk when `append` returns. */
export class RotatingFile implements Disposable {
  readonly #path: string;
  readonly #uid: number | null;
  readonly #isShared: boolean;
  readonly #now: () => number;
  readonly #onReplaced: () => void;
  #file: Deno.FsFile;
  readonly #lostLine: (count: number) => string;
  readonly #encoder = new TextEncoder();
  #rotation: RotationOptions;
  #size: number;
  #lost = 0;
  #failure: unknown;
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
    this.#onReplaced = options.onReplaced ?? (() => {});
    this.#file = this.#open(path);
    this.#size = this.#file.statSync().size;
    this.#endLastLine();
  }

  /** Why lines are lost since the first that was; `undefined` when the last one was written. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Writes a line, or `count` lines, which have their newlines; does nothing after `close`. */
  append(lines: string, count = 1): void {
    if (this.#closed) return;
    try {
      this.#tellLost();
      this.#write(lines);
      this.#failure = undefined;
    } catch (error) {
      this.#failure ??= error;
      this.#lost += count;
    }
  }

  /** Writes how many lines were lost, if that can be written by now. */
  tellLost(): void {
    if (this.#closed || this.#lost === 0) return;
    try {
      this.#tellLost();
      this.#failure = undefined;
    } catch { /* the failure is known already */ }
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

  /** A crash may have left half a line, which must not swallow the next one. */
  #endLastLine(): void {
    if (this.#size === 0) return;
    const last = new Uint8Array(1);
    try {
      this.#file.seekSync(-1, Deno.SeekMode.End);
      this.#file.readSync(last);
      if (last[0] === LF) return;
      this.#writeWhole(new Uint8Array([LF]));
      this.#size++;
    } catch (error) {
      // The disk takes nothing now; the line behind it is told as lost with the first that it takes.
      this.#failure = error;
    }
  }

  #tellLost(): void {
    if (this.#lost === 0) return;
    this.#write(this.#lostLine(this.#lost));
    this.#lost = 0;
  }

  #write(line: string): void {
    const bytes = this.#encoder.encode(line);
    this.#takeTheNamed();
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

  /** Somebody may have moved it away, or removed it: what is written then would be found by nobody. */
  #takeTheNamed(): void {
    const named = lookAt(this.#path);
    const mine = this.#file.statSync();
    if (named !== null && named.ino === mine.ino && named.dev === mine.dev) return;
    const next = this.#open(this.#path);
    this.#file.close();
    this.#file = next;
    this.#size = next.statSync().size;
    this.#onReplaced();
  }

  #open(path: string): Deno.FsFile {
    return openOwnFile(path, { uid: this.#uid, append: true });
  }

  #rotate(): void {
    // Another may have written as well, or this process emptied it: what counts is what is there.
    this.#size = this.#file.statSync().size;
    if (this.#now() < this.#retryAtMs) throw new Error("the rotation failed a moment ago");
    // First what a full disk refuses: what is numbered already stays as it is then.
    const next = this.#open(this.#next);
    const moves = new Moves();
    try {
      next.truncateSync(0);
      this.#removeSurplus();
      if (this.#isShared) this.#emptyInto(next, moves);
      else this.#giveWayTo(next, moves);
    } catch (error) {
      this.#retryAtMs = this.#now() + RETRY_MS;
      moves.undo();
      next.close();
      removeIfPossible(this.#next);
      throw error;
    }
    this.#size = 0;
    // Only now: the oldest is lost by nothing but a rotation that is done.
    removeIfPossible(`${this.#path}.${this.#kept + 1}`);
  }

  get #next(): string {
    return `${this.#path}.new`;
  }

  /** How many numbered files there may be. */
  get #kept(): number {
    return this.#rotation.files - 1;
  }

  /** The new file takes the name of the full one. */
  #giveWayTo(next: Deno.FsFile, moves: Moves): void {
    this.#moveUp(moves);
    if (this.#kept > 0) moves.move(this.#path, `${this.#path}.1`);
    moves.move(this.#next, this.#path);
    this.#file.close();
    this.#file = next;
  }

  /** The new file is the copy. */
  #emptyInto(copy: Deno.FsFile, moves: Moves): void {
    if (this.#kept > 0) {
      this.#copyTo(copy);
      this.#moveUp(moves);
      moves.move(this.#next, `${this.#path}.1`);
      syncDirectory(dirname(this.#path));
    } else removeIfPresent(this.#next);
    this.#file.truncateSync(0);
    copy.close();
  }

  /** What is left of a time when there could be more. */
  #removeSurplus(): void {
    for (let index = this.#kept + 1; removeIfPresent(`${this.#path}.${index}`);) index++;
  }

  /** Makes room for a new `<path>.1`; the oldest has one number too many then. */
  #moveUp(moves: Moves): void {
    for (let index = this.#kept; index >= 1; index--) {
      const path = `${this.#path}.${index}`;
      const info = lookAt(path);
      if (info === null) continue;
      if (!info.isFile) throw new Error(`${path} is in the way: it is no regular file`);
      moves.move(path, `${this.#path}.${index + 1}`);
    }
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

/** Renamings that belong together. */
class Moves {
  readonly #done: (readonly [from: string, to: string])[] = [];

  move(from: string, to: string): void {
    Deno.renameSync(from, to);
    this.#done.push([from, to]);
  }

  /** Gives everything the name that it had, as far as that can be done. */
  undo(): void {
    for (const [from, to] of this.#done.splice(0).reverse()) {
      try {
        Deno.renameSync(to, from);
      } catch { /* it keeps the newer name */ }
    }
  }
}

function lostLine(count: number): string {
  return `${new Date().toISOString()} ERROR lines could not be written count=${count}\n`;
}
