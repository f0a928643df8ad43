/**
 * The log's store on Deno KV.
 *
 * Persisted keys (a change here raises `FORMAT`, adds a migration, and freezes a store of the old format
 * under tests/data/ first):
 *
 *     ["meta"]              { format, epoch }
 *     ["head"]              the highest seq ever assigned
 *     ["log", first_seq]    BlockValue: neighbouring events and their dedup keys (block_value.ts)
 *     ["chunk", seq, i]     a piece of an event too large for one value
 *     [collection, name] or [collection, name, slot]
 *                           DocumentValue: cursors, records and their values (documents.ts)
 *     ["piece", id, i]      a piece of a document's text too large for one value
 *
 * A new collection of documents does not raise it: whoever does not know one leaves it alone.
 *
 * Invariants: one atomic operation of Deno KV is one fsync and goes in whole or not at all; chunks go in
 * before the block that names them, and pieces before their document, so that neither is ever without its content; `["head"]` moves with
 * the block that takes it there.
 */

import type { Block, BlockInfo, DedupEntry } from "../core/event.ts";
import { PosternError } from "../core/errors.ts";
import type { CommitBatch, CommitOutcome, Log, LogStore, StoreState } from "../core/ports.ts";
import {
  BLOCK_BYTES,
  type BlockValue,
  decodeBlock,
  describeBlock,
  encodeBlocks,
  type EncodedBlock,
} from "./block_value.ts";
import { DocumentValues, readPieces } from "./documents.ts";
import { inBites, type Mutate } from "./mutations.ts";
import { packUnits, type Parcel } from "./parcels.ts";

/** The format of what is written. One newer is refused, one older is migrated. */
export const FORMAT = 1;

/** Where the head is noted beside the database, to see at the next start whether that went back. */
export interface HeadHint {
  /** What was last written, or `null`. */
  read(): { epoch: string; head: number } | null;
  /** Called after each commit; must be cheap, and need not reach the disk at once. */
  write(hint: { epoch: string; head: number }): void;
  close(): void;
}

export interface StoreOptions {
  /** Path of the database file, or `:memory:`. */
  readonly path: string;
  readonly hint: HeadHint;
  readonly log: Log;
  /** Makes the name of a new log. */
  readonly newEpoch: () => string;
}

/** Chunks written in one atomic operation: ten values of 60 KiB are below Deno KV's 800 KiB. */
const CHUNKS_PER_COMMIT = 10;

/**
 * Opens or creates a store.
 *
 * @throws PosternError `unsupported_version` when a newer Postern wrote it.
 */
export async function openKvStore(options: StoreOptions): Promise<LogStore> {
  const kv = await Deno.openKv(options.path);
  try {
    const documents = new DocumentValues();
    const state = await readState(kv, { ...options, documents });
    return new KvStore({ kv, state, documents }, options);
  } catch (error) {
    kv.close();
    throw error;
  }
}

interface Opened {
  readonly kv: Deno.Kv;
  readonly state: StoreState;
  readonly documents: DocumentValues;
}

class KvStore implements LogStore {
  readonly #kv: Deno.Kv;
  readonly #documents: DocumentValues;
  readonly #hint: HeadHint;
  readonly #log: Log;
  readonly state: StoreState;

  constructor({ kv, state, documents }: Opened, { hint, log }: StoreOptions) {
    this.#kv = kv;
    this.#documents = documents;
    this.state = state;
    this.#hint = hint;
    this.#log = log;
    hint.write({ epoch: state.epoch, head: state.head });
  }

  async commit(batch: CommitBatch): Promise<CommitOutcome> {
    const blocks: Block[] = [];
    const documents = this.#documents.encode(batch.documents);
    let merges: Merge[] = [];
    let storedUnits = 0;
    let restStored = false;
    let failure: { readonly failure?: unknown } = {};
    try {
      merges = batch.merges.map((run) => mergeBlocks(run));
      const [first = EMPTY_PARCEL, ...others] = packUnits(batch.units);
      // Merges and documents are in the first bite, which decides whether all of it counts as stored.
      const rest = inBites([
        ...merges.flatMap(mergeMutations),
        ...documents.changes,
        ...dropMutations(batch),
      ]);
      await this.#pieces(documents.pieces);
      for (const bite of rest.slice(1)) await this.#atomic(bite);
      for (const parcel of [first, ...others]) {
        const also = parcel === first ? rest[0] ?? [] : [];
        await this.#store(batch.keepEvents ? parcel : { ...parcel, blocks: [] }, also);
        restStored = true;
        storedUnits += parcel.units;
        blocks.push(...parcel.blocks.map(({ block }) => block));
      }
    } catch (error) {
      failure = { failure: refusal(error) };
    }
    await this.#forget(restStored ? documents.stored() : documents.failed());
    return {
      storedUnits,
      blocks,
      restStored,
      merged: restStored ? wholes(merges) : [],
      ...failure,
    };
  }

