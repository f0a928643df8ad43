/** Operations on tokens: who may do what, beside the owner. */

import { z } from "zod";
import { SCOPES } from "../core/principal.ts";
import type { NamedToken } from "../core/token.ts";
import { defineOperation } from "./operation.ts";

/** The longest life of a token that expires. */
const MAX_EXPIRES_SECS = 10 * 365 * 86_400;

const tokenName = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, {
  error: "a token's name must be 1 to 64 of [A-Za-z0-9._-]",
});
const milliseconds = z.number().int().describe("epoch milliseconds");

const described = {
  id: z.string().describe("names the token in the audit; no secret"),
  name: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  created_at: milliseconds,
  expires_at: milliseconds.nullable().describe("null for never"),
  last_used_at: milliseconds.nullable().describe("to the minute; null for never"),
};

const revoked = z.boolean().optional()
  .describe("true while a revocation waits to be stored: the token is valid again after a start");

export const TOKEN_CREATE = defineOperation({
  name: "token.create",
  summary: "Make a token with scopes of its own; the answer is the only time it can be read.",
  scope: "admin",
  params: z.object({
    name: tokenName,
    scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
    expires_in_secs: z.number().positive().max(MAX_EXPIRES_SECS).optional()
      .describe("how long it is valid; for ever if absent"),
  }),
  result: z.object({ ...described, token: z.string().describe("the secret") }),
  handle({ name, scopes, expires_in_secs: secs }, { services: { tokens } }) {
    const lifeMs = secs === undefined ? null : Math.round(secs * 1000);
    return tokens.create(name, [...new Set(scopes)], lifeMs)
      .map(({ token, secret }) => ({ ...descriptionOf(token), token: secret }));
  },
});

export const TOKEN_LIST = defineOperation({
  name: "token.list",
  summary: "List the named tokens, without their secrets.",
  scope: "admin",
  params: z.object({}),
  result: z.object({ tokens: z.array(z.object({ ...described, revoked })) }),
  handle: (_params, { services: { tokens } }) => ({
    tokens: tokens.list().map((token) => ({
      ...descriptionOf(token),
      ...(token.isRevoked ? { revoked: true } : {}),
    })),
  }),
});

export const TOKEN_REVOKE = defineOperation({
  name: "token.revoke",
  summary: "Revoke a named token at once; connections that showed it end.",
  scope: "admin",
  params: z.object({ id: z.string().min(1).max(64).describe("id or name") }),
  result: z.object({}),
  handle({ id }, { services }) {
    const revoked = services.tokens.revoke(id);
    services.endRevoked();
    return revoked.map(() => ({}));
  },
});

export const TOKEN_ROTATE = defineOperation({
  name: "token.rotate",
  summary: "Replace the owner token; the one before is valid for tokens.rotation_grace_secs.",
  scope: "admin",
  params: z.object({}),
  result: z.object({
    token: z.string().describe("the new owner token, which the token file holds as well"),
    old_valid_until: milliseconds,
  }),
  handle: (_params, { services }) => services.rotateOwner(),
});

function descriptionOf({ id, name, scopes, createdMs, expiresMs, lastUsedMs }: NamedToken) {
  return {
    id,
    name,
    scopes: [...scopes],
    created_at: createdMs,
    expires_at: expiresMs,
    last_used_at: lastUsedMs,
  };
}
