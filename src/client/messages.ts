/**
 * The messages a client sends and gets, under the names that they have on the wire.
 *
 * What an operation takes or answers is the registry's own type; written out here is only what the registry
 * keeps as text, or what comes without having been asked for. A daemon may add fields, and a client must not mind.
 */

import type { OperationParams, OperationResult } from "./operations.ts";

/**
 * What sort of message: a closed list.
 *
 * @example
 * ```ts
 * import { connect, type Kind, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const kind: Kind = "notify";
 * assert((await client.send({ kind, payload: null })).seq === 1);
 * ```
 */
export type Kind = NonNullable<OperationParams<"event.send">["kind"]>;

/**
 * A range of events that retention has taken before they could be read.
 *
 * @example
 * ```ts
 * import type { Gap } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const gap: Gap = { from_seq: 3, to_seq: 7 };
 * assert(gap.to_seq - gap.from_seq + 1 === 5);
 * ```
 */
export interface Gap {
  readonly from_seq: number;
  readonly to_seq: number;
}

/**
 * What a sender wrote, with what the daemon added.
 *
 * @example
 * ```ts
 * import { connect, type Envelope, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.send({ kind: "notify", topic: "build.done", payload: { ok: true } });
 * const envelope: Envelope = (await client.inbox()).messages[0]!.envelope;
 * assert(envelope.topic === "build.done" && envelope.ref === null);
 * ```
 */
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

/**
 * An envelope with its place in the log.
 *
 * @example
 * ```ts
 * import { connect, type StoredEvent, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.send({ kind: "notify", payload: "kept" });
 * const event: StoredEvent | undefined = (await client.read(0)).events[0];
 * assert(event?.seq === 1 && event.envelope.payload === "kept");
 * ```
 */
export type StoredEvent = OperationResult<"event.read">["events"][number];

/**
 * Told with the first event that a subscription brings from another log than the one it began with.
 *
 * @example
 * ```ts
 * import type { Reset } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const reset: Reset = { epoch: "new", previous_epoch: "old", last_seq: 41 };
 * assert(reset.epoch !== reset.previous_epoch);
 * ```
 */
export interface Reset {
  /** The log that this and the following seqs belong to. */
  readonly epoch: string | null;
  /** The log that all seqs so far belonged to. */
  readonly previous_epoch: string | null;
  /** The last seq that came from it; what followed there was not seen. */
  readonly last_seq: number;
}

/**
 * An event as a subscription brings it.
 *
 * @example
 * ```ts
 * import { connect, type InboundEvent, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.send({ kind: "notify", payload: "before" });
 * await using stream = client.subscribe();
 * const event: InboundEvent | undefined = (await stream.next()).value;
 * assert(event?.replay && event.gap === undefined);
 * ```
 */
export type InboundEvent = StoredEvent & {
  /** Whether it was in the log already when the subscription began. */
  readonly replay: boolean;
  /**
   * Set when it was told before and still waits for this client to act: a request for permission. It stands beside
   * the log, and its seq is that of the place behind which the subscription began.
   */
  readonly again?: true;
  /** What was lost just before this event. */
  readonly gap?: Gap;
  /** Present when the daemon has begun another log: seqs start anew, and this is its first event here. */
  readonly reset?: Reset;
};

/**
 * A message to be sent; without `to` it goes to the daemon's own log.
 *
 * @example
 * ```ts
 * import { connect, type OutgoingMessage, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const message: OutgoingMessage = { kind: "notify", payload: "once", dedup_key: "k1" };
 * await client.send(message);
 * assert((await client.send(message)).seq === 1);
 * ```
 */
export type OutgoingMessage =
  & Omit<OperationParams<"event.send">, "events" | "kind" | "payload">
  & { readonly kind: Kind; readonly payload: unknown };

