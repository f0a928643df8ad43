/** Operations on leases: names that one client at a time holds. */

import { z } from "zod";
import { PosternError } from "../core/errors.ts";
import { isTopic } from "../core/event.ts";
import type { HeldLease, LeaseInfo } from "../core/leases.ts";
import { requireClient } from "./clients.ts";
import { defineOperation } from "./operation.ts";

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
    if (release_on_disconnect && caller.transport === "http") {
      throw new PosternError(
        "invalid_request",
        "lease.acquire: release_on_disconnect: an HTTP request has no connection that stays; use postern.sock or GET /ws",
        { field: "release_on_disconnect" },
      );
    }
    const ttlMs = Math.round(ttl_secs * 1000);
    const departure = release_on_disconnect ? caller.departure : null;
    return services.leases.acquire({ name, originator, ttlMs, departure }).map(toldToHolder);
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
  params: z.object({ lease_id: leaseId.max(128) }),
  result: z.object({}),
  handle: ({ lease_id }, { services }) => services.leases.release(lease_id).map(() => ({})),
});

export const LEASE_LIST = defineOperation({
  name: "lease.list",
  summary: "List the leases that are held now, by name.",
  scope: "send",
  params: z.object({}),
  result: z.object({
    leases: z.array(z.object({
      name: z.string(),
      originator: z.string().describe("whose it is"),
      fence,
      acquired_at: milliseconds,
      expires_at: milliseconds,
    })),
  }),
  handle: (_params, { services }) => ({ leases: services.leases.list().map(toldToAll) }),
});

function toldToHolder({ leaseId, fence, expiresMs }: HeldLease) {
  return { lease_id: leaseId, fence, expires_at: expiresMs };
}

function toldToAll({ name, originator, fence, acquiredMs, expiresMs }: LeaseInfo) {
  return { name, originator, fence, acquired_at: acquiredMs, expires_at: expiresMs };
}
