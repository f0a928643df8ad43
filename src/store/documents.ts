/**
 * How documents are written as values of Deno KV, and read back at open.
 *
 * Persisted: whoever changes `DocumentValue` raises `FORMAT` in kv_store.ts, adds a migration there, and freezes a
 * store of the old format under tests/data/ first.
 *
 * Invariants: pieces of a long text go in before the document that names them, under an id of their own, so that
 * the document as it was before stays whole; they are removed only once no document names them.
 */

import {
  type Collection,
  COLLECTIONS,
  type Document,
  type DocumentContent,
  type DocumentKey,
  type DocumentWrite,
} from "../core/ports.ts";
import type { Mutate } from "./mutations.ts";

/** The fields of a document, and its text beside them or in pieces. */
type DocumentValue = DocumentContent["fields"] & {
  readonly text?: Uint8Array;
  /** Id and number of the pieces. */
  readonly pieces?: readonly [id: number, count: number];
};

/** Bytes of text in one value. Deno KV takes 65,536 with everything around them. */
const TEXT_BYTES = 56 * 1024;
/** Keys that Deno KV reads in one `getMany`. */
const KEYS_PER_GET = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Changes of documents, ready to be written. */
export interface EncodedDocuments {
  /** To be written before the others, at most so many bytes each as one value. */
  readonly pieces: readonly Mutate[];
  readonly changes: readonly Mutate[];
  /** To be called when they are on disk. @returns What nothing names any more. */
  readonly stored: () => Mutate[];
  /** To be called when they are not. @returns What nothing names. */
  readonly failed: () => Mutate[];
}

type Pieces = readonly [id: number, count: number];

/** The documents of one database. */
export class DocumentValues {
  /** Of documents that have any. */
  readonly #pieces = new Map<string, Pieces>();
  #nextId = 1;

  /** Reads every document. */
  async read(kv: Deno.Kv): Promise<Document[]> {
    const documents: Document[] = [];
    for (const collection of COLLECTIONS) {
      for await (const { key, value } of kv.list<DocumentValue>({ prefix: [collection] })) {
        documents.push(await this.#decode(kv, key as unknown as DocumentKey, value));
      }
    }
    return documents;
  }

  /** The ids of all pieces that a document names. */
  namedPieces(): ReadonlySet<number> {
    return new Set([...this.#pieces.values()].map(([id]) => id));
  }

  encode(writes: readonly DocumentWrite[]): EncodedDocuments {
    const encoded = writes.map((write) => this.#encode(write));
    return {
      pieces: encoded.flatMap(({ pieces }) => pieces),
      changes: encoded.map(({ change }) => change),
      stored: () =>
        writes.flatMap(({ key }, i) => {
          const name = nameOf(key);
          const before = this.#pieces.get(name);
          const { named } = encoded[i]!;
          if (named === null) this.#pieces.delete(name);
          else this.#pieces.set(name, named);
          return removals(before);
        }),
      failed: () => encoded.flatMap(({ named }) => removals(named ?? undefined)),
    };
  }

  #encode({ key, content }: DocumentWrite): {
    pieces: Mutate[];
    change: Mutate;
    named: Pieces | null;
  } {
    if (content === null) {
      return { pieces: [], change: (operation) => void operation.delete([...key]), named: null };
    }
    const { fields, text } = content;
    const bytes = text === undefined ? undefined : encoder.encode(text);
    if (bytes === undefined || bytes.byteLength <= TEXT_BYTES) {
      const value = bytes === undefined ? fields : { ...fields, text: bytes };
      return {
        pieces: [],
        change: (operation) => void operation.set([...key], value),
        named: null,
      };
    }
    const id = this.#nextId++;
    const pieces: Mutate[] = [];
    for (let at = 0; at < bytes.byteLength; at += TEXT_BYTES) {
      const piece = bytes.subarray(at, at + TEXT_BYTES);
      const place = ["piece", id, pieces.length];
      pieces.push((operation) => void operation.set(place, piece));
    }
    const named: Pieces = [id, pieces.length];
    const value = { ...fields, pieces: named };
    return { pieces, change: (operation) => void operation.set([...key], value), named };
  }

  async #decode(kv: Deno.Kv, key: DocumentKey, value: DocumentValue): Promise<Document> {
    const { text, pieces, ...fields } = value;
    const content = { key, fields: fields as DocumentContent["fields"] };
    if (pieces !== undefined) {
      this.#pieces.set(nameOf(key), pieces);
      this.#nextId = Math.max(this.#nextId, pieces[0] + 1);
      return { ...content, text: await joined(kv, pieces, key) };
    }
    return text === undefined ? content : { ...content, text: decoder.decode(text) };
  }
}

function nameOf(key: DocumentKey): string {
  return key.join("\0");
}

function removals(pieces: Pieces | undefined): Mutate[] {
  if (pieces === undefined) return [];
  const [id, count] = pieces;
  return Array.from(
    { length: count },
    (_, i): Mutate => (operation) => void operation.delete(["piece", id, i]),
  );
}

async function joined(kv: Deno.Kv, [id, count]: Pieces, key: DocumentKey): Promise<string> {
  const keys = Array.from({ length: count }, (_, i) => ["piece", id, i]);
  const bytes = await readPieces(kv, keys);
  if (bytes === null) {
    throw new Error(`the stored ${key[0] satisfies Collection} "${key[1]}" is damaged`);
  }
  return decoder.decode(bytes);
}

/** The values of some keys put together; `null` when one is not there. */
export async function readPieces(
  kv: Deno.Kv,
  keys: readonly Deno.KvKey[],
): Promise<Uint8Array | null> {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < keys.length; at += KEYS_PER_GET) {
    const entries = await kv.getMany<Uint8Array[]>(keys.slice(at, at + KEYS_PER_GET));
    for (const { value } of entries) {
      if (value === null) return null;
      pieces.push(value);
    }
  }
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}
