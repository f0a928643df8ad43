/**
 * The daemon's log as its readers see it: the last lines, and what comes, through rotation.
 *
 * The daemon rotates by copying or by renaming: a full file becomes `<path>.1`, older ones move up, and the file
 * itself is emptied, or is a new one. So what was not read yet when that happened is in the numbered files, and is
 * read from there. A line is given once; where lines may have been lost, `missed` says so.
 */

const CHUNK_BYTES = 65_536;
/** Of the past, no more than this is looked at. */
const MAX_PAST_BYTES = 16 * 1024 * 1024;
/** A line that does not end is given in pieces of this size. */
const MAX_LINE_CHARS = 1024 * 1024;

/** The end of the log, and where to go on from. */
export interface LogEnd {
  /** Oldest first. */
  readonly lines: string[];
  /** Continues behind those lines. */
  readonly follower: LogFollower;
}

/**
 * The last `count` lines of a log and of the numbered files before it.
 *
 * @throws {Deno.errors.NotFound} when there is no log
 */
export function lastLines(path: string, count: number): LogEnd {
  const numbered = numberedFiles(path);
  const current = endOf(path, { count, budget: MAX_PAST_BYTES });
  const follower = new LogFollower(path, current.end, numbered[0] ?? null);
  let lines = current.lines;
  let budget = MAX_PAST_BYTES - current.bytes;
  for (let n = 1; n <= numbered.length && lines.length < count && budget > 0; n++) {
    const older = endOf(`${path}.${n}`, { count: count - lines.length, budget });
    lines = [...older.lines, ...lines];
    budget -= older.bytes;
  }
  return { lines, follower };
}

/** Reads on in a log that is written and rotated meanwhile. */
export class LogFollower {
  /** Whether lines may have been lost since this was last asked for and set back. */
  missed = false;
  readonly #path: string;
  readonly #decoder = new TextDecoder();
  #position: number;
  /** The inode of `<path>.1` when it was last looked at: a new one is a rotation. */
  #newest: number | null;
  #rotationSeen = false;
  #rest = "";

  constructor(path: string, position: number, newest: number | null) {
    this.#path = path;
    this.#position = position;
    this.#newest = newest;
  }

  /** The whole lines that were added since the last call, in portions. */
  *news(): Generator<string[]> {
    const numbered = numberedFiles(this.#path);
    const rotated = (numbered[0] ?? null) !== this.#newest;
    if (rotated && !this.#rotationSeen) {
      // The copy gets its name a moment before the file is emptied; at the next look both have happened.
      this.#rotationSeen = true;
      return;
    }
    if (rotated) yield* this.#finishRotated(numbered);
    this.#rotationSeen = false;
    this.#newest = numbered[0] ?? null;
    yield* this.#readOn();
  }

  *#finishRotated(numbered: readonly number[]): Generator<string[]> {
    const before = this.#newest === null ? -1 : numbered.indexOf(this.#newest);
    const rotations = before < 0 ? numbered.length : before;
    for (let n = rotations; n >= 1; n--) {
      const from = n === rotations ? this.#position : 0;
      const end = yield* this.#portions(`${this.#path}.${n}`, from);
      if (end < from) this.missed = true;
    }
    this.#position = 0;
  }

  *#readOn(): Generator<string[]> {
    const size = sizeOf(this.#path);
    if (size === null) return;
    if (size < this.#position) {
      // Emptied without a copy, as with log.files 1.
      this.missed = true;
      this.#position = 0;
    }
    if (size > this.#position) {
      this.#position = yield* this.#portions(this.#path, this.#position);
    }
  }

  /** @returns where the reading ended, which is before `from` when the file is shorter */
  *#portions(path: string, from: number): Generator<string[], number> {
    const file = openIfThere(path);
    if (file === null) return -1;
    try {
      const { size } = file.statSync();
      if (size < from) return size;
      file.seekSync(from, Deno.SeekMode.Start);
      const part = new Uint8Array(CHUNK_BYTES);
      let at = from;
      for (let count = file.readSync(part); count !== null; count = file.readSync(part)) {
        at += count;
        const lines = this.#take(part.subarray(0, count));
        if (lines.length > 0) yield lines;
      }
      return at;
    } finally {
      file.close();
    }
  }

  #take(bytes: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > MAX_LINE_CHARS) {
      lines.push(this.#rest);
      this.#rest = "";
    }
    return lines;
  }
}

/** The last whole lines of one file, how many bytes that took, and where the last of them ends. */
function endOf(
  path: string,
  { count, budget }: { count: number; budget: number },
): { lines: string[]; bytes: number; end: number } {
  using file = Deno.openSync(path);
  const { size } = file.statSync();
  let from = size;
  let bytes = new Uint8Array(0);
  while (from > 0 && bytes.length < budget && newlinesIn(bytes) <= count) {
    const start = Math.max(0, from - CHUNK_BYTES);
    bytes = joined(readAt(file, start, from - start), bytes);
    from = start;
  }
  const last = bytes.lastIndexOf(10);
  const lines = new TextDecoder().decode(bytes.subarray(0, last + 1)).split("\n").slice(0, -1);
  // The first one is the end of a line whose beginning was not read.
  if (from > 0) lines.shift();
  const end = size - bytes.length + last + 1;
  return { lines: count === 0 ? [] : lines.slice(-count), bytes: bytes.length, end };
}

function readAt(file: Deno.FsFile, start: number, length: number): Uint8Array {
  file.seekSync(start, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = file.readSync(bytes.subarray(done));
    if (count === null) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

function newlinesIn(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}

/** The inodes of `<path>.1`, `.2` and so on, up to the first that is missing. */
function numberedFiles(path: string): number[] {
  const inodes: number[] = [];
  for (let n = 1;; n++) {
    try {
      inodes.push(Deno.statSync(`${path}.${n}`).ino ?? 0);
    } catch {
      return inodes;
    }
  }
}

function sizeOf(path: string): number | null {
  try {
    return Deno.statSync(path).size;
  } catch {
    return null;
  }
}

function openIfThere(path: string): Deno.FsFile | null {
  try {
    return Deno.openSync(path);
  } catch {
    return null;
  }
}
