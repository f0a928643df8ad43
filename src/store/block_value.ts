/**
 * How a block of events is written as one value of Deno KV.
 *
 * Persisted: whoever changes `BlockValue` or the shape of a line raises `FORMAT` in kv_store.ts, adds a
 * migration there, and freezes a store of the old format under tests/data/ first.
 *
 * A line is `{"seq":N,"buffered_at_ms":T,"envelope":{...}}`, as readers see it, so that a block is NDJSON.
 */

import type { Block, BlockInfo, DedupEntry, Kind, LogEvent } from "../core/event.ts";

/** A block as it is stored. */
export interface BlockValue {
  readonly last_seq: number;
  readonly first_ms: number;
  readonly last_ms: number;
  /** Events with a time to live of their own: seq and epoch milliseconds. */
  readonly expires?: readonly (readonly [number, number])[];
  /** Dedup keys: key, seq, message id. */
  readonly dedup?: readonly (readonly [string, number, string])[];
  /** How many chunks hold the lines, when they are too large to stand here. */
  readonly chunks?: number;
  readonly lines: Uint8Array;
}

/** A block with what is to be written for it. */
export interface EncodedBlock {
  readonly block: Block;
  readonly value: BlockValue;
  /** Written before the block that names them. */
  readonly chunks: readonly Uint8Array[];
}

/** Bytes of lines in one value. Deno KV takes 65,536 with everything around them. */
export const BLOCK_BYTES = 60 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Characters that an event takes in a block, dedup key included, if all of them are ASCII. */
export function lineChars(event: LogEvent, dedup: DedupEntry | undefined): number {
  const dedupChars = dedup === undefined ? 0 : dedup.key.length + 64;
  return event.envelope.length + 64 + dedupChars;
}

/** Encodes neighbouring events; as several blocks when they are larger in UTF-8 than in characters. */
export function encodeBlocks(
  events: readonly LogEvent[],
  dedup: readonly DedupEntry[],
): EncodedBlock[] {
  let text = "";
  for (const { seq, bufferedAtMs, envelope } of events) {
    text += `{"seq":${seq},"buffered_at_ms":${bufferedAtMs},"envelope":${envelope}}\n`;
  }
  const lines = encoder.encode(text);
  const bytes = lines.byteLength + dedupBytes(dedup) + expiryBytes(events);
  if (bytes <= BLOCK_BYTES) return [encoded(events, dedup, { lines, chunks: [] })];
  if (events.length > 1) {
    const half = events.length >> 1;
    const split = events[half]!.seq;
    return [
      ...encodeBlocks(events.slice(0, half), dedup.filter((entry) => entry.seq < split)),
      ...encodeBlocks(events.slice(half), dedup.filter((entry) => entry.seq >= split)),
    ];
  }
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < lines.byteLength; at += BLOCK_BYTES) {
    chunks.push(lines.subarray(at, at + BLOCK_BYTES));
  }
  return [encoded(events, dedup, { lines, chunks })];
}

/** The block as index entry, with its dedup keys, without reading its lines. */
export function describeBlock(
  firstSeq: number,
  value: BlockValue,
): { info: BlockInfo; dedup: DedupEntry[] } {
  const dedup = dedupOf(value);
  const info: BlockInfo = {
    firstSeq,
    lastSeq: value.last_seq,
    firstMs: value.first_ms,
    lastMs: value.last_ms,
    bytes: value.lines.byteLength + dedupBytes(dedup) + (value.chunks ?? 0) * BLOCK_BYTES,
    chunks: value.chunks ?? 0,
    expiring: value.expires !== undefined,
  };
  return { info, dedup };
}

/** Reads a block back. `lines` are those of the value, or its chunks put together. */
export function decodeBlock(firstSeq: number, value: BlockValue, lines: Uint8Array): Block {
  const block = new StoredBlock(firstSeq, value, lines);
  // Read now: what is damaged is the reader's error here, and nobody's later; envelopes go out as they are.
  try {
    for (const { envelope } of block.events) JSON.parse(envelope);
  } catch {
    throw damaged(firstSeq);
  }
  if (block.events.at(-1)?.seq !== value.last_seq) throw damaged(firstSeq);
  return block;
}

function damaged(firstSeq: number): Error {
  return new Error(`the stored block ${firstSeq} is damaged`);
}

