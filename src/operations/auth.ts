/** Operations on the caller's authentication. */

import { z } from "zod";
import { PosternError } from "../core/errors.ts";
import { type Principal, SCOPES } from "../core/principal.ts";
import { identify, identityFields } from "./clients.ts";
import { audit } from "./observe.ts";
import { type Context, defineOperation } from "./operation.ts";
import { boundedText } from "./params.ts";
import { maySet } from "./remote.ts";

const token = boundedText("token", 1024).describe(
  "the content of the token file, or a named token",
);

export const AUTH_LOGIN = defineOperation({
  name: "auth.login",
  summary: "Authenticate this connection with a token.",
  scope: null,
  handshake: true,
  params: z.object({ token }),
  result: z.object({
    scopes: z.array(z.enum(SCOPES)).describe("what the token may do"),
    ...identityFields,
  }),
  async handle({ token }, context) {
    const { scopes } = await login("auth.login", token, context);
    return { scopes: [...scopes], ...identify(context) };
  },
});

export const AUTH_ACCESS = defineOperation({
  name: "auth.access",
  summary:
    "Say what this connection may do with records, after authenticating it if a token is given.",
  scope: null,
  handshake: true,
  params: z.object({ token: token.optional() }),
  result: z.object({
    authenticated: z.boolean(),
    permissions: z.array(z.enum(["read", "subscribe", "write"])),
    writable_records: z.array(z.string()).describe("names that this connection may set"),
    max_subscriptions: z.number().int(),
  }),
  async handle({ token }, context) {
    const { services, caller } = context;
    if (token !== undefined) await login("auth.access", token, context);
    const { requireToken, maxSubscriptions } = services.limits;
    const { principal } = caller;
    if (principal === null && requireToken) {
      throw new PosternError("auth_required", "auth.access: this daemon requires a token");
    }
    const mayRead = principal === null || principal.scopes.has("read");
    const writable = writableRecords(context);
    return {
      authenticated: principal !== null,
      permissions: [
        ...(mayRead ? ["read", "subscribe"] as const : []),
        ...(writable.length > 0 ? ["write"] as const : []),
      ],
      writable_records: writable,
      max_subscriptions: maxSubscriptions,
    };
  },
});

async function login(
  operation: string,
  token: string,
  context: Context,
): Promise<Principal> {
  const { services, caller } = context;
  caller.beforeLogin?.();
  const principal = services.tokens.authenticate(token);
  if (principal === null) {
    services.metrics.authFailures++;
    audit("auth.login", "auth_failed", context);
    await caller.loginFailed();
    throw new PosternError("auth_failed", `${operation}: the token is not valid`);
  }
  caller.login(principal);
  audit("auth.login", "ok", context);
  return principal;
}

/** Names of the records that the caller may set; none that are the daemon's own. */
function writableRecords(context: Context): string[] {
  if (!context.caller.principal?.scopes.has("write")) return [];
  return context.services.records.list()
    .map(({ definition }) => definition.name)
    .filter((name) => maySet(name, context));
}
