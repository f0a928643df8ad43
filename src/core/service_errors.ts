/** Why a service is not registered, or a call of it comes to nothing. */

import { PosternError, shown } from "./errors.ts";
import type { CallRequest } from "./service_call.ts";

/** There are as many services, or providers of one, as there can be. */
export function full(limit: number, what: string): PosternError {
  return new PosternError("too_many", `service.register: there are ${limit} ${what} already`, {
    limit,
  });
}

/** The name means something else. */
export function reserved(name: string): PosternError {
  return new PosternError(
    "permission_denied",
    `service.register: name: ${
      shown(name)
    } is the daemon's own, in any case, as the nouns of all operations are`,
    { field: "name" },
  );
}

/** Nobody can be given the call. */
export function unavailable(service: string, reason: string): PosternError {
  return new PosternError("service_unavailable", `service.call: ${shown(service)}: ${reason}`, {
    service,
  });
}

/** The method that a waiting call was for is there no more, or takes something else. */
export function registeredAnew(service: string, method: string, isGone: boolean): PosternError {
  return new PosternError(
    "not_found",
    `service.call: ${shown(`${service}.${method}`)}: the service was registered anew ${
      isGone ? "without it" : "with another schema"
    } while the call waited`,
    { field: "method" },
  );
}

/** Nobody has answered in time. */
export function timedOut(
  { service, method, timeoutMs }: CallRequest,
  hasBegun: boolean,
): PosternError {
  const state = hasBegun ? "had no answer" : "waited for its turn";
  return new PosternError(
    "timeout",
    `service.call: ${shown(`${service}.${method}`)} ${state} for ${timeoutMs} ms`,
    { timeout_ms: timeoutMs },
  );
}

/** The caller's name for the call stands for another one. */
export function openAlready({ callId }: CallRequest): PosternError {
  return new PosternError(
    "conflict",
    `service.call: call_id: a call ${shown(callId ?? "")} of this connection is open already`,
    { field: "call_id" },
  );
}

/** Whoever called wants no answer any more. */
export function cancelledCall({ service, method }: CallRequest): PosternError {
  return new PosternError(
    "service_unavailable",
    `service.call: ${shown(`${service}.${method}`)}: its caller has cancelled it`,
  );
}

/** Nobody waits for it any more. */
export function goneCaller({ service, method }: CallRequest): PosternError {
  return new PosternError(
    "service_unavailable",
    `service.call: ${shown(`${service}.${method}`)}: its caller has gone`,
  );
}

/** There are as many calls, or characters of them, as there can be. */
export function tooManyCalls(limit: number, what: string): PosternError {
  return new PosternError("too_many", `service.call: ${limit} ${what}; try later`, { limit });
}
