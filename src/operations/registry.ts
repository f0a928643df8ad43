/**
 * The table of all operations, and the one way to invoke them.
 *
 * Invariant: whatever the dialect, a request is looked up, authorised, validated and handled here, in that
 * order, and nowhere else.
 */

import { PosternError, shown } from "../core/errors.ts";
import { AUTH_ACCESS, AUTH_LOGIN } from "./auth.ts";
import { CONSUMER_LIST, CONSUMER_REMOVE } from "./consumers.ts";
import {
  EVENT_ACK,
  EVENT_INBOX,
  EVENT_READ,
  EVENT_SEND,
  EVENT_SUBSCRIBE,
  EVENT_UNSUBSCRIBE,
} from "./events.ts";
import type { Principal, Scope } from "../core/principal.ts";
import { observe, type Observed } from "./observe.ts";
import type { Context, Handled, Operation } from "./operation.ts";
import { CLIENT_LIST } from "./clients.ts";
import { LEASE_ACQUIRE, LEASE_LIST, LEASE_RELEASE, LEASE_RENEW } from "./leases.ts";
import { PEER_LIST } from "./peers.ts";
import { invalidParams } from "./params.ts";
import { RECORD_LIST } from "./record_metadata.ts";
import {
  RECORD_DEFINE,
  RECORD_GET,
  RECORD_HISTORY,
  RECORD_REMOVE,
  RECORD_SET,
  RECORD_SUBSCRIBE,
  RECORD_UNSUBSCRIBE,
} from "./records.ts";
import {
  PERMISSION_ANSWER,
  PERMISSION_CANCEL,
  PERMISSION_DELEGATE,
  PERMISSION_DEMO,
  PERMISSION_LIST,
  PERMISSION_REFRESH_TIMEOUT,
  PERMISSION_REQUEST,
  PERMISSION_WAIT,
} from "./permissions.ts";
import { requireRecordChange, requireRemote } from "./remote.ts";
import {
  SERVICE_ANSWER,
  SERVICE_CALL,
  SERVICE_CANCEL,
  SERVICE_LIST,
  SERVICE_REGISTER,
} from "./services.ts";
import {
  SESSION_ATTACH,
  SESSION_CANCEL,
  SESSION_CREATE,
  SESSION_GET,
  SESSION_LIST,
  SESSION_REPLY,
  SESSION_SEND,
} from "./sessions.ts";
import { TOKEN_CREATE, TOKEN_LIST, TOKEN_REVOKE, TOKEN_ROTATE } from "./tokens.ts";
import {
  ECHO_PING,
  SYSTEM_HELLO,
  SYSTEM_PING,
  SYSTEM_SHUTDOWN,
  SYSTEM_STATUS,
  SYSTEM_WHOAMI,
  systemOperations,
} from "./system.ts";
import { TURN_EMIT } from "./turns.ts";

// A table of operations with different parameters has no closer type than this.
// deno-lint-ignore no-explicit-any
export type AnyOperation = Operation<any, any>;

/** Each with the types of its own definition. */
const TABLE = [
  SYSTEM_HELLO,
  SYSTEM_PING,
  ECHO_PING,
  SYSTEM_STATUS,
  SYSTEM_WHOAMI,
  systemOperations(() => OPERATIONS),
  SYSTEM_SHUTDOWN,
  AUTH_LOGIN,
  AUTH_ACCESS,
  EVENT_SEND,
  EVENT_INBOX,
  EVENT_ACK,
  EVENT_READ,
  EVENT_SUBSCRIBE,
  EVENT_UNSUBSCRIBE,
  CONSUMER_LIST,
  CONSUMER_REMOVE,
  PEER_LIST,
  RECORD_DEFINE,
  RECORD_LIST,
  RECORD_GET,
  RECORD_SET,
  RECORD_HISTORY,
  RECORD_SUBSCRIBE,
  RECORD_UNSUBSCRIBE,
  RECORD_REMOVE,
  PERMISSION_REQUEST,
  PERMISSION_DEMO,
  PERMISSION_WAIT,
  PERMISSION_ANSWER,
  PERMISSION_LIST,
  PERMISSION_REFRESH_TIMEOUT,
  PERMISSION_DELEGATE,
  PERMISSION_CANCEL,
  SESSION_CREATE,
  SESSION_LIST,
  SESSION_GET,
  SESSION_SEND,
  SESSION_ATTACH,
  SESSION_REPLY,
  SESSION_CANCEL,
  TURN_EMIT,
  TOKEN_CREATE,
  TOKEN_LIST,
  TOKEN_REVOKE,
  TOKEN_ROTATE,
  CLIENT_LIST,
  LEASE_ACQUIRE,
  LEASE_RENEW,
  LEASE_RELEASE,
  LEASE_LIST,
  SERVICE_REGISTER,
  SERVICE_LIST,
  SERVICE_CALL,
  SERVICE_ANSWER,
  SERVICE_CANCEL,
] as const;

