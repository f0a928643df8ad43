/** Who a connection is, over reconnects and restarts: what a greeting may say of that. */

import { z } from "zod";
import { PosternError } from "../core/errors.ts";
import { type Context, defineOperation } from "./operation.ts";

/** What sort of client it is, as it calls itself. */
export const clientKind: z.ZodString = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, {
  error: "a client's kind must be 1 to 64 of [A-Za-z0-9_-]",
});

export const clientId: z.ZodString = z.string().max(128);

export const CLIENT_LIST = defineOperation({
  name: "client.list",
  summary: "List who is connected now, the longest first.",
  scope: "read",
  params: z.object({}),
  result: z.object({
    clients: z.array(z.object({
      kind: z.string().nullable().describe("what sort of client it says it is; null if nothing"),
      originator: z.string().nullable().describe("its public name; null without an identity"),
      dialect: z.string().nullable().describe("what it speaks; null as long as it is silent"),
      transport: z.string().describe("socket, http or websocket"),
      since: z.number().int().describe("epoch milliseconds"),
      subscriptions: z.number().int(),
    })),
  }),
  handle: (_params, { services }) => ({
    clients: services.presence().map(({ client, ...rest }) => ({
      kind: client?.kind ?? null,
      originator: client?.originator ?? null,
      ...rest,
    })),
  }),
});

/** What a reply says of the client that its caller has become; nothing where it has become none. */
export const identityFields = {
  originator: z.string().optional().describe("public name of this client"),
  client_id: z.string().optional().describe(
    "a new secret, to be kept and shown the next time; absent when the one shown is known",
  ),
};

/**
 * Makes the caller the client that it claims to be, or a new one; nobody without a token becomes any, and whoever
 * shows one later becomes it then.
 *
 * @returns What its greeting or its login answers of that.
 */
export function identify(
  { services, caller }: Context,
): { readonly originator?: string; readonly client_id?: string } {
  const { claim } = caller;
  if (caller.principal === null || claim === null) return {};
  caller.claim = null;
  const client = services.clients.identify(claim.kind, claim.clientId, caller.principal.tokenId);
  caller.identify({ kind: client.kind, originator: client.originator });
  const { originator } = client;
  return "clientId" in client ? { originator, client_id: client.clientId } : { originator };
}

/**
 * The public name of the caller.
 *
 * @throws PosternError `permission_denied` when it has none.
 */
export function requireClient(operation: string, { caller }: Context): string {
  if (caller.client !== null) return caller.client.originator;
  throw new PosternError(
    "permission_denied",
    `${operation}: needs a client's identity: say system.hello with client_kind first`,
    { field: "client_kind" },
  );
}
