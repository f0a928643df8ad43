/**
 * One request for permission: what is asked, what became of it, and how both are stored and told.
 *
 * Invariant: what is told of it to everybody holds public names and never a secret; knowing it lets nobody answer.
 */

import type { NewEvent } from "./event.ts";
import type { Document, DocumentContent, DocumentWrite, News } from "./ports.ts";
import { OWNER_ID } from "./principal.ts";
import { JsonText } from "./text.ts";

/** Whether somebody is there to answer, which decides how long a request waits. */
export const PERMISSION_MODES = ["interactive", "unattended"] as const;

export type PermissionMode = typeof PERMISSION_MODES[number];

/** What may become of a request. */
export const OUTCOMES = ["approved", "denied", "timeout", "cancelled"] as const;

export type Outcome = typeof OUTCOMES[number];

/** A request that waits for its answer. */
export interface PermissionRequest {
  /** Public. */
  readonly id: string;
  readonly tool: string;
  /** JSON text. */
  readonly input: string;
  readonly rationale: string | null;
  /** Public name of who asks, who alone may cancel. */
  readonly requester: string;
  /** Public name of who alone may answer. */
  readonly originator: string;
  readonly turnId: string | null;
  /** Of the token that it came with. */
  readonly tokenId: string;
  /** Epoch milliseconds. */
  readonly requestedMs: number;
  /** From then on it counts as denied. Epoch milliseconds. */
  readonly expiresMs: number;
}

/** What became of a request. */
export interface Decision {
  readonly outcome: Outcome;
  /** Public name of who decided; `null` for a time-out. */
  readonly by: string | null;
  /** What the originator answered, as JSON text; `null` when nobody did. */
  readonly answer: string | null;
  /** Epoch milliseconds. */
  readonly resolvedMs: number;
}

/** A request with its end. What was asked is not kept. */
export interface ResolvedPermission extends Decision {
  readonly id: string;
  readonly originator: string;
}

/** How a request is stored. Persisted: a new field needs a default for the documents that lack it. */
export function pendingWrite(request: PermissionRequest): DocumentWrite {
  const fields = {
    tool: request.tool,
    rationale: request.rationale,
    requester: request.requester,
    originator: request.originator,
    turn_id: request.turnId,
    token_id: request.tokenId,
    requested_ms: request.requestedMs,
    expires_ms: request.expiresMs,
    outcome: null,
  };
  return writeOf(request.id, { fields, text: request.input });
}

/** How its end is stored, in the place of the request. Persisted, as above. */
export function resolvedWrite(
  { id, originator, outcome, by, answer, resolvedMs }: ResolvedPermission,
): DocumentWrite {
  const fields = { originator, outcome, by, resolved_ms: resolvedMs };
  return writeOf(id, answer === null ? { fields } : { fields, text: answer });
}

/** Removes what was stored of a request. */
export function removal(id: string): DocumentWrite {
  return writeOf(id, null);
}

/** What a document of the collection says. */
export function permissionIn(
  { key: [, id], fields, text }: Document,
): PermissionRequest | ResolvedPermission {
  const originator = fields.originator as string;
  if (fields.outcome !== null) {
    return {
      id,
      originator,
      outcome: fields.outcome as Outcome,
      by: fields.by as string | null,
      answer: text ?? null,
      resolvedMs: fields.resolved_ms as number,
    };
  }
  return {
    id,
    originator,
    tool: fields.tool as string,
    input: text ?? "null",
    rationale: fields.rationale as string | null,
    requester: fields.requester as string,
    turnId: fields.turn_id as string | null,
    tokenId: fields.token_id as string | undefined ?? OWNER_ID,
    requestedMs: fields.requested_ms as number,
    expiresMs: fields.expires_ms as number,
  };
}

/** Tells what is asked; whoever is told again knows it by the envelope's id, which is the request's. */
export function requestedEvent(news: News, request: PermissionRequest): NewEvent {
  return news.event("permission.requested", {
    request_id: request.id,
    tool: request.tool,
    input: new JsonText(request.input),
    rationale: request.rationale,
    originator: request.originator,
    requester: request.requester,
    turn_id: request.turnId ?? undefined,
    expires_at: request.expiresMs,
  }, request.id);
}

/** Tells what became of it. */
export function resolvedEvent(news: News, { id, outcome, by, answer }: ResolvedPermission) {
  return news.event("permission.resolved", {
    request_id: id,
    outcome,
    by,
    result: answer === null ? null : new JsonText(answer),
  });
}

/** Tells that there is another end of the time. */
export function extendedEvent(news: News, { id, expiresMs }: PermissionRequest): NewEvent {
  return news.event("permission.extended", { request_id: id, expires_at: expiresMs });
}

/** Tells who may answer from now on. */
export function delegatedEvent(news: News, { id, originator }: PermissionRequest): NewEvent {
  return news.event("permission.delegated", { request_id: id, to: originator });
}

function writeOf(id: string, content: DocumentContent | null): DocumentWrite {
  return { key: ["permission", id], content };
}