  async load(first: BlockInfo, limit: number): Promise<Block[]> {
    const blocks: Block[] = [];
    const entries = this.#kv.list<BlockValue>({
      start: ["log", first.firstSeq],
      end: ["log", Number.MAX_SAFE_INTEGER],
    }, { limit, batchSize: limit });
    for await (const { key, value } of entries) {
      const seq = key[1] as number;
      const lines = value.chunks === undefined
        ? value.lines
        : await this.#chunks(seq, value.chunks);
      // Retention has taken it between the one read and the other; so has it all before it.
      if (lines === null) break;
      try {
        blocks.push(decodeBlock(seq, value, lines));
      } catch (error) {
        // A damaged block is the error of who asks for it, not of who reads up to it.
        if (blocks.length === 0) throw error;
        break;
      }
    }
    return blocks[0]?.firstSeq === first.firstSeq ? blocks : [];
  }

  close(): Promise<void> {
    this.#kv.close();
    this.#hint.close();
    return Promise.resolve();
  }

  /** Writes one parcel, its chunks first, and `also` with it. */
  async #store(parcel: Parcel, also: readonly Mutate[]): Promise<void> {
    if (parcel.units === 0 && also.length === 0) return;
    const chunks = parcel.blocks.flatMap(chunkMutations);
    const documents = this.#documents.encode(parcel.documents);
    try {
      await this.#pieces([...chunks, ...documents.pieces]);
      await this.#atomic([...also, ...parcelMutations(parcel), ...documents.changes]);
      await this.#forget(documents.stored());
    } catch (error) {
      await this.#forget(documents.failed());
      if (chunks.length > 0) {
        await this.#forget(parcel.blocks.flatMap(({ block }) => chunkRemovals(block)));
      }
      throw error;
    }
    if (parcel.head > 0) this.#noteHead(parcel.head);
  }

  /** What is stored stays stored, whether or not the hint beside it can be written. */
  #noteHead(head: number): void {
    try {
      this.#hint.write({ epoch: this.state.epoch, head });
    } catch (error) {
      this.#log.warn("cannot note the head of the log beside the store", { error });
    }
  }

  async #atomic(mutations: readonly Mutate[]): Promise<void> {
    const operation = this.#kv.atomic();
    for (const mutate of mutations) mutate(operation);
    await operation.commit();
  }

  /** Writes large values, so many at a time. */
  async #pieces(pieces: readonly Mutate[]): Promise<void> {
    for (let at = 0; at < pieces.length; at += CHUNKS_PER_COMMIT) {
      await this.#atomic(pieces.slice(at, at + CHUNKS_PER_COMMIT));
    }
  }

  /** What nothing names is waste; what cannot be removed now is swept at the next open. */
  async #forget(removals: readonly Mutate[]): Promise<void> {
    for (const bite of inBites(removals)) await this.#atomic(bite).catch(() => {});
  }

  /** @returns `null` when one is no longer there. */
  #chunks(seq: number, count: number): Promise<Uint8Array | null> {
    return readPieces(this.#kv, Array.from({ length: count }, (_, i) => ["chunk", seq, i]));
  }
}

const EMPTY_PARCEL: Parcel = { units: 0, head: 0, blocks: [], documents: [] };

async function readState(
  kv: Deno.Kv,
  options: StoreOptions & { readonly documents: DocumentValues },
): Promise<StoreState> {
  const { hint, log, newEpoch } = options;
  const meta = (await kv.get<{ format: number; epoch: string }>(["meta"])).value;
  if (meta !== null && meta.format > FORMAT) {
    throw new PosternError(
      "unsupported_version",
      `open store: its format is ${meta.format}, and this version reads up to ${FORMAT}; use the newer postern that wrote it`,
      { format: meta.format, supported: FORMAT },
    );
  }
  const { blocks, dedup } = await readBlocks(kv, log);
  const documents = await options.documents.read(kv);
  const storedHead = (await kv.get<number>(["head"])).value ?? 0;
  const lastSeq = Math.max(storedHead, blocks.at(-1)?.lastSeq ?? 0);
  const hinted = hint.read();
  const wentBack = hinted !== null && hinted.head > 0 &&
    (meta === null || hinted.head > lastSeq);
  const head = wentBack ? Math.max(lastSeq, hinted.head) : lastSeq;
  const epoch = meta === null || wentBack ? newEpoch() : meta.epoch;
  if (wentBack) {
    log.error("the store has gone back behind what was acknowledged; a new epoch begins", {
      stored_seq: lastSeq,
      acknowledged_seq: hinted.head,
      epoch,
    });
  }
  if (epoch !== meta?.epoch) {
    await kv.atomic().set(["meta"], { format: FORMAT, epoch }).set(["head"], head).commit();
  }
  const chunked = blocks.flatMap(({ firstSeq, chunks }) => chunks > 0 ? [firstSeq] : []);
  await sweep(kv, { prefix: "chunk", named: new Set(chunked), log });
  await sweep(kv, { prefix: "piece", named: options.documents.namedPieces(), log });
  return { epoch, head, blocks, documents, dedup };
}

