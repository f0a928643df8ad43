/**
 * What an operation is: one declarative entry from which codecs, clients, help and docs derive.
 *
 * A new operation is one definition in the file of its noun and one line in registry.ts.
 */

import type { z } from "zod";
import type { Consumers } from "../core/consumers.ts";
import type { LogEvent } from "../core/event.ts";
import type { Filter } from "../core/filter.ts";
import type { EventLog } from "../core/log.ts";
import type { ClientClaim, ClientIdentity, Clients } from "../core/clients.ts";
import type { Departure } from "../core/departure.ts";
import type { Leases } from "../core/leases.ts";
import type { PermissionMode } from "../core/permission.ts";
import type { Permissions } from "../core/permissions.ts";
import type { Metrics } from "../core/metrics.ts";
import type { Audit, Clock, Peers } from "../core/ports.ts";
import type { Principal, Scope } from "../core/principal.ts";
import type { RateLimits } from "../core/rate_limit.ts";
import type { Tokens } from "../core/tokens.ts";
import type { Producer } from "../core/producer.ts";
import type { RecordPolicy } from "../core/record_policy.ts";
import type { MayTake } from "../core/record_watches.ts";
import type { Records } from "../core/records.ts";
import type { Provider } from "../core/service_call.ts";
import type { ServiceRegistry } from "../core/service_registry.ts";
import type { Runner } from "../core/runners.ts";
import type { Sessions } from "../core/sessions.ts";
import type { Ticket } from "../core/ticket.ts";
import type { Refusals } from "./refusals.ts";

/** What an operation may use of the daemon. */
export interface Services {
  readonly identity: Identity;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly consumers: Consumers;
  readonly records: Records;
  readonly recordPolicy: RecordPolicy;
  readonly peers: Peers;
  readonly tokens: Tokens;
  readonly leases: Leases;
  /** What connected clients provide. */
  readonly provided: ServiceRegistry;
  readonly clients: Clients;
  readonly permissions: Permissions;
  readonly sessions: Sessions;
  readonly rateLimits: RateLimits;
  readonly metrics: Metrics;
  readonly audit: Audit;
  /** The audit of what anyone can have refused; bounded. */
  readonly refusals: Refusals;
  /** Extra features of this build, as AXON's `hello` lists them. */
  readonly features: readonly string[];
  readonly limits: Limits;
  newId(): string;
  /** Whether the caller may act in the name of an originator: its own, or that of an open turn or call it provides. */
  mayActFor(caller: Caller, originator: string): boolean;
  /** The originator of an open turn that the caller provides, `null` if it has no name; `undefined` for other turns. */
  turnOriginator(caller: Caller, turnId: string): string | null | undefined;
  connectionCount(): number;
  /** Who is connected, the longest first. */
  presence(): Presence[];
  health(): HealthReport;
  /** Ends the connections of tokens that are no longer valid. */
  endRevoked(): void;
  /** Replaces the owner token. @returns It, and until when the one before is still taken. */
  rotateOwner(): { readonly token: string; readonly old_valid_until: number };
  /** Begins a graceful stop; returns at once. */
  shutdown(reason: string): void;
}

/** Bounds that operations keep. */
export interface Limits {
  readonly requireToken: boolean;
  /** Updates that wait for a watcher that does not read, where it names no other number. */
  readonly recordQueueSize: number;
  readonly maxSubscriptions: number;
  /** How long a request for permission waits for its answer, where it names no time of its own. */
  readonly permissionTimeoutSecs: Readonly<Record<PermissionMode, number>>;
}

/** What names this daemon. */
export interface Identity {
  readonly agentId: string;
  /** Base64 of the raw Ed25519 key. */
  readonly publicKey: string;
  readonly name: string;
  readonly version: string;
  readonly startedAtMs: number;
}

/** How a part of the daemon is. */
export type ComponentState = "ok" | "failing";

/** How the daemon is. */
export interface HealthReport {
  /** `degraded` while something cannot be written. */
  readonly status: "healthy" | "degraded";
  /** Whether it takes requests: recovered, and not stopping. */
  readonly ready: boolean;
  readonly version: string;
  readonly uptime_seconds: number;
  readonly components: {
    readonly store: ComponentState;
    readonly disk: ComponentState;
    readonly log_directory: ComponentState;
  };
  readonly metrics: Readonly<Record<string, number>>;
}

/** A subscription as an operation asks a connection for it. */
export interface LogSubscriptionRequest {
  /** Whose deliveries they are; `null` for a reader without a cursor. */
  readonly consumer: string | null;
  readonly filter: Filter;
  /** Records whose updates belong to the subscription as well; names or patterns. */
  readonly records?: readonly string[];
  /** Whether it may take from the mailbox of a name. */
  readonly mayTake: MayTake;
  /** The first seq to deliver. */
  readonly from: number;
  /** Events up to here are told as replay. */
  readonly replayTo: number;
  /** Told before all others, and apart from the log: what this reader has been told already, and is to act on. */
  readonly reminders: Iterable<LogEvent>;
}

