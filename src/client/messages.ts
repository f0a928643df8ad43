/**
 * The messages a client sends and gets, under the names that they have on the wire.
 *
 * What an operation takes or answers is the registry's own type; written out here is only what the registry
 * keeps as text, or what comes without having been asked for. A daemon may add fields, and a client must not mind.
 */

import type { OperationParams, OperationResult } from "./operations.ts";

/** What sort of message: a closed list. */
export type Kind = NonNullable<OperationParams<"event.send">["kind"]>;

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
export type StoredEvent = OperationResult<"event.read">["events"][number];

/** Told with the first event that a subscription brings from another log than the one it began with. */
export interface Reset {
  /** The log that this and the following seqs belong to. */
  readonly epoch: string | null;
  /** The log that all seqs so far belonged to. */
  readonly previous_epoch: string | null;
  /** The last seq that came from it; what followed there was not seen. */
  readonly last_seq: number;
}

/** An event as a subscription brings it. */
export type InboundEvent = StoredEvent & {
  /** Whether it was in the log already when the subscription began. */
  readonly replay: boolean;
  /** What was lost just before this event. */
  readonly gap?: Gap;
  /** Present when the daemon has begun another log: seqs start anew, and this is its first event here. */
  readonly reset?: Reset;
};

/** A message to be sent; without `to` it goes to the daemon's own log. */
export type OutgoingMessage =
  & Omit<OperationParams<"event.send">, "events" | "kind" | "payload">
  & { readonly kind: Kind; readonly payload: unknown };

/** One message of several that are stored together, in the daemon's own log. */
export type BatchMessage = Omit<OutgoingMessage, "to">;

/** The daemon's word that a message is on disk; `seq` is absent when it went to a peer. */
export type Receipt = Omit<OperationResult<"event.send">, "events">;

/** The daemon's word that all messages of a batch are on disk; `msg_id` and `seq` are the last one's. */
export type BatchReceipt = Receipt & { readonly events: readonly Receipt[] };

/** What waits for a consumer. */
export type InboxPage = OperationResult<"event.inbox">;

/** A part of the log, read without a consumer. */
export type ReadPage = OperationResult<"event.read">;

/** What the daemon promised when a subscription began. */
export type SubscriptionStart = OperationResult<"event.subscribe">;

/** Which events a reader wants. */
export interface EventFilter {
  /** Any of {@linkcode Kind}; another daemon's version may know more. */
  readonly kinds?: readonly (Kind | (string & Record<never, never>))[];
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
export type Identity = OperationResult<"system.whoami">;

/** How the daemon is. */
export type Status = OperationResult<"system.status">;
