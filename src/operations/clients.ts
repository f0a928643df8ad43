/** Who a connection is, over reconnects and restarts: what a greeting may say of that. */

import { z } from "zod";
import { PosternError } from "../core/errors.ts";
import type { Context } from "./operation.ts";

/** What sort of client it is, as it calls itself. */
export const clientKind: z.ZodString = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, {
  error: "a client's kind must be 1 to 64 of [A-Za-z0-9_-]",
});

export const clientId: z.ZodString = z.string().max(128);

/**
 * Makes the caller the client that it says it is, or a new one; nobody without a token becomes any.
 *
 * @returns What its greeting answers of that.
 */
export function identify(
  kind: string,
  id: string | undefined,
  { services, caller }: Context,
): { readonly originator?: string; readonly client_id?: string } {
  if (caller.principal === null) return {};
  const client = services.clients.identify(kind, id ?? null);
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
  );
}
