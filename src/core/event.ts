/**
 * Events, the blocks they are stored in, and the words that describe them: kinds and topics.
 *
 * An envelope is opaque JSON text here, kept as it was written when the event was accepted, so that
 * nothing between sender and reader can alter a payload. What the core needs to know of it (kind, topic)
 * stands beside it.
 */

import type { Kind } from "./kinds.ts";

export { type Kind, KINDS } from "./kinds.ts";
export { isTopic, isTopicPattern } from "./topics.ts";

/** First segments of topics on which only the daemon itself speaks. */
export const RESERVED_TOPICS: ReadonlySet<string> = new Set([
  "permission",
  "turn",
  "session",
  "lease",
  "postern",
]);

/** An event that was accepted and has no place in the log yet. */
export interface NewEvent {
  readonly msgId: string;
  readonly kind: Kind;
  readonly topic: string | null;
  /** The envelope as JSON text. */
  readonly envelope: string;
  /** How long it may be read, in milliseconds, when shorter than the log's own limit. */
  readonly ttlMs: number | null;
  /** Scope and key for deduplication. */
  readonly dedupKey: string | null;
}

/** One event of the log. */
export interface LogEvent {
  readonly seq: number;
  readonly bufferedAtMs: number;
  readonly kind: Kind;
  readonly topic: string | null;
  readonly expiresAtMs: number | null;
  readonly envelope: string;
}

/** What a deduplicated send is remembered by, as long as its event is retained. */
export interface DedupEntry {
  /** Sender's scope and key; opaque here. */
  readonly key: string;
  readonly seq: number;
  readonly msgId: string;
}

/** What is known of a block without reading it. */
export interface BlockInfo {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** Stored size in bytes. */
  readonly bytes: number;
  /** More than 0 when its one event lies in so many chunks beside it. */
  readonly chunks: number;
  /** Whether an event of it has a time to live of its own. */
  readonly expiring: boolean;
}

/** Neighbouring events that are stored as one value. Never empty. */
export interface Block extends BlockInfo {
  readonly events: readonly LogEvent[];
  readonly dedup: readonly DedupEntry[];
}

/** Whether only the daemon may send on this topic. */
export function isReservedTopic(topic: string | null): boolean {
  if (topic === null) return false;
  const dot = topic.indexOf(".");
  return RESERVED_TOPICS.has(dot < 0 ? topic : topic.slice(0, dot));
}
