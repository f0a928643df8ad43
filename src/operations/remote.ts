/**
 * What remote access to records may ask for: one rule for every operation.
 *
 * A dialect is either local, and scopes decide, or remote (AimX), and then the policy and a record's opt-in must
 * allow a change as well, and nothing that controls the daemon as a whole is open at all.
 */

import { PosternError, shown } from "../core/errors.ts";
import { isOwnRecord } from "../core/records.ts";
import type { Context, Operation } from "./operation.ts";

/** @throws PosternError `permission_denied` for global control, and for changes that the policy forbids. */
export function requireRemote(operation: Operation, { services }: Context): void {
  const { name, scope, changesRecord } = operation;
  if (changesRecord) {
    if (services.recordPolicy.allowsWrites) return;
    throw new PosternError(
      "permission_denied",
      `${name}: records are read-only for remote access (records.policy is "read_only")`,
    );
  }
  if (scope !== "admin") return;
  throw new PosternError("permission_denied", `${name}: is not open to remote access`, { scope });
}

/**
 * Whether the caller may set the record of this name: by its scopes, and remotely by policy and opt-in too. The
 * daemon's own it may not.
 */
export function maySet(name: string, { services, caller }: Context): boolean {
  if (isOwnRecord(name) || !caller.principal?.scopes.has("write")) return false;
  if (!caller.isRemote) return true;
  const { records, recordPolicy } = services;
  return recordPolicy.allowsWrites && recordPolicy.isOptedIn(name, records.find(name));
}

/** Whether the caller may take from the mailbox of this name: remotely that is a change, as a set is one. */
export function mayTake(name: string, context: Context): boolean {
  return !context.caller.isRemote || maySet(name, context);
}

/** @throws PosternError `permission_denied` for a change of a record that is not opted in. */
export function requireRecordChange(
  { name, changesRecord }: Operation,
  params: { readonly name?: string; readonly record?: string },
  { services }: Context,
): void {
  if (!changesRecord) return;
  const reference = params.name ?? params.record ?? "";
  const record = services.records.find(reference);
  const recordName = record?.definition.name ?? reference;
  if (services.recordPolicy.isOptedIn(recordName, record)) return;
  throw new PosternError(
    "permission_denied",
    `${name}: ${
      shown(recordName)
    } is not opted in to remote access (records.writable, or its definition)`,
  );
}
