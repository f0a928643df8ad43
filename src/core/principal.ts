/**
 * Who asks, and what they may: scopes, tokens.
 *
 * A principal is what a token stands for; a connection without one has `null` and may do what its dialect
 * and the operation allow without. Secrets are compared in constant time and never leave this file.
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

/** Whoever may connect at all, where the socket is trusted instead of a token. */
export const TRUSTED: Principal = { tokenId: "owner", scopes: new Set(SCOPES) };

/** The tokens that are valid now. */
export class Tokens {
  #owner: string;
  /** Whoever has shown the owner token as it is now. */
  #ownerPrincipal: Principal = { ...TRUSTED };
  readonly #remote: { readonly token: string; readonly principal: Principal } | null;

  /**
   * @param owner The content of the token file.
   * @param remote One more token that is valid.
   */
  constructor(owner: string, remote?: RemoteToken) {
    this.#owner = owner;
    this.#remote = remote === undefined ? null : {
      token: remote.token,
      principal: { tokenId: "remote", scopes: new Set(remote.scopes), isRemote: true },
    };
  }

  /** Takes a new owner token at once; the old one is no longer valid. */
  replaceOwner(token: string): void {
    if (token === this.#owner) return;
    this.#owner = token;
    this.#ownerPrincipal = { ...TRUSTED };
  }

  /** Whether what the principal once showed still holds. */
  isValid(principal: Principal): boolean {
    return principal === TRUSTED || principal === this.#ownerPrincipal ||
      principal === this.#remote?.principal;
  }

  /** Whom the token stands for, or `null`. */
  authenticate(token: string): Principal | null {
    // Files that people edit end in a newline; the owner's is hex.
    const given = token.trim();
    const isOwners = equalInConstantTime(given.toLowerCase(), this.#owner);
    // Compared in any case, so that the time does not tell which of them it was like.
    const isRemote = this.#remote !== null && equalInConstantTime(given, this.#remote.token);
    if (isOwners) return this.#ownerPrincipal;
    return isRemote ? this.#remote!.principal : null;
  }
}

function equalInConstantTime(given: string, secret: string): boolean {
  let difference = given.length ^ secret.length;
  for (let i = 0; i < secret.length; i++) {
    difference |= (given.charCodeAt(i) || 0) ^ secret.charCodeAt(i);
  }
  return difference === 0;
}