/**
 * One message of several that are stored together, in the daemon's own log.
 *
 * @example
 * ```ts
 * import { connect, type BatchMessage, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const messages: BatchMessage[] = [1, 2, 3].map((payload) => ({ kind: "notify", payload }));
 * assert((await client.sendAll(messages)).seq === 3);
 * ```
 */
export type BatchMessage = Omit<OutgoingMessage, "to">;

/**
 * The daemon's word that a message is on disk; `seq` is absent when it went to a peer.
 *
 * @example
 * ```ts
 * import { connect, type Receipt, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const receipt: Receipt = await client.send({ kind: "notify", payload: "kept" });
 * assert(receipt.seq === 1 && receipt.msg_id !== "");
 * ```
 */
export type Receipt = Omit<OperationResult<"event.send">, "events">;

/**
 * The daemon's word that all messages of a batch are on disk; `msg_id` and `seq` are the last one's.
 *
 * @example
 * ```ts
 * import { connect, type BatchReceipt, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const message = { kind: "notify", payload: "kept" } as const;
 * const { events, seq }: BatchReceipt = await client.sendAll([message, message]);
 * assert(events.length === 2 && seq === events[1]?.seq);
 * ```
 */
export type BatchReceipt = Receipt & { readonly events: readonly Receipt[] };

/**
 * What waits for a consumer.
 *
 * @example
 * ```ts
 * import { connect, type InboxPage, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const page: InboxPage = await client.inbox();
 * assert(page.messages.length === 0 && page.next_seq === null && !page.has_more);
 * ```
 */
export type InboxPage = OperationResult<"event.inbox">;

/**
 * A part of the log, read without a consumer.
 *
 * @example
 * ```ts
 * import { connect, type ReadPage, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const page: ReadPage = await client.read(0);
 * assert(page.events.length === 0 && !page.has_more);
 * ```
 */
export type ReadPage = OperationResult<"event.read">;

/**
 * What the daemon promised when a subscription began.
 *
 * @example
 * ```ts
 * import { connect, type SubscriptionStart, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await using stream = client.subscribe();
 * const start: SubscriptionStart = await stream.started;
 * assert(start.replayed === 0 && start.replay_to_seq === 0);
 * ```
 */
export type SubscriptionStart = OperationResult<"event.subscribe">;

/**
 * Which events a reader wants.
 *
 * @example
 * ```ts
 * import { connect, type EventFilter, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const filter: EventFilter = { topics: ["build.*"] };
 * await client.send({ kind: "notify", topic: "test.done", payload: null });
 * assert((await client.inbox(filter)).messages.length === 0);
 * ```
 */
export interface EventFilter {
  /** Any of {@linkcode Kind}; another daemon's version may know more. */
  readonly kinds?: readonly (Kind | (string & Record<never, never>))[];
  /** Topics or patterns: `*` is one segment, a last `>` the rest. */
  readonly topics?: readonly string[];
}

/**
 * How the daemon introduced itself.
 *
 * @example
 * ```ts
 * import { connect, type Welcome, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const welcome: Welcome = client.welcome;
 * assert(welcome.agent_id !== "" && welcome.epoch !== null);
 * ```
 */
export interface Welcome {
  /** The negotiated AXON version. */
  readonly version: number;
  readonly agent_id: string;
  /** Names the log; seqs of different epochs have nothing to do with each other. */
  readonly epoch: string | null;
  readonly features: readonly string[];
  /** This client's public name; `null` without an identity. */
  readonly originator: string | null;
}

/**
 * Who the daemon is.
 *
 * @example
 * ```ts
 * import { connect, type Identity, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const identity: Identity = await client.whoami();
 * assert(identity.agent_id === client.welcome.agent_id);
 * ```
 */
export type Identity = OperationResult<"system.whoami">;

/**
 * How the daemon is.
 *
 * @example
 * ```ts
 * import { connect, type Status, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const status: Status = await client.status();
 * assert(status.connections >= 1 && status.epoch === client.welcome.epoch);
 * ```
 */
export type Status = OperationResult<"system.status">;
