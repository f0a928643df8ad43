/**
 * Binary payloads beside the log: files of the runtime directory, named by the SHA-256 of what they hold.
 *
 * Invariants: a blob has its name only once all of it is on disk, and is answered once its name is; the same content
 * is one file; what nobody has put again within the retention is removed; what is there can be put again however many
 * blobs there are, as long as the disk has room for a second one of it. A file that is gone or cut is no blob.
 *
 * Bounds: `maxBytes` a blob; sixteen times that together with what is on its way, and two more times for what may
 * turn out to be there; `MAX_BLOBS` of them; `MAX_UPLOADS` and `MAX_DOWNLOADS` at once, and of those
 * `UPLOADS_PER_TOKEN` and `DOWNLOADS_PER_TOKEN` by one token; none may be silent for `idleMs`, and an upload must be
 * as fast as `LEAST_BYTES_PER_SEC`. An upload that a crash cut off is removed at the next start.
 */

import { join } from "@std/path/posix";
import { PosternError, shown } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { Blobs, OpenBlob, StoredBlob } from "../server/http/blob_routes.ts";
import {
  lookAt,
  openOwnFile,
  openOwnFileToRead,
  removeIfPossible,
  removeIfPresent,
  storageRefusal,
  syncDirectory,
} from "./safe_file.ts";
import { streamOf } from "./file_stream.ts";
import { Places } from "../core/places.ts";
import { sha256 } from "./sha256.ts";

/** Where they lie. */
export const BLOB_DIRECTORY = "blobs";
/** Blobs of the largest size that there is room for together. */
const TOTAL_OF_LARGEST = 16;
/** Room beyond that for what may turn out to be there already. */
const AGAIN_OF_LARGEST = 2;
const MAX_BLOBS = 65_536;
const MAX_UPLOADS = 32;
const UPLOADS_PER_TOKEN = 8;
const MAX_DOWNLOADS = 64;
const DOWNLOADS_PER_TOKEN = 16;
const IDLE_MS = 30_000;
/** On the whole, once an upload has had twice the idle time to begin. */
const LEAST_BYTES_PER_SEC = 2048;
/** Gathered of an upload before it is written: each write costs a turn of the event loop, which takes milliseconds. */
const WRITE_BYTES = 512 * 1024;

/** Of a hash in the log, where a whole one is taken for a secret. */
const SHOWN_DIGITS = 16;

const NAME = /^[0-9a-f]{64}$/;
const UPLOAD = /^upload-\d+\.new$/;

export interface BlobOptions {
  readonly directory: string;
  readonly uid: number | null;
  /** Bytes of one blob; 0 takes none. */
  readonly maxBytes: () => number;
  readonly retentionMs: number;
  readonly now: () => number;
  readonly log: Log;
  /** So long may an upload bring nothing, and a reader take nothing. @default 30 s */
  readonly idleMs?: number;
  /** Milliseconds that only grow. */
  readonly elapsedMs?: () => number;
  /** How many are kept. @default 65,536 */
  readonly maxBlobs?: number;
}

interface Known {
  readonly bytes: number;
  readonly putMs: number;
}

