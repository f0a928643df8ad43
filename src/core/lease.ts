/**
 * What a lease is, and how it is stored: itself with its first time, and beside it the time of its last renewal.
 *
 * Persisted: a new field needs a default for the documents that lack it.
 */

import type { Document, DocumentKey, DocumentWrite } from "./ports.ts";

/** What everybody may know of a lease. */
export interface LeaseInfo {
  readonly name: string;
  /** Whose it is. */
  readonly originator: string;
  /** Of the token that it was acquired with; `""` for one of a store that did not say. No secret. */
  readonly tokenId: string;
  /** Rises with each acquisition. */
  readonly fence: number;
  readonly acquiredMs: number;
  readonly expiresMs: number;
}

/** A lease as its holder is told of it. */
export interface HeldLease extends LeaseInfo {
  /** Proves the holder. A secret. */
  readonly leaseId: string;
}

/** A lease as it is kept. */
export interface Lease extends LeaseInfo {
  readonly hash: string;
  ttlMs: number;
  expiresMs: number;
  /** Once it was seen to be over it stays so, wherever the clock goes. */
  isOver: boolean;
  isRenewed: boolean;
  /** Takes the release at the caller's end back. */
  detach: () => void;
}

/** Under which the highest fence stands; no lease has this name. */
export const FENCE_NAME = "";
/** The slot of a renewal, which is told to nobody and so is stored without an event. */
const RENEWAL_SLOT = 1;

/** For a lease that no caller's end releases. */
export const NOTHING = (): void => {};
/** What is not stored of a lease, as it begins. */
export const FRESH = { isOver: false, isRenewed: false, detach: NOTHING };

/** What stores a lease. */
export function leaseWrite(
  { name, originator, tokenId, fence, acquiredMs, expiresMs, ttlMs, hash }: Lease,
): DocumentWrite {
  const fields = {
    originator,
    token_id: tokenId,
    fence,
    acquired_ms: acquiredMs,
    expires_ms: expiresMs,
    ttl_ms: ttlMs,
    hash,
  };
  return { key: ["lease", name], content: { fields } };
}

/** A lease as it was stored. */
export function leaseOf(name: string, fields: Document["fields"]): Lease {
  return {
    name,
    originator: fields.originator as string,
    tokenId: fields.token_id as string | undefined ?? "",
    fence: fields.fence as number,
    acquiredMs: fields.acquired_ms as number,
    expiresMs: fields.expires_ms as number,
    ttlMs: fields.ttl_ms as number,
    hash: fields.hash as string,
    ...FRESH,
  };
}

/** Where the renewal of a lease stands. */
export function renewalKey(name: string): DocumentKey {
  return ["lease", name, RENEWAL_SLOT];
}

/** What stores a renewal. */
export function renewalWrite({ name, fence, ttlMs, expiresMs }: Lease): DocumentWrite {
  const fields = { fence, ttl_ms: ttlMs, expires_ms: expiresMs };
  return { key: renewalKey(name), content: { fields } };
}

/** What stores the highest fence. */
export function fenceWrite(fence: number): DocumentWrite {
  return { key: ["lease", FENCE_NAME], content: { fields: { fence } } };
}
