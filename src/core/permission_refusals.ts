/** Why a request for permission, or a change of one, is refused. */

import { PosternError, shown } from "./errors.ts";
import type { PermissionRequest, ResolvedPermission } from "./permission.ts";

/** Who wants to change what. */
export interface Attempt {
  readonly operation: string;
  readonly id: string;
  /** Public name of whoever asks. */
  readonly by: string;
  readonly role: "requester" | "originator";
}

/** Requires that whoever asks is what the attempt needs. */
export function requireRole(
  { operation, id, role, by }: Attempt,
  request: PermissionRequest,
): void {
  if (request[role] === by) return;
  if (role === "originator") throw notOriginator(operation, id);
  throw new PosternError(
    "permission_denied",
    `${operation}: only who asked may cancel the request ${shown(id)}`,
  );
}

function notOriginator(operation: string, id: string): PosternError {
  return new PosternError(
    "not_originator",
    `${operation}: the request ${shown(id)} is for another originator to answer`,
  );
}

export function notFound(operation: string, id: string): PosternError {
  return new PosternError("not_found", `${operation}: there is no request ${shown(id)}`);
}

export function decidedAlready(
  operation: string,
  { id, outcome }: Pick<ResolvedPermission, "id" | "outcome">,
): PosternError {
  return new PosternError(
    "conflict",
    `${operation}: the request ${shown(id)} is decided already, its outcome is "${outcome}"`,
    { outcome },
  );
}

export function tooMany(message: string, limit: number): PosternError {
  return new PosternError("too_many", message, { limit });
}

/** Why a request that does not wait for an answer cannot be changed. */
export function refusalOf(
  { operation, id, role, by }: Attempt,
  resolved: ResolvedPermission | undefined,
): PosternError {
  if (resolved === undefined) return notFound(operation, id);
  if (role === "originator" && resolved.originator !== by) return notOriginator(operation, id);
  return decidedAlready(operation, resolved);
}
