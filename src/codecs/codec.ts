/**
 * What a dialect's codec does: text of one connection in, calls out, and the other way round.
 *
 * A codec knows no meaning and does no I/O. It holds what its dialect remembers of a connection (a
 * negotiated version, say) and learns it from the replies that it encodes.
 */

import type { PosternError } from "../core/errors.ts";
import type { Gap } from "../core/read.ts";
import type { LogEvent } from "../core/event.ts";
import type { JsonText } from "../core/text.ts";
import type { RecordUpdate } from "../core/record.ts";

/** What correlates a reply with its request; opaque to everyone but the codec that made it. */
export type Tag = unknown;

/** One decoded request. */
export type Decoded =
  | { readonly call: { readonly operation: string; readonly params: unknown }; readonly tag: Tag }
  | { readonly refusal: PosternError; readonly tag: Tag };

/** How a client answers a call of the daemon's. */
export interface CallAnswer {
  readonly id: string;
  /** Set when the call succeeded. */
  readonly result?: unknown;
  /** Set when it failed, as the client wrote it. */
  readonly error?: { readonly code?: unknown; readonly message?: unknown; readonly data?: unknown };
}

/** A call that a client is to carry out. */
export interface ClientCall {
  readonly id: string;
  /** `service.method` */
  readonly method: string;
  readonly params: JsonText;
  /** Who it comes from: a public name, and what its token allows. */
  readonly caller: { readonly originator: string | null; readonly scopes: readonly string[] };
}

/** How calls are written. */
export interface CallCodec {
  encodeCall(call: ClientCall): string;
  /** Says that nobody waits for a call's answer any more. */
  encodeCancel(id: string): string;
}

/** What one message asks for. */
export interface DecodedMessage {
  /** At least one, or an answer. */
  readonly requests: readonly Decoded[];
  /** Answers to calls of the daemon's. */
  readonly answers?: readonly CallAnswer[];
  /** Whether the replies go together, in one line. */
  readonly isBatch: boolean;
}

/** How an event is told on a subscription. */
export interface Delivery {
  readonly subscriptionId: string;
  readonly replay: boolean;
  /** Whether it is told beside the log, to a reader who has been told it already. */
  readonly again?: boolean;
  /** What was lost before this event. */
  readonly gap: Gap | null;
}

/** How an update of a record is told on a subscription. */
export interface RecordDelivery {
  readonly subscriptionId: string;
  /** Updates dropped since the last one told on the subscription. */
  readonly dropped: number;
}

/** Settings of the daemon that decide what a dialect accepts. */
export interface CodecSettings {
  /** Whether AXON v1 is spoken (`ipc.allow_v1`). */
  readonly allowV1: boolean;
  /** Whether there is an operation of that name. */
  readonly isOperation: (name: string) => boolean;
}

export interface Codec {
  /** The dialect's name, for presence and logs. */
  readonly dialect: string;
  /** Whether a new subscription takes the place of the one there is. */
  readonly singleSubscription: boolean;
  /** Whether the dialect is remote access to records, and not a local client's. */
  readonly isRemote: boolean;
  /** Whether the conversation is over, as a refused handshake ends some; the reply goes out, nothing follows. */
  readonly isOver: boolean;
  /** Whether this connection is at present one that hears every event without asking. */
  readonly hearsBroadcast: boolean;
  /** Decodes one message. Does not throw: what is wrong is a refusal. */
  decode(message: unknown): DecodedMessage;
  /** Whether the dialect opens an operation to a connection without a token, as it stands now. */
  opens(operation: string): boolean;
  /** @returns A line without its end, or `null` when nothing is to be said. */
  encodeResult(tag: Tag, result: unknown): string | null;
  /** @param tag `null` for an error that belongs to no request. */
  encodeError(tag: Tag | null, error: PosternError): string | null;
  /** Puts the replies of a batch into one line; `null` when there are none. */
  encodeBatch(replies: readonly string[]): string | null;
  encodeEvent(event: LogEvent, delivery: Delivery): string;
  encodeRecordEvent(update: RecordUpdate, delivery: RecordDelivery): string;
  encodeBroadcast(event: LogEvent, gap: Gap | null): string;
  /** How a client that speaks it is called; `null` where it cannot be. */
  readonly calls: CallCodec | null;
  /** Equal for deliveries that give the same text; `null` when every subscription has its own. */
  sharedEncoding(delivery: { readonly replay: boolean }): string | null;
}