/** The blobs of one daemon. */
export class BlobFiles implements Blobs {
  readonly #options: BlobOptions;
  readonly #known = new Map<string, Known>();
  /** Of what has its name. */
  #bytes = 0;
  /** Of what is on its way. */
  #arrivingBytes = 0;
  readonly #uploads = new Places({
    of: "POST /blobs",
    what: "uploads",
    limit: MAX_UPLOADS,
    perToken: UPLOADS_PER_TOKEN,
  });
  readonly #downloads = new Places({
    of: "GET /blobs",
    what: "downloads",
    limit: MAX_DOWNLOADS,
    perToken: DOWNLOADS_PER_TOKEN,
  });
  #lastUpload = 0;

  /** Takes what is there. */
  constructor(options: BlobOptions) {
    this.#options = options;
    for (const { name } of Deno.readDirSync(this.#directory)) {
      const info = lookAt(this.#pathOf(name));
      if (UPLOAD.test(name)) removeIfPresent(this.#pathOf(name));
      else if (NAME.test(name) && info?.isFile) {
        this.#keep(name, { bytes: info.size, putMs: info.mtime?.getTime() ?? options.now() });
      }
    }
  }

  /** How much is kept. */
  get counters(): { readonly count: number; readonly bytes: number } {
    return { count: this.#known.size, bytes: this.#bytes };
  }

  async put(
    content: AsyncIterable<Uint8Array>,
    announcedBytes: number,
    tokenId: string,
  ): Promise<StoredBlob> {
    const giveBack = this.#uploads.take(tokenId);
    const path = this.#pathOf(`upload-${++this.#lastUpload}.new`);
    const known = new Sizes(this.#known);
    try {
      this.#requireRoom(0, announcedBytes, known);
      return await this.#receive(path, content, known);
    } catch (error) {
      removeIfPossible(path);
      if (error instanceof PosternError) throw withoutPath("POST /blobs", error);
      throw storageRefusal("POST /blobs", error) ?? error;
    } finally {
      giveBack();
    }
  }

  find(hash: string): { readonly bytes: number } {
    const { file, bytes } = this.#opened(hash);
    file.close();
    return { bytes };
  }

  open(hash: string, tokenId: string): OpenBlob {
    const { file, bytes } = this.#opened(hash);
    try {
      const ended = this.#downloads.take(tokenId);
      return { bytes, content: streamOf(file, { of: "GET /blobs", idleMs: this.idleMs, ended }) };
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Removes what is older than the retention. What cannot be removed now is tried again the next time. */
  tidy(): void {
    const oldest = this.#options.now() - this.#options.retentionMs;
    for (const [hash, { putMs }] of this.#known) {
      if (putMs < oldest && removeIfPossible(this.#pathOf(hash))) this.#forget(hash);
    }
  }

  /** So long may an upload bring nothing, and a reader take nothing. */
  get idleMs(): number {
    return this.#options.idleMs ?? IDLE_MS;
  }

  get #directory(): string {
    return join(this.#options.directory, BLOB_DIRECTORY);
  }

  #pathOf(name: string): string {
    return join(this.#directory, name);
  }

  /** The file of a blob, as long as it is. @throws PosternError `not_found`, `invalid_params` */
  #opened(hash: string): { readonly file: Deno.FsFile; readonly bytes: number } {
    if (!NAME.test(hash)) {
      throw new PosternError(
        "invalid_params",
        `GET /blobs: a hash is 64 hex digits in small letters, got ${shown(hash)}`,
      );
    }
    const { uid, log } = this.#options;
    const path = this.#pathOf(hash);
    const known = this.#known.get(hash);
    if (known === undefined) throw notFound();
    if (lookAt(path) === null) {
      this.#forget(hash);
      throw notFound();
    }
    let file: Deno.FsFile;
    try {
      file = openOwnFileToRead(path, { uid });
    } catch (error) {
      throw withoutPath("GET /blobs", error);
    }
    const bytes = file.statSync().size;
    if (bytes === known.bytes) return { file, bytes };
    file.close();
    this.#forget(hash);
    // The next start would take it for whole.
    removeIfPossible(path);
    log.error("a blob is not as long as it was; it is removed", {
      blob: hash.slice(0, SHOWN_DIGITS),
      bytes,
      known_bytes: known.bytes,
    });
    throw notFound();
  }

  async #receive(
    path: string,
    content: AsyncIterable<Uint8Array>,
    known: Sizes,
  ): Promise<StoredBlob> {
    const digest = sha256();
    let bytes = 0;
    let writtenBytes = 0;
    const waiting: Uint8Array[] = [];
    try {
      using file = openOwnFile(path, { uid: this.#options.uid });
      for await (const chunk of this.#watched(content)) {
        bytes += chunk.byteLength;
        this.#arrivingBytes += chunk.byteLength;
        this.#requireRoom(bytes, 0, known);
        digest.update(chunk);
        waiting.push(chunk);
        if (bytes - writtenBytes < WRITE_BYTES) continue;
        await writeTogether(file, waiting.splice(0));
        writtenBytes = bytes;
      }
      await writeTogether(file, waiting);
      await file.sync();
      const hash = digest.digest("hex");
      if (!this.#known.has(hash)) this.#requireRoomForNew(0);
      // Over one of that name, which holds the same: it is as new as this then, and whole whatever became of it.
      Deno.renameSync(path, this.#pathOf(hash));
      this.#forget(hash);
      this.#keep(hash, { bytes, putMs: this.#options.now() });
      syncDirectory(this.#directory);
      return { hash, bytes };
    } finally {
      this.#arrivingBytes -= bytes;
    }
  }

  /** The chunks, as long as they keep coming. */
  async *#watched(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const { elapsedMs = () => performance.now() } = this.#options;
    const chunks = content[Symbol.asyncIterator]();
    const beganMs = elapsedMs();
    let bytes = 0;
    for (;;) {
      const { done, value } = await within(this.idleMs, chunks.next());
      if (done) return;
      bytes += value.byteLength;
      const allowedMs = 2 * this.idleMs + bytes / LEAST_BYTES_PER_SEC * 1000;
      if (elapsedMs() - beganMs > allowedMs) {
        throw new PosternError(
          "timeout",
          `POST /blobs: an upload brings at least ${LEAST_BYTES_PER_SEC} bytes a second`,
        );
      }
      yield value;
    }
  }

  /**
   * @param bytes What has come.
   * @param announced What is still to come.
   * @param known What it may turn out to be.
   * @throws PosternError `too_large`, `storage_full`
   */
  #requireRoom(bytes: number, announced: number, known: Sizes): void {
    const limit = this.#options.maxBytes();
    const least = bytes + announced;
    if (limit === 0 || least > limit) {
      throw new PosternError(
        "too_large",
        `POST /blobs: a blob is at most ${limit} bytes (limits.blob_bytes), this one is longer`,
        { limit },
      );
    }
    try {
      this.#requireRoomForNew(announced);
    } catch (error) {
      // What it is shows only when it ends. So it may go on as long as it can be one that is there.
      const isOverAll = this.#arrivingBytes + announced > limit * AGAIN_OF_LARGEST;
      if (isOverAll || !known.hasOne(least, announced > 0)) throw error;
    }
  }

  /** @throws PosternError `storage_full` */
  #requireRoomForNew(announced: number): void {
    const { maxBytes, maxBlobs = MAX_BLOBS } = this.#options;
    const total = maxBytes() * TOTAL_OF_LARGEST;
    if (this.#bytes + this.#arrivingBytes + announced > total) {
      throw new PosternError(
        "storage_full",
        `POST /blobs: all blobs take at most ${total} bytes; older ones expire`,
        { limit: total },
      );
    }
    if (this.#known.size >= maxBlobs) {
      throw new PosternError(
        "storage_full",
        `POST /blobs: at most ${maxBlobs} blobs are kept; older ones expire`,
        { limit: maxBlobs },
      );
    }
  }

  #keep(hash: string, known: Known): void {
    this.#known.set(hash, known);
    this.#bytes += known.bytes;
  }

  #forget(hash: string): void {
    this.#bytes -= this.#known.get(hash)?.bytes ?? 0;
    this.#known.delete(hash);
  }
}

/** The sizes of the blobs that are there, as one upload needs them: looked through once, when room is short. */
class Sizes {
  readonly #known: ReadonlyMap<string, Known>;
  #largest: number | null = null;

  constructor(known: ReadonlyMap<string, Known>) {
    this.#known = known;
  }

  /** Whether there is a blob of that size, or else of at least that size. */
  hasOne(bytes: number, isExact: boolean): boolean {
    if (isExact) return this.#look(bytes);
    if (this.#largest === null) this.#look(bytes);
    return bytes <= this.#largest!;
  }

  /** @returns whether there is one of exactly that size */
  #look(bytes: number): boolean {
    let isThere = false;
    this.#largest = -1;
    for (const known of this.#known.values()) {
      this.#largest = Math.max(this.#largest, known.bytes);
      isThere ||= known.bytes === bytes;
    }
    return isThere;
  }
}

function notFound(): PosternError {
  return new PosternError("not_found", "GET /blobs: there is no blob of that hash");
}

/** A file that is not ours as we left it is for the log: where it lies is nothing for clients. */
function withoutPath(of: string, error: unknown): unknown {
  if (!(error instanceof PosternError) || error.code !== "permission_denied") return error;
  return new Error(`${of}: ${error.message}`);
}

/** The next chunk. @throws PosternError `timeout`; `invalid_request` when the client has gone. */
async function within<T>(idleMs: number, next: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const idle = new Promise<never>((_, reject) => {
    const complain = () =>
      reject(new PosternError("timeout", `POST /blobs: nothing came for ${idleMs} ms`));
    timer = setTimeout(complain, idleMs);
  });
  try {
    return await Promise.race([next, idle]);
  } catch (error) {
    if (error instanceof PosternError) throw error;
    throw new PosternError("invalid_request", "POST /blobs: the upload was cut off");
  } finally {
    clearTimeout(timer);
  }
}

async function writeTogether(file: Deno.FsFile, chunks: readonly Uint8Array[]): Promise<void> {
  const whole = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let filled = 0;
  for (const chunk of chunks) {
    whole.set(chunk, filled);
    filled += chunk.byteLength;
  }
  for (let at = 0; at < filled;) at += await file.write(whole.subarray(at));
}
