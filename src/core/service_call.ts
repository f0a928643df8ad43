/** A call of a service: what is asked for, of whom, on whose behalf, and how it ends. */

import type { Departure } from "./departure.ts";
import type { PosternError } from "./errors.ts";
import type { Scope } from "./principal.ts";
import type { JsonText } from "./text.ts";

/** On whose behalf a call comes. */
export interface CallerIdentity {
  readonly originator: string | null;
  readonly scopes: readonly Scope[];
}

/** Whoever carries calls out: a connection. Neither method throws. */
export interface Provider {
  /**
   * Gives it a call; it answers by `ServiceRegistry.answer`.
   *
   * @param method `service.method`: one provider may offer several services.
   */
  call(id: string, method: string, params: JsonText, caller: CallerIdentity): void;
  /** Nobody waits for the call's answer any more. */
  cancel(id: string): void;
}

/** What is asked for. */
export interface CallRequest {
  readonly service: string;
  readonly method: string;
  /** Checked against the method's schema already. */
  readonly params: JsonText;
  readonly timeoutMs: number;
  /** The caller's own name for it, by which it can cancel it. @default none */
  readonly callId?: string | undefined;
  readonly caller: CallerIdentity;
  /** Of the token that the caller has shown; its provider is not told. */
  readonly tokenId: string;
  /** Cancels the call when the caller goes. */
  readonly departure: Departure;
}

/** How a call ended at its provider. */
export type Answer = { readonly result: unknown } | { readonly error: PosternError };