/** A watch of records as an operation asks a connection for it. */
export interface RecordWatchRequest {
  /** A name, or a pattern of names. */
  readonly pattern: string;
  /** Updates that may wait; the oldest is dropped for one more. */
  readonly queueSize: number;
  /** Whether to begin with what the records hold. */
  readonly sendInitial: boolean;
  /** Whether it may take from the mailbox of a name. */
  readonly mayTake: MayTake;
}

/** How a caller is connected. */
export type Transport = "socket" | "http" | "websocket" | "in-process";

/** What others may know of whoever is connected. */
export interface Presence {
  readonly client: ClientIdentity | null;
  /** `null` as long as it has said nothing. */
  readonly dialect: string | null;
  readonly transport: Transport;
  /** Since when. Epoch milliseconds. */
  readonly since: number;
  readonly subscriptions: number;
}

/** Whoever calls: one connection, with what it has said of itself. */
export interface Caller {
  /** Whether it is remote access to records, for which the policy and a record's opt-in must allow a change too. */
  readonly isRemote: boolean;
  /** How it is connected, for the audit. */
  readonly transport: Transport;
  /** Who it says it is, as long as that is not looked into. */
  claim: ClientClaim | null;
  /** Who it is, once it has said so. */
  readonly client: ClientIdentity | null;
  /** On whose behalf a service says that it asks; for the audit only. */
  readonly onBehalfOf: string | null;
  /** Counts as producer of what it sets. */
  readonly producer: Producer;
  /** What is to be done when it goes; a stop of the daemon is no going. */
  readonly departure: Departure;
  /** Runs turns of the sessions that it is attached to; `null` where it is no connection that stays. */
  readonly runner: Runner | null;
  /** Where it receives calls as the provider of a service; `null` where it cannot. */
  readonly provider: Provider | null;
  readonly principal: Principal | null;
  /** The consumer named in `hello`, else `default`. */
  readonly consumer: string;
  /** Notes a successful hello. */
  greet(consumer: string): void;
  /** Notes which client it is. */
  identify(client: ClientIdentity): void;
  /** Notes a successful authentication. */
  login(principal: Principal): void;
  /**
   * Called before a token is looked at.
   *
   * @throws PosternError `rate_limited` where too many have failed just now.
   */
  beforeLogin?(): void;
  /** Notes a failed one. Resolves when it may be answered: later each time. */
  loginFailed(): Promise<void>;
  /**
   * Opens a stream of events that begins after the reply.
   *
   * @throws PosternError `too_many`, `invalid_request` where there is nothing to stream on.
   */
  subscribe(request: LogSubscriptionRequest): string;
  /**
   * Opens a stream of record updates that begins after the reply.
   *
   * @throws PosternError as `subscribe`.
   */
  watchRecords(request: RecordWatchRequest): string;
  /** Ends a stream of either sort; `false` when there is none of that id. */
  unsubscribe(subscriptionId: string): boolean;
}

export interface Context {
  readonly services: Services;
  readonly caller: Caller;
}

/** The outcome of a handler: at once, or later. */
export type Handled<R> = R | Promise<R> | Ticket<R>;

/**
 * One thing that can be asked for: handled with `P`, answered with `R`, asked for with `I`, which is `P`
 * before its defaults are filled in.
 */
export interface Operation<P = unknown, R = unknown, N extends string = string, I = unknown> {
  /** `noun.verb`, the same in every dialect. */
  readonly name: N;
  readonly summary: string;
  /** What the caller's token must allow; `null` for what needs none. */
  readonly scope: Scope | null;
  /** Part of the way to a token: open even where `require_token` closes everything else. */
  readonly handshake?: true;
  /**
   * May begin before earlier requests of its connection have ended, because what it does is put in order
   * as it begins: appends.
   */
  readonly pipelined?: true;
  /** Answers when it can: neither does it wait for requests before it, nor do those behind it wait for it. */
  readonly free?: true;
  /** Is audited, though its scope alone would not have it so. */
  readonly audited?: true;
  /** Changes the record that its parameters name: for remote access the policy and its opt-in must allow that too. */
  readonly changesRecord?: true;

  readonly params: z.ZodType<P, I>;
  readonly result: z.ZodType<R>;
  /** @throws PosternError with the codes that the operation's page names. */
  handle(params: P, context: Context): Handled<R>;
}

/** Types a definition by its name and its schemas. */
export function defineOperation<P, R, N extends string, I>(
  operation: Operation<P, R, N, I>,
): Operation<P, R, N, I> {
  return operation;
}