async function readBlocks(
  kv: Deno.Kv,
  log: Log,
): Promise<{ blocks: BlockInfo[]; dedup: DedupEntry[] }> {
  const blocks: BlockInfo[] = [];
  const dedup: DedupEntry[] = [];
  for await (const { key, value } of kv.list<BlockValue>({ prefix: ["log"] }, { batchSize: 100 })) {
    const described = describeBlock(key[1] as number, value);
    const previous = blocks.at(-1);
    if (previous !== undefined && described.info.firstSeq <= previous.lastSeq) {
      log.error("a stored block overlaps the one before it and is left out", {
        first_seq: described.info.firstSeq,
        previous_last_seq: previous.lastSeq,
      });
      continue;
    }
    blocks.push(described.info);
    dedup.push(...described.dedup);
  }
  return { blocks, dedup };
}

/** Removes chunks that nothing names: a crash came between them and what names them, or their removal. */
async function sweep(
  kv: Deno.Kv,
  { prefix, named, log }: { prefix: string; named: ReadonlySet<number>; log: Log },
): Promise<void> {
  let swept = 0;
  let id = await nextOf(kv, prefix, 0);
  for (; id !== null; id = await nextOf(kv, prefix, id + 1)) {
    if (named.has(id)) continue;
    for await (const { key } of kv.list({ prefix: [prefix, id] })) {
      await kv.delete(key);
      swept++;
    }
  }
  if (swept > 0) log.info("swept chunks that nothing names", { chunks: swept });
}

/** The first number from `from` on that has something below it. */
async function nextOf(kv: Deno.Kv, prefix: string, from: number): Promise<number | null> {
  const range = { start: [prefix, from], end: [prefix, Number.MAX_SAFE_INTEGER] };
  for await (const { key } of kv.list(range, { limit: 1 })) return key[1] as number;
  return null;
}

function parcelMutations({ blocks, head, units }: Parcel): Mutate[] {
  const mutations = blocks.map(({ block, value }): Mutate => (operation) =>
    void operation.set(["log", block.firstSeq], value)
  );
  if (units > 0) mutations.push((operation) => void operation.set(["head"], head));
  return mutations;
}

function chunkMutations({ block, chunks }: EncodedBlock): Mutate[] {
  return chunks.map((chunk, i): Mutate => (operation) =>
    void operation.set(["chunk", block.firstSeq, i], chunk)
  );
}

function chunkRemovals({ firstSeq, chunks }: BlockInfo): Mutate[] {
  return Array.from(
    { length: chunks },
    (_, i): Mutate => (operation) => void operation.delete(["chunk", firstSeq, i]),
  );
}

function dropMutations({ droppedBlocks }: CommitBatch): Mutate[] {
  return droppedBlocks.flatMap((info) => [
    (operation) => void operation.delete(["log", info.firstSeq]),
    ...chunkRemovals(info),
  ]);
}

interface Merge {
  readonly whole: EncodedBlock;
  readonly run: readonly Block[];
}

function wholes(merges: readonly Merge[]): Block[] {
  return merges.map(({ whole }) => whole.block);
}

function mergeBlocks(run: readonly Block[]): Merge {
  const events = run.flatMap((block) => block.events);
  const dedup = run.flatMap((block) => block.dedup);
  const [whole, ...more] = encodeBlocks(events, dedup);
  if (whole === undefined || more.length > 0) {
    throw new Error(`blocks to merge are larger than ${BLOCK_BYTES} bytes together`);
  }
  return { whole, run };
}

/** One mutation, so that a merge is never torn apart between two atomic operations. */
function mergeMutations({ whole, run }: Merge): Mutate[] {
  return [(operation) => {
    for (const { firstSeq } of run.slice(1)) operation.delete(["log", firstSeq]);
    operation.set(["log", whole.block.firstSeq], whole.value);
  }];
}

/** What SQLite says of a full or read-only disk becomes our word for it; anything else is a bug. */
function refusal(error: unknown): unknown {
  const text = error instanceof Error ? error.message : String(error);
  if (/disk is full|readonly database|disk I\/O error|No space left|quota/i.test(text)) {
    return new PosternError("storage_full", `append: the store cannot write: ${text}`);
  }
  return error;
}
