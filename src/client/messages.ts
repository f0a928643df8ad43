/**
 * The messages a client sends and gets, under the names that they have on the wire.
 *
 * These are shapes only. A daemon may add fields, and a client must not mind.
 */

/** A range of events that retention has taken before they could be read. */
export interface Gap {
  readonly from_seq: number;
  readonly to_seq: number;
}

/** What a sender wrote, with what the daemon added. */
export interface Envelope {
  readonly v: number;
  readonly id: string;
  readonly from: string;
  readonly to: string;
  /** When it was sent, in milliseconds since 1970. */
  readonly ts: number;
  readonly kind: string;
  /** The id of the message that this one answers. */
  readonly ref: string | null;
  readonly topic?: string;
  readonly originator?: string;
  readonly payload: unknown;
}

/** An envelope with its place in the log. */
export interface StoredEvent {
  readonly seq: number;
  readonly buffered_at_ms: number;
  readonly envelope: Envelope;
}

/** An event as a subscription brings it. */
export interface InboundEvent extends StoredEvent {
  /** Whether it was in the log already when the subscription began. */
  readonly replay: boolean;
  /** What was lost just before this event. */
  readonly gap?: Gap;
}

/** A message to be sent. */
export interface OutgoingMessage {
  /** What sort of message: one of AXON's closed list, such as `notify` or `query`. */
  readonly kind: string;
  /** Agent id of the receiver. @default {"self"} */
  readonly to?: string;
  readonly topic?: string;
  readonly payload: unknown;
  readonly ref?: string | null;
  /** Sent twice with the same key, it is stored once. */
  readonly dedup_key?: string;
  readonly ttl_secs?: number;
}

/** The daemon's word that a message is on disk. */
export interface Receipt {
  readonly msg_id: string;
  /** Its place in this daemon's log; absent when it went to a peer. */
  readonly seq?: number;
  readonly duplicate?: boolean;
}

/** The daemon's word that all messages of a batch are on disk; `msg_id` and `seq` are the last one's. */
export interface BatchReceipt extends Receipt {
  readonly events: readonly Receipt[];
}

/** What waits for a consumer. */
export interface InboxPage {
  readonly messages: readonly StoredEvent[];
  readonly next_seq: number | null;
  readonly has_more: boolean;
  readonly gap?: Gap;
}

/** A part of the log, read without a consumer. */
export interface ReadPage {
  readonly events: readonly StoredEvent[];
  readonly has_more: boolean;
  readonly gap?: Gap;
}

/** Which events a reader wants. */
export interface EventFilter {
  readonly kinds?: readonly string[];
  /** Topics or patterns: `*` is one segment, a last `>` the rest. */
  readonly topics?: readonly string[];
}

/** How the daemon introduced itself. */
export interface Welcome {
  /** The negotiated AXON version. */
  readonly version: number;
  readonly agent_id: string;
  /** Names the log; seqs of different epochs have nothing to do with each other. */
  readonly epoch: string | null;
  readonly features: readonly string[];
}

/** Who the daemon is. */
export interface Identity {
  readonly agent_id: string;
  readonly public_key: string;
  readonly name: string;
  readonly version: string;
  readonly ipc_version: number;
  readonly uptime_secs: number;
}
