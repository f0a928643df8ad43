/** Operations on leases: names that one client at a time holds. */

import { z } from "zod";
import { PosternError } from "../core/errors.ts";
import { isTopic } from "../core/event.ts";
import { type HeldLease, type LeaseInfo, MAX_LEASES } from "../core/leases.ts";
import type { Ticket } from "../core/ticket.ts";
import { requireClient } from "./clients.ts";
import { audit, codeOf } from "./observe.ts";
import { type Context, defineOperation } from "./operation.ts";
import { afterIn, afterName, hasMore, limitOf, pageOf } from "./reply_page.ts";

/** The longest time that a lease is held without being renewed: a day. */
const MAX_TTL_SECS = 86_400;

const leaseName = z.string().refine(isTopic, {
  error: "a lease's name must be dot-separated segments of [A-Za-z0-9_-], at most 256 bytes",
});
const ttlSecs = z.number().min(1).max(MAX_TTL_SECS);
const leaseId = z.string().describe("proves the holder; a secret");
const fence = z.number().int().describe("higher with each acquisition");
const milliseconds = z.number().int().describe("epoch milliseconds");

const held = z.object({ lease_id: leaseId, fence, expires_at: milliseconds });
const told = z.object({
  name: z.string(),
  originator: z.string().describe("whose it is"),
  fence,
  acquired_at: milliseconds,
  expires_at: milliseconds,
  token_id: z.string().optional()
    .describe("of the token that it was acquired with; for the scope admin only"),
});

export const LEASE_ACQUIRE = defineOperation({
  name: "lease.acquire",
  summary: "Hold a name that nobody holds; a conflict names the holder's originator.",
  scope: "send",
  params: z.object({
    name: leaseName,
    ttl_secs: ttlSecs.describe(`how long it is held unless it is renewed, 1 to ${MAX_TTL_SECS}`),
    release_on_disconnect: z.boolean().default(false)
      .describe("release it when this connection ends; not over HTTP"),
  }),
  result: held,
  handle(params, context) {
    const { name, ttl_secs, release_on_disconnect } = params;
    const { services, caller } = context;
    const originator = requireClient("lease.acquire", context);
    const tokenId = caller.principal?.tokenId ?? "";
    if (release_on_disconnect && caller.transport === "http") {
      throw new PosternError(
        "invalid_request",
        "lease.acquire: release_on_disconnect: an HTTP request has no connection that stays; use postern.sock or GET /ws",
        { field: "release_on_disconnect" },
      );
    }
    const ttlMs = Math.round(ttl_secs * 1000);
    const departure = release_on_disconnect ? caller.departure : null;
    return services.leases.acquire({ name, originator, tokenId, ttlMs, departure })
      .map(toldToHolder);
  },
});

export const LEASE_RENEW = defineOperation({
  name: "lease.renew",
  summary: "Hold a lease for longer; its fence stays.",
  scope: "send",
  params: z.object({
    lease_id: leaseId.max(128),
    ttl_secs: ttlSecs.optional().describe("from now on; as the last time if absent"),
  }),
  result: held,
  handle: ({ lease_id, ttl_secs }, { services }) =>
    services.leases.renew(lease_id, ttl_secs === undefined ? null : Math.round(ttl_secs * 1000))
      .map(toldToHolder),
});

export const LEASE_RELEASE = defineOperation({
  name: "lease.release",
  summary: "Give a lease back; the name is free.",
  scope: "send",
  params: z.object({
    lease_id: leaseId.max(128).optional(),
    name: leaseName.optional()
      .describe("instead: whoever holds it; needs the scope admin, and is audited"),
  }),
  result: z.object({}),
  handle({ lease_id, name }, context) {
    const { leases } = context.services;
    if ((lease_id === undefined) === (name === undefined)) {
      throw new PosternError("invalid_params", "lease.release: give either lease_id or name");
    }
    if (lease_id !== undefined) return leases.release(lease_id).map(() => ({}));
    return releaseNamed(name!, context).map(() => ({}));
  },
});

/** Clears up after whoever holds it. Audited, refused or not. */
function releaseNamed(name: string, context: Context): Ticket<void> {
  if (!isAdmin(context)) {
    audit("lease.release", "permission_denied", context);
    throw new PosternError(
      "permission_denied",
      'lease.release: name: needs the scope "admin", which this token does not have; whoever holds a lease gives it back by its lease_id',
      { scope: "admin" },
    );
  }
  const released = context.services.leases.releaseNamed(name);
  released.whenSettled((outcome) => {
    audit("lease.release", outcome.ok ? "ok" : codeOf(outcome.error), context);
  });
  return released;
}

export const LEASE_LIST = defineOperation({
  name: "lease.list",
  summary: "List the leases that are held now, by name, as many as fit a reply.",
  scope: "send",
  params: z.object({
    after: afterName,
    limit: limitOf(MAX_LEASES),
  }),
  result: z.object({
    leases: z.array(told),
    has_more: hasMore,
  }),
  handle({ after, limit }, context) {
    const behind = afterIn(context.services.leases.list(), after);
    const page = pageOf(behind, limit, (lease) => JSON.stringify(toldToAll(lease, context)));
    return { leases: page.list, has_more: page.hasMore };
  },
});

function isAdmin({ caller }: Context): boolean {
  return caller.principal?.scopes.has("admin") ?? false;
}

function toldToHolder({ leaseId, fence, expiresMs }: HeldLease) {
  return { lease_id: leaseId, fence, expires_at: expiresMs };
}

function toldToAll(lease: LeaseInfo, context: Context): z.infer<typeof told> {
  const { name, originator, tokenId, fence, acquiredMs, expiresMs } = lease;
  return {
    name,
    originator,
    fence,
    acquired_at: acquiredMs,
    expires_at: expiresMs,
    ...isAdmin(context) ? { token_id: tokenId } : {},
  };
}
