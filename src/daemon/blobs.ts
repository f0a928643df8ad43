/**
 * Binary payloads beside the log: files of the runtime directory, named by the SHA-256 of what they hold.
 *
 * Invariants: a blob has its name only once all of it is on disk; the same content is one file; what nobody has put
 * again within the retention is removed. Bounds: `maxBytes` a blob, sixteen times that together, `MAX_UPLOADS` at
 * once; an upload that a crash cut off is removed at the next start.
 */

import { createHash } from "node:crypto";
import { join } from "@std/path";
import { PosternError } from "../core/errors.ts";
import type { Blobs, StoredBlob } from "../server/http/blob_routes.ts";
import { lookAt, openOwnFile, openOwnFileToRead, removeIfPresent } from "./safe_file.ts";

/** Where they lie. */
export const BLOB_DIRECTORY = "blobs";
/** Blobs of the largest size that there is room for together. */
const TOTAL_OF_LARGEST = 16;
const MAX_UPLOADS = 16;

const NAME = /^[0-9a-f]{64}$/;
const UPLOAD = /^upload-\d+\.new$/;

export interface BlobOptions {
  readonly directory: string;
  readonly uid: number | null;
  /** Bytes of one blob; 0 takes none. */
  readonly maxBytes: () => number;
  readonly retentionMs: number;
  readonly now: () => number;
}

interface Known {
  readonly bytes: number;
  putMs: number;
}

/** The blobs of one daemon. */
export class BlobFiles implements Blobs {
  readonly #options: BlobOptions;
  readonly #known = new Map<string, Known>();
  #bytes = 0;
  #uploads = 0;
  #lastUpload = 0;

  /** Takes what is there. */
  constructor(options: BlobOptions) {
    this.#options = options;
    for (const { name } of Deno.readDirSync(this.#directory)) {
      const info = lookAt(join(this.#directory, name));
      if (UPLOAD.test(name)) removeIfPresent(join(this.#directory, name));
      else if (NAME.test(name) && info?.isFile) {
        this.#keep(name, { bytes: info.size, putMs: info.mtime?.getTime() ?? options.now() });
      }
    }
  }

  /** How much is kept. */
  get counters(): { readonly count: number; readonly bytes: number } {
    return { count: this.#known.size, bytes: this.#bytes };
  }

  async put(content: AsyncIterable<Uint8Array>): Promise<StoredBlob> {
    if (this.#uploads >= MAX_UPLOADS) {
      throw new PosternError("too_many", `POST /blobs: at most ${MAX_UPLOADS} uploads at once`, {
        limit: MAX_UPLOADS,
      });
    }
    this.#uploads++;
    const path = join(this.#directory, `upload-${++this.#lastUpload}.new`);
    try {
      return await this.#receive(path, content);
    } catch (error) {
      removeIfPresent(path);
      throw refusal(error);
    } finally {
      this.#uploads--;
    }
  }

  open(hash: string): { readonly bytes: number; readonly content: ReadableStream<Uint8Array> } {
    const known = NAME.test(hash) ? this.#known.get(hash) : undefined;
    if (known === undefined) {
      throw new PosternError("not_found", "GET /blobs: there is no blob of that hash");
    }
    const file = openOwnFileToRead(join(this.#directory, hash), { uid: this.#options.uid });
    return { bytes: known.bytes, content: file.readable };
  }

  /** Removes what is older than the retention. */
  tidy(): void {
    const oldest = this.#options.now() - this.#options.retentionMs;
    for (const [hash, { bytes, putMs }] of this.#known) {
      if (putMs >= oldest) continue;
      removeIfPresent(join(this.#directory, hash));
      this.#known.delete(hash);
      this.#bytes -= bytes;
    }
  }

  get #directory(): string {
    return join(this.#options.directory, BLOB_DIRECTORY);
  }

  async #receive(path: string, content: AsyncIterable<Uint8Array>): Promise<StoredBlob> {
    const digest = createHash("sha256");
    let bytes = 0;
    {
      using file = openOwnFile(path, { uid: this.#options.uid });
      for await (const chunk of content) {
        bytes += chunk.byteLength;
        this.#requireRoom(bytes);
        digest.update(chunk);
        for (let at = 0; at < chunk.byteLength;) at += await file.write(chunk.subarray(at));
      }
      await file.sync();
    }
    const hash = digest.digest("hex");
    const known = this.#known.get(hash);
    if (known !== undefined) {
      removeIfPresent(path);
      known.putMs = this.#options.now();
      await Deno.utime(join(this.#directory, hash), known.putMs / 1000, known.putMs / 1000);
      return { hash, bytes };
    }
    await Deno.rename(path, join(this.#directory, hash));
    this.#keep(hash, { bytes, putMs: this.#options.now() });
    return { hash, bytes };
  }

  #requireRoom(bytes: number): void {
    const limit = this.#options.maxBytes();
    if (bytes > limit) {
      throw new PosternError(
        "too_large",
        `POST /blobs: a blob is at most ${limit} bytes (limits.blob_bytes), this one is longer`,
        { limit },
      );
    }
    if (this.#bytes + bytes <= limit * TOTAL_OF_LARGEST) return;
    throw new PosternError(
      "storage_full",
      `POST /blobs: all blobs take at most ${limit * TOTAL_OF_LARGEST} bytes; older ones expire`,
    );
  }

  #keep(hash: string, known: Known): void {
    this.#known.set(hash, known);
    this.#bytes += known.bytes;
  }
}

/** What the file system says of a full or read-only disk becomes our word for it. */
function refusal(error: unknown): unknown {
  if (error instanceof PosternError) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (/No space left|Read-only file system|quota|os error (28|30|122)/i.test(text)) {
    return new PosternError("storage_full", `POST /blobs: the disk takes no more: ${text}`);
  }
  return error;
}
