/**
 * What an operation is: one declarative entry from which codecs, clients, help and docs derive.
 *
 * A new operation is one definition in the file of its noun and one line in registry.ts.
 */

import type { z } from "zod";
import type { Consumers } from "../core/consumers.ts";
import type { Filter } from "../core/filter.ts";
import type { EventLog } from "../core/log.ts";
import type { Clock, Peers } from "../core/ports.ts";
import type { Principal, Scope, Tokens } from "../core/principal.ts";
import type { Ticket } from "../core/ticket.ts";

/** What an operation may use of the daemon. */
export interface Services {
  readonly identity: Identity;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly consumers: Consumers;
  readonly peers: Peers;
  readonly tokens: Tokens;
  readonly counters: Counters;
  /** Extra features of this build, as AXON's `hello` lists them. */
  readonly features: readonly string[];
  readonly limits: { readonly requireToken: boolean };
  newId(): string;
  connectionCount(): number;
  /** Begins a graceful stop; returns at once. */
  shutdown(reason: string): void;
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

/** Counts since the start of the process. */
export interface Counters {
  messagesSent: number;
}

/** A subscription as an operation asks a connection for it. */
export interface LogSubscriptionRequest {
  /** Whose deliveries they are; `null` for a reader without a cursor. */
  readonly consumer: string | null;
  readonly filter: Filter;
  /** The first seq to deliver. */
  readonly from: number;
  /** Events up to here are told as replay. */
  readonly replayTo: number;
}

/** Whoever calls: one connection, with what it has said of itself. */
export interface Caller {
  readonly principal: Principal | null;
  /** The consumer named in `hello`, else `default`. */
  readonly consumer: string;
  /** Notes a successful hello. */
  greet(consumer: string): void;
  /** Notes a successful authentication. */
  login(principal: Principal): void;
  /** Notes a failed one. Resolves when it may be answered: later each time. */
  loginFailed(): Promise<void>;
  /**
   * Opens a stream of events that begins after the reply.
   *
   * @throws PosternError `too_many`, `invalid_request` where there is nothing to stream on.
   */
  subscribe(request: LogSubscriptionRequest): string;
  /** Ends one; `false` when there is none of that id. */
  unsubscribe(subscriptionId: string): boolean;
}

export interface Context {
  readonly services: Services;
  readonly caller: Caller;
}

/** The outcome of a handler: at once, or later. */
export type Handled<R> = R | Promise<R> | Ticket<R>;

/** One thing that can be asked for. */
export interface Operation<P = unknown, R = unknown> {
  /** `noun.verb`, the same in every dialect. */
  readonly name: string;
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
  readonly params: z.ZodType<P>;
  readonly result: z.ZodType<R>;
  /** @throws PosternError with the codes that the operation's page names. */
  handle(params: P, context: Context): Handled<R>;
}

/** Types a definition by its schemas. */
export function defineOperation<P, R>(operation: Operation<P, R>): Operation<P, R> {
  return operation;
}
