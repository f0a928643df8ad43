/** A named token: what is known of it, and how it is stored. Its secret is in neither. */

import type { Document, DocumentWrite } from "./ports.ts";
import type { Principal, Scope } from "./principal.ts";

/** What is known of a named token, its secret aside. */
export interface NamedToken {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly createdMs: number;
  readonly expiresMs: number | null;
  readonly lastUsedMs: number | null;
  /** It is revoked, and the store does not know that yet. @default {false} */
  readonly isRevoked?: boolean;
}

/** A named token as the daemon has it: its hash, and never its secret. */
export interface KeptToken extends NamedToken {
  readonly hash: string;
  readonly principal: Principal;
  lastUsedMs: number | null;
}

/** Whether it holds no longer. */
export function isOver({ expiresMs }: NamedToken, now: number): boolean {
  return expiresMs !== null && now >= expiresMs;
}

/** How a token is stored. Persisted: a new field needs a default for the documents that lack it. */
export function tokenWrite(
  { id, name, scopes, createdMs, expiresMs, lastUsedMs, hash }: KeptToken,
): DocumentWrite {
  const fields = {
    name,
    scopes: scopes.join(" "),
    created_ms: createdMs,
    expires_ms: expiresMs,
    last_used_ms: lastUsedMs,
    hash,
  };
  return { key: ["token", id], content: { fields } };
}

/** A token as it was stored. */
export function keptOf({ key: [, id], fields }: Document): KeptToken {
  const scopes = (fields.scopes as string).split(" ").filter((scope) => scope !== "") as Scope[];
  return {
    id,
    name: fields.name as string,
    scopes,
    createdMs: fields.created_ms as number,
    expiresMs: fields.expires_ms as number | null,
    lastUsedMs: fields.last_used_ms as number | null,
    hash: fields.hash as string,
    principal: { tokenId: id, scopes: new Set(scopes) },
  };
}
