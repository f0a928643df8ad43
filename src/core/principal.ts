/**
 * Who asks, and what they may: scopes.
 *
 * A principal is what a token stands for; a connection without one has `null` and may do what its dialect
 * and the operation allow without. tokens.ts says whom a token stands for.
 */

/** What a token may do. The owner token has all of them. */
export const SCOPES = ["read", "send", "write", "serve", "admin"] as const;

export type Scope = typeof SCOPES[number];

export interface Principal {
  /** Names the token in audit and log; no secret. */
  readonly tokenId: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Set where the token is for remote access: the policy and a record's opt-in decide too, whatever the dialect. */
  readonly isRemote?: true;
}

/** A token beside the owner's, for remote access. */
export interface RemoteToken {
  /** Compared as it is, but for white space around it. */
  readonly token: string;
  readonly scopes: readonly Scope[];
}

/** The `tokenId` of the owner's token, those that it replaced, and a trusted socket. No other token has it. */
export const OWNER_ID = "owner";

/** Whoever may connect at all, where the socket is trusted instead of a token. */
export const TRUSTED: Principal = { tokenId: OWNER_ID, scopes: new Set(SCOPES) };