function encoded(
  events: readonly LogEvent[],
  dedup: readonly DedupEntry[],
  text: { lines: Uint8Array; chunks: readonly Uint8Array[] },
): EncodedBlock {
  const [first, last] = [events[0]!, events.at(-1)!];
  const expires = events.flatMap(({ seq, expiresAtMs }) =>
    expiresAtMs === null ? [] : [[seq, expiresAtMs] as const]
  );
  const value: BlockValue = {
    last_seq: last.seq,
    first_ms: first.bufferedAtMs,
    last_ms: last.bufferedAtMs,
    lines: text.chunks.length > 0 ? new Uint8Array() : text.lines,
    ...(expires.length > 0 ? { expires } : {}),
    ...(dedup.length > 0 ? { dedup: dedup.map(({ key, seq, msgId }) => [key, seq, msgId]) } : {}),
    ...(text.chunks.length > 0 ? { chunks: text.chunks.length } : {}),
  };
  const block = new StoredBlock(first.seq, value, text.lines);
  return { block, value, chunks: text.chunks };
}

/**
 * A block as it stays in memory: its bytes. Events are made of them when somebody reads, because most
 * blocks are never read while they are young, and objects that live long are what costs a collector most.
 */
class StoredBlock implements Block {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly bytes: number;
  readonly chunks: number;
  readonly expiring: boolean;
  readonly dedup: readonly DedupEntry[];
  readonly #expires: BlockValue["expires"];
  #lines: Uint8Array | null;
  #events: readonly LogEvent[] | null = null;

  constructor(firstSeq: number, value: BlockValue, lines: Uint8Array) {
    const { info, dedup } = describeBlock(firstSeq, value);
    this.firstSeq = firstSeq;
    this.lastSeq = info.lastSeq;
    this.firstMs = info.firstMs;
    this.lastMs = info.lastMs;
    this.bytes = info.bytes;
    this.chunks = info.chunks;
    this.expiring = info.expiring;
    this.dedup = dedup;
    this.#expires = value.expires;
    this.#lines = lines;
  }

  get events(): readonly LogEvent[] {
    if (this.#events !== null) return this.#events;
    const expires = new Map(this.#expires);
    this.#events = decoder.decode(this.#lines!).split("\n").slice(0, -1)
      .map((line) => new StoredEvent(line, expires));
    this.#lines = null;
    return this.#events;
  }
}

function dedupOf(value: BlockValue): DedupEntry[] {
  return (value.dedup ?? []).map(([key, seq, msgId]) => ({ key, seq, msgId }));
}

/** What times to live take beside the lines, at most. */
function expiryBytes(events: readonly LogEvent[]): number {
  let bytes = 0;
  for (const { expiresAtMs } of events) if (expiresAtMs !== null) bytes += 32;
  return bytes;
}

function dedupBytes(dedup: readonly DedupEntry[]): number {
  let bytes = 0;
  // A UTF-16 unit is three bytes at most; the message id, the seq and the framing take the rest.
  for (const { key } of dedup) bytes += key.length * 3 + 64;
  return bytes;
}

const BEFORE_SEQ = '{"seq":'.length;
const BEFORE_TIME = ',"buffered_at_ms":'.length;
const BEFORE_ENVELOPE = ',"envelope":'.length;
/** The front of an envelope as Postern writes it, up to kind and topic. */
const ENVELOPE =
  /^\{"v":1,"id":"[^"]*","from":"[^"]*","to":"[^"]*","ts":\d+,"kind":"([a-z]+)","ref":(?:null|"(?:[^"\\]|\\.)*")(?:,"topic":"([^"]*)")?/;

/** An event read from its line; what only a filter asks for is looked for when it is asked. */
class StoredEvent implements LogEvent {
  readonly seq: number;
  readonly bufferedAtMs: number;
  readonly expiresAtMs: number | null;
  readonly envelope: string;
  #subject: { readonly kind: Kind; readonly topic: string | null } | null = null;

  constructor(line: string, expires: ReadonlyMap<number, number>) {
    const seqEnd = line.indexOf(",", BEFORE_SEQ);
    const timeEnd = line.indexOf(",", seqEnd + BEFORE_TIME);
    this.seq = Number(line.slice(BEFORE_SEQ, seqEnd));
    this.bufferedAtMs = Number(line.slice(seqEnd + BEFORE_TIME, timeEnd));
    this.expiresAtMs = expires.size === 0 ? null : expires.get(this.seq) ?? null;
    this.envelope = line.slice(timeEnd + BEFORE_ENVELOPE, -1);
    if (Number.isNaN(this.seq)) throw new Error("a stored line does not begin as one");
  }

  get kind(): Kind {
    return (this.#subject ??= subjectOf(this.envelope)).kind;
  }

  get topic(): string | null {
    return (this.#subject ??= subjectOf(this.envelope)).topic;
  }
}

function subjectOf(envelope: string): { kind: Kind; topic: string | null } {
  const front = ENVELOPE.exec(envelope);
  if (front !== null) return { kind: front[1] as Kind, topic: front[2] ?? null };
  const { kind, topic } = JSON.parse(envelope);
  return { kind, topic: topic ?? null };
}
