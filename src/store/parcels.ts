/**
 * Packs the units of a commit into blocks, and the blocks into parcels that each fit one atomic operation.
 *
 * Invariants: a parcel holds whole units, so that what is to be stored together goes in together; blocks
 * are in the order of their seqs; a unit of several events is at most `MAX_BATCH_BYTES` and so fits one
 * parcel.
 */

import type { DedupEntry, LogEvent } from "../core/event.ts";
import type { DocumentWrite, Unit } from "../core/ports.ts";
import { utf8Length } from "../core/text.ts";
import { BLOCK_BYTES, encodeBlocks, type EncodedBlock, lineChars } from "./block_value.ts";

/** What goes into one atomic operation. */
export interface Parcel {
  readonly units: number;
  /** The seq of its last event. */
  readonly head: number;
  readonly blocks: readonly EncodedBlock[];
  readonly documents: readonly DocumentWrite[];
}

/** Ten blocks of 60 KiB stay below the 800 KiB of one atomic operation with room for what rides along. */
const BLOCKS_PER_PARCEL = 10;
/** What a document takes beside its text, in bytes. */
const DOCUMENT_OVERHEAD = 1024;

/** Blocks that go in together, and how many units they complete. */
interface Segment {
  readonly units: number;
  readonly blocks: readonly EncodedBlock[];
  readonly documents: readonly DocumentWrite[];
}

/** Packs units, in their order. */
export function packUnits(units: readonly Unit[]): Parcel[] {
  const parcels: Parcel[] = [];
  let open: Segment[] = [];
  let blocks = 0;
  for (const segment of segmentsOf(units)) {
    const size = sizeOf(segment);
    if (blocks > 0 && blocks + size > BLOCKS_PER_PARCEL) {
      parcels.push(sealed(open));
      open = [];
      blocks = 0;
    }
    open.push(segment);
    blocks += size;
  }
  if (open.length > 0) parcels.push(sealed(open));
  return parcels;
}

/** In blocks; documents count by their bytes. */
function sizeOf({ blocks, documents }: Segment): number {
  const bytes = documents.reduce(
    (sum, { content }) => sum + utf8Length(content?.text ?? "") + DOCUMENT_OVERHEAD,
    0,
  );
  return blocks.length + bytes / BLOCK_BYTES;
}

function sealed(segments: readonly Segment[]): Parcel {
  const blocks = segments.flatMap((segment) => segment.blocks);
  return {
    units: segments.reduce((sum, segment) => sum + segment.units, 0),
    head: blocks.at(-1)!.block.lastSeq,
    blocks,
    documents: segments.flatMap((segment) => segment.documents),
  };
}

/** Single events share blocks; what belongs together with others has blocks of its own. */
function segmentsOf(units: readonly Unit[]): Segment[] {
  const segments: Segment[] = [];
  let events: LogEvent[] = [];
  let dedup: DedupEntry[] = [];
  let chars = 0;
  const flush = () => {
    if (events.length === 0) return;
    for (const block of encodeBlocks(events, dedup)) {
      const { firstSeq, lastSeq } = block.block;
      segments.push({ units: lastSeq - firstSeq + 1, blocks: [block], documents: [] });
    }
    [events, dedup, chars] = [[], [], 0];
  };
  for (const unit of units) {
    const [event] = unit.events;
    const size = lineChars(event!, unit.dedup[0]);
    const isAlone = unit.events.length > 1 || unit.documents.length > 0;
    if (isAlone || chars + size > BLOCK_BYTES) flush();
    if (isAlone) {
      segments.push({ units: 1, blocks: blocksOf(unit), documents: unit.documents });
      continue;
    }
    events.push(event!);
    dedup.push(...unit.dedup);
    chars += size;
  }
  flush();
  return segments;
}

function blocksOf({ events, dedup }: Unit): EncodedBlock[] {
  const dedupBySeq = new Map(dedup.map((entry) => [entry.seq, entry]));
  const blocks: EncodedBlock[] = [];
  let from = 0;
  let chars = 0;
  events.forEach((event, i) => {
    const size = lineChars(event, dedupBySeq.get(event.seq));
    if (i > from && chars + size > BLOCK_BYTES) {
      blocks.push(...encodeRange(events.slice(from, i), dedupBySeq));
      from = i;
      chars = 0;
    }
    chars += size;
  });
  blocks.push(...encodeRange(events.slice(from), dedupBySeq));
  return blocks;
}

function encodeRange(
  events: readonly LogEvent[],
  dedupBySeq: ReadonlyMap<number, DedupEntry>,
): EncodedBlock[] {
  return encodeBlocks(
    events,
    events.flatMap(({ seq }) => dedupBySeq.get(seq) ?? []),
  );
}