/** One of the table, for types that are made from it. */
export type RegisteredOperation = typeof TABLE[number];

/** Every operation there is. */
export const OPERATIONS: readonly AnyOperation[] = TABLE;

const BY_NAME: ReadonlyMap<string, AnyOperation> = new Map(
  OPERATIONS.map((operation) => [operation.name, operation]),
);

/** The operation of that name, or `undefined`. */
export function findOperation(name: string): AnyOperation | undefined {
  return BY_NAME.get(name);
}

/**
 * Invokes an operation for a caller.
 *
 * @param call `opened` says whether the caller's dialect opens it to a connection without a token.
 * @throws PosternError `unknown_operation`, `auth_required`, `permission_denied`, `invalid_params`, and
 * what the operation throws, at once or through the outcome.
 */
export function invoke(
  call: { readonly operation: string; readonly params: unknown; readonly opened: boolean },
  context: Context,
): Handled<unknown> {
  context.services.metrics.requestCount++;
  const known = BY_NAME.has(call.operation) ? call : asServiceCall(call, context);
  const operation = known === null ? undefined : BY_NAME.get(known.operation);
  if (known !== null && operation !== undefined) {
    return observe(operation, context, () => carryOut(operation, known, context));
  }
  throw new PosternError(
    "unknown_operation",
    `there is no operation ${
      shown(call.operation)
    }; system.operations lists them, service.list those of services`,
  );
}

/** A method that a client provides may be asked for by its own name. */
function asServiceCall(
  { operation, params, opened }: {
    readonly operation: string;
    readonly params: unknown;
    readonly opened: boolean;
  },
  { services }: Context,
): { readonly operation: string; readonly params: unknown; readonly opened: boolean } | null {
  const dot = operation.indexOf(".");
  const service = operation.slice(0, Math.max(0, dot));
  if (!services.provided.has(service)) return null;
  const method = operation.slice(dot + 1);
  return { operation: "service.call", params: { service, method, params }, opened };
}

function carryOut(
  operation: AnyOperation,
  { opened, params }: { readonly opened: boolean; readonly params: unknown },
  context: Context,
): Handled<unknown> {
  const { services, caller } = context;
  if (caller.isRemote) requireRemote(operation, context);
  authorise(operation, opened, context);
  if (operation.scope !== null) {
    const tokenId = caller.principal?.tokenId ?? "";
    services.rateLimits.take(tokenId, operation.scope);
    // What others see under its name must still have an owner after a restart.
    if (caller.client !== null && operation.scope !== "read") {
      services.clients.used(caller.client, tokenId);
    }
  }
  const parsed = operation.params.safeParse(params, { reportInput: true });
  if (!parsed.success) throw invalidParams(operation.name, parsed.error);
  if (caller.isRemote) requireRecordChange(operation, parsed.data, context);
  return operation.handle(parsed.data, context);
}

function authorise(operation: AnyOperation, opened: boolean, { caller, services }: Context): void {
  const { principal } = caller;
  const { name, scope } = operation;
  if (operation.handshake) return;
  // Its connection is about to be ended, and until then nothing more is done for it.
  if (principal !== null && !services.tokens.isValid(principal)) {
    throw new PosternError("auth_failed", `${name}: the token that was shown is no longer valid`);
  }
  if (principal === null && (scope === null || opened) && !services.limits.requireToken) return;
  requireScope(name, scope, principal);
}

/**
 * Carries out what only one transport has, such as bytes that are no JSON: authorised, bounded and observed as an
 * operation is.
 *
 * @param what What is asked for, as a message names it.
 * @throws PosternError `auth_required`, `permission_denied`, `rate_limited`, and what `carryOut` throws
 */
export async function invokeOutside<R>(
  { what, ...observed }: Observed & { readonly what: string; readonly scope: Scope },
  context: Context,
  carryOut: () => R | Promise<R>,
): Promise<R> {
  const { services, caller } = context;
  services.metrics.requestCount++;
  const handled = observe(observed, context, () => {
    requireScope(what, observed.scope, caller.principal);
    services.rateLimits.take(caller.principal.tokenId, observed.scope);
    return carryOut();
  });
  return await (handled as R | Promise<R>);
}

/**
 * Requires that whoever asks may do something of a class.
 *
 * @param what What is asked for, as a message names it.
 * @param scope `null` where any token will do.
 * @throws PosternError `auth_required`, `permission_denied`
 */
export function requireScope(
  what: string,
  scope: Scope | null,
  principal: Principal | null,
): asserts principal is Principal {
  if (principal === null) {
    throw new PosternError("auth_required", `${what}: authenticate with a token first`);
  }
  if (scope === null || principal.scopes.has(scope)) return;
  throw new PosternError(
    "permission_denied",
    `${what}: needs the scope "${scope}", which this token does not have`,
    { scope },
  );
}
