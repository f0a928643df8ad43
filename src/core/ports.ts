/**
 * What the core needs of the world, as interfaces. The daemon supplies real ones, tests their own.
 *
 * Nothing here names a database, a socket or a clock of the platform: that is the point of the file.
 */

import type { Block, BlockInfo, DedupEntry, LogEvent, NewEvent } from "./event.ts";
import type { Ticket } from "./ticket.ts";

/** The time. Epoch milliseconds; it may step back, and whoever needs order says so. */
export interface Clock {
  now(): number;
}

/** Randomness and hashes for what must stay secret. */
export interface Secrets {
  /** 256 bits, in hex. */
  random(): string;
  /** SHA-256 of a text, in hex. */
  hash(text: string): string;
}

/** Makes the daemon's own news into events: of kind `notify`, on topics on which nobody else can send. */
export interface News {
  /**
   * @param payload Values as JSON has them; text that is JSON already as `JsonText`.
   * @param id The envelope's, where it has a name already; else a new one.
   */
  event(topic: string, payload: Readonly<Record<string, unknown>>, id?: string): NewEvent;
}

/** Appends events, with changes that are stored with them or not at all. */
export interface Journal {
  append(
    events: readonly NewEvent[],
    documents: readonly DocumentWrite[],
  ): Ticket<readonly { readonly seq: number; readonly msgId: string }[]>;
}

/** What the audit keeps of one authentication or change. Never a secret, never a parameter. */
export interface AuditEntry {
  readonly op: string;
  /** `ok` or an error code. */
  readonly outcome: string;
  readonly tokenId: string | null;
  readonly originator: string | null;
  readonly transport: string;
  /** On whose behalf a service says that it asks. */
  readonly onBehalfOf: string | null;
  /** How many alike the one entry stands for. @default 1 */
  readonly count?: number;
}

/** Takes what is to be kept of who did what. */
export interface Audit {
  note(entry: AuditEntry): void;
}

/** The log for people who run the daemon. Never a token, a client_id or a payload goes in. */
export interface Log {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** What documents are about. A store keeps any of them alike; a new one costs a name here. */
export const COLLECTIONS = [
  "cursor",
  "record",
  "value",
  "token",
  "client",
  "permission",
  "session",
  "turn",
  "lease",
] as const;

export type Collection = typeof COLLECTIONS[number];

/** Where a document stands: its collection, whose it is, and a slot where one has several. */
export type DocumentKey =
  | readonly [collection: Collection, name: string]
  | readonly [collection: Collection, name: string, slot: number];

/** What a document says. */
export interface DocumentContent {
  /** Small things, a kilobyte or two together. */
  readonly fields: Readonly<Record<string, string | number | boolean | null>>;
  /** Text of any length, kept to the letter. */
  readonly text?: string;
}

/** Something small that is kept under a key of its own and overwritten as it changes. */
export interface Document extends DocumentContent {
  readonly key: DocumentKey;
}

/** A change of a document; `null` removes it. */
export interface DocumentWrite {
  readonly key: DocumentKey;
  readonly content: DocumentContent | null;
  /** On disk no later than any such change that comes after it, of whichever document. */
  readonly inOrder?: boolean;
}

/** Takes changes of documents, to be stored with the next commit. */
export interface Documents {
  /** The ticket is settled when the change, or a later one of the same document, is on disk. */
  put(write: DocumentWrite): Ticket<void>;
}

/** Events that are stored together or not at all, with what they are remembered by and what changes with them. */
export interface Unit {
  readonly events: readonly LogEvent[];
  readonly dedup: readonly DedupEntry[];
  /** Few and small: their text goes in one piece. */
  readonly documents: readonly DocumentWrite[];
}

/** Everything that one group commit carries. */
export interface CommitBatch {
  /** In the order of their seqs, without a hole. */
  readonly units: readonly Unit[];
  /** When false the events are numbered and shown to live subscribers, but not stored. */
  readonly keepEvents: boolean;
  readonly documents: readonly DocumentWrite[];
  /** Blocks that retention has dropped. */
  readonly droppedBlocks: readonly BlockInfo[];
  /** Runs of small neighbouring blocks, each to be rewritten as one. */
  readonly merges: readonly (readonly Block[])[];
}

/** What became of a {@linkcode CommitBatch}. */
export interface CommitOutcome {
  /** The units stored, from the front of the batch; fewer than asked when `failure` is set. */
  readonly storedUnits: number;
  /** The blocks that hold them. */
  readonly blocks: readonly Block[];
  /** Whether the documents, the drops and the merges are stored. */
  readonly restStored: boolean;
  /** What each merge made, in the order of `merges`; empty unless `restStored`. */
  readonly merged: readonly Block[];
  /** Why the rest is not stored. The store has not kept any of it. */
  readonly failure?: unknown;
}

/** What was found when the store was opened. */
export interface StoreState {
  /** Names this log; a new one when the store is new or had gone back behind what was acknowledged. */
  readonly epoch: string;
  /** The highest seq ever assigned, 0 for an empty log. */
  readonly head: number;
  readonly blocks: readonly BlockInfo[];
  readonly documents: readonly Document[];
  /** Every remembered dedup key, oldest first. */
  readonly dedup: readonly DedupEntry[];
}

/**
 * Durable storage of one log, its dedup keys, and the documents beside it.
 *
 * One writer, one commit at a time. A commit is on disk when its promise resolves, and readers see it
 * from then on.
 */
export interface LogStore {
  readonly state: StoreState;
  /** Stores the batch. Does not throw: a failure is part of the outcome. */
  commit(batch: CommitBatch): Promise<CommitOutcome>;
  /** The blocks from `first` on, in order, at most `limit`; read whole. */
  load(first: BlockInfo, limit: number): Promise<Block[]>;
  close(): Promise<void>;
}

/** A link to other daemons. Without one there are no peers. */
export interface Peers {
  list(): readonly PeerInfo[];
  /** @throws PosternError `peer_not_found`, `peer_unreachable` */
  deliver(to: string, envelope: string): Promise<void>;
}

/** One known peer, as AXON's `peers` shows it. */
export interface PeerInfo {
  readonly id: string;
  readonly addr: string;
  readonly status: string;
  readonly rtt_ms?: number;
  readonly source: string;
}
