/** Operations on permissions: who asked may answer, and nobody else. */

import { z } from "zod";
import { PosternError, shown } from "../core/errors.ts";
import {
  OUTCOMES,
  PERMISSION_MODES,
  type PermissionRequest,
  type ResolvedPermission,
} from "../core/permission.ts";
import { MAX_PENDING_EACH } from "../core/pending_permissions.ts";
import { JsonText, utf8Length } from "../core/text.ts";
import { requireClient } from "./clients.ts";
import { type Caller, type Context, defineOperation } from "./operation.ts";
import { boundedText, MAX_PERMISSION_SECS, permissionSecs } from "./params.ts";
import { hasMore, limitOf, pageOf } from "./reply_page.ts";

/** Bytes of an input as JSON. */
const MAX_INPUT_BYTES = 48 * 1024;
/** Bytes of an answer as JSON. */
const MAX_RESULT_BYTES = 16 * 1024;
const MAX_RATIONALE_BYTES = 4096;
const MAX_TOOL_BYTES = 256;

const requestId = z.string().min(1).max(64);
const originator = z.string().min(1).max(64).describe("public name of a client");
const milliseconds = z.number().int().describe("epoch milliseconds");
const input = z.unknown().describe("any JSON value, at most 48 KiB");

const requestParams = {
  tool: boundedText("tool", MAX_TOOL_BYTES).min(1).describe("what is to be used"),
  input,
  rationale: boundedText("rationale", MAX_RATIONALE_BYTES).optional().describe("what for"),
  turn_id: z.string().min(1).max(64).optional()
    .describe("an open turn that the caller runs; its originator is asked"),
  originator: originator.optional()
    .describe("who may answer; the turn's if there is one, else the caller itself"),
  mode: z.enum(PERMISSION_MODES).default("interactive")
    .describe("which of the configured times it waits"),
  timeout_s: permissionSecs.optional().describe(
    `a time of its own in seconds, at most ${MAX_PERMISSION_SECS}; before that of the turn's session`,
  ),
  cancel_on_disconnect: z.boolean().default(false)
    .describe("withdraw it when this connection ends; on a socket or WebSocket"),
};

export const PERMISSION_REQUEST = defineOperation({
  name: "permission.request",
  summary: "Ask for permission; answered when the request is on disk, before it is decided.",
  scope: "serve",
  audited: true,
  params: z.object(requestParams),
  result: z.object({
    request_id: z.string().describe("public"),
    originator: z.string().describe("who may answer"),
    expires_at: milliseconds.describe("epoch milliseconds; from then on it counts as denied"),
  }),
  handle(params, context) {
    const { services, caller } = context;
    const operation = "permission.request";
    const requester = requireClient(operation, context);
    const asked = originatorOf(params, requester, context);
    const expiresMs = expiryOf(params, context);
    const text = inputText(params.input);
    if (params.cancel_on_disconnect) requireConnection(caller);
    for (const client of new Set([requester, asked])) services.clients.keep(client);
    const stored = services.permissions.request({
      id: services.newId(),
      tool: params.tool,
      input: text,
      rationale: params.rationale ?? null,
      requester,
      originator: asked,
      turnId: params.turn_id ?? null,
      tokenId: caller.principal!.tokenId,
      expiresMs,
    }, params.cancel_on_disconnect ? caller.departure : null);
    return stored.map((request) => ({
      request_id: request.id,
      originator: request.originator,
      expires_at: request.expiresMs,
    }));
  },
});

export const PERMISSION_DEMO = defineOperation({
  ...PERMISSION_REQUEST,
  name: "permission.demo",
  summary: "The same as permission.request; for clients of the CheetahClaws note.",
});

export const PERMISSION_WAIT = defineOperation({
  name: "permission.wait",
  summary: "Wait for the decision of a request; of one that is decided it is there at once.",
  scope: "serve",
  free: true,
  params: z.object({ request_id: requestId }),
  result: z.object({
    request_id: z.string(),
    decision: z.enum(OUTCOMES),
    approved: z.boolean().describe("false for every decision but approved"),
    by: z.string().nullable().describe("public name of who decided; null for a time-out"),
    answer: z.unknown().describe("what the originator answered; null when nobody did"),
    resolved_at: milliseconds,
  }),
  handle({ request_id }, { services, caller }) {
    const tokenId = caller.principal?.tokenId ?? "";
    const { decided, giveUp } = services.permissions.wait(request_id, tokenId);
    const takeBack = caller.departure.add(giveUp);
    decided.whenSettled(takeBack);
    return decided.map((resolved) => ({
      request_id: resolved.id,
      decision: resolved.outcome,
      approved: resolved.outcome === "approved",
      by: resolved.by,
      answer: answerOf(resolved),
      resolved_at: resolved.resolvedMs,
    }));
  },
});

export const PERMISSION_ANSWER = defineOperation({
  name: "permission.answer",
  summary: "Decide a request of which one is the originator; once, then it is a conflict.",
  scope: "send",
  audited: true,
  params: z.object({
    request_id: requestId,
    result: z.looseObject({ approve: z.boolean() })
      .describe("the decision, and what else the requester is to know; at most 16 KiB"),
  }),
  result: z.object({
    request_id: z.string(),
    resolved_at: milliseconds,
    answer: z.unknown().describe("the result as it was given"),
  }),
  handle({ request_id, result }, context) {
    const operation = "permission.answer";
    const by = requireClient(operation, context);
    const json = JSON.stringify(result);
    requireBytes(`${operation}: result`, json, MAX_RESULT_BYTES);
    const { permissions } = context.services;
    return permissions.answer(request_id, by, { isApproval: result.approve, json })
      .map((resolved) => ({ ...endOf(resolved), answer: answerOf(resolved) }));
  },
});

export const PERMISSION_LIST = defineOperation({
  name: "permission.list",
  summary: "List the requests that the caller is to decide, oldest first.",
  scope: "read",
  params: z.object({
    limit: limitOf(MAX_PENDING_EACH, { told: "the oldest" }),
  }),
  result: z.object({
    pending: z.array(z.object({
      request_id: z.string(),
      tool: z.string(),
      input,
      rationale: z.string().nullable(),
      requester: z.string().describe("public name of who asks"),
      turn_id: z.string().nullable(),
      requested_at: milliseconds,
      expires_at: milliseconds,
    })),
    has_more: hasMore,
  }),
  handle({ limit }, context) {
    const { permissions } = context.services;
    const own = permissions.pendingFor(requireClient("permission.list", context));
    const page = pageOf(own, limit, pendingText);
    return { pending: page.list, has_more: page.hasMore };
  },
});

export const PERMISSION_REFRESH_TIMEOUT = defineOperation({
  name: "permission.refresh_timeout",
  summary: "Take more time to decide a request of which one is the originator.",
  scope: "send",
  audited: true,
  params: z.object({
    request_id: requestId,
    extend_s: permissionSecs.describe(
      `seconds beyond the present end; it is at most ${MAX_PERMISSION_SECS} from now`,
    ),
  }),
  result: z.object({ request_id: z.string(), expires_at: milliseconds }),
  handle({ request_id, extend_s }, context) {
    const by = requireClient("permission.refresh_timeout", context);
    return context.services.permissions.extend(request_id, by, Math.round(extend_s * 1000))
      .map(({ id, expiresMs }) => ({ request_id: id, expires_at: expiresMs }));
  },
});

export const PERMISSION_DELEGATE = defineOperation({
  name: "permission.delegate",
  summary: "Have another client decide a request; from then on it alone is the originator.",
  scope: "send",
  audited: true,
  params: z.object({ request_id: requestId, to: originator }),
  result: z.object({ request_id: z.string(), to: z.string(), expires_at: milliseconds }),
  handle({ request_id, to }, context) {
    const { services } = context;
    const operation = "permission.delegate";
    const by = requireClient(operation, context);
    // Not before it is accepted: a refused one leaves nothing behind.
    const keepHeir = () => {
      if (services.clients.keep(to)) return;
      throw new PosternError("not_found", `${operation}: to: there is no client ${shown(to)}`, {
        field: "to",
      });
    };
    return services.permissions.delegate(request_id, by, to, keepHeir).map((request) => ({
      request_id: request.id,
      to: request.originator,
      expires_at: request.expiresMs,
    }));
  },
});

export const PERMISSION_CANCEL = defineOperation({
  name: "permission.cancel",
  summary: "Withdraw a request that one has asked; nobody can answer it any more.",
  scope: "serve",
  audited: true,
  params: z.object({ request_id: requestId }),
  result: z.object({ request_id: z.string(), resolved_at: milliseconds }),
  handle({ request_id }, context) {
    const by = requireClient("permission.cancel", context);
    return context.services.permissions.cancel(request_id, by).map(endOf);
  },
});

type RequestParams = z.infer<typeof PERMISSION_REQUEST.params>;

/** Who is to answer: whom the caller may ask in the name of. */
function originatorOf(
  { turn_id, originator }: RequestParams,
  requester: string,
  { services, caller }: Context,
): string {
  const ofTurn = turn_id === undefined ? requester : services.turnOriginator(caller, turn_id);
  if (ofTurn === null) {
    throw new PosternError(
      "conflict",
      `permission.request: turn_id: whoever sent the turn ${
        shown(turn_id)
      } has no identity, so nobody could answer`,
      { field: "turn_id" },
    );
  }
  if (ofTurn === undefined) {
    throw new PosternError(
      "not_found",
      `permission.request: turn_id: there is no open turn ${shown(turn_id)} that this client runs`,
      { field: "turn_id" },
    );
  }
  if (originator === undefined || originator === ofTurn) return ofTurn;
  if (services.mayActFor(caller, originator)) return originator;
  throw new PosternError(
    "permission_denied",
    `permission.request: originator: only who provides an open turn or call of ${
      shown(originator)
    } may ask in its name`,
    { field: "originator" },
  );
}

/** Its own time, else that of its turn's session, else the mode's. */
function expiryOf(
  { mode, timeout_s, turn_id }: RequestParams,
  { services: { clock, limits, sessions } }: Context,
): number {
  const session = turn_id === undefined ? null : sessions.sessionOfTurn(turn_id);
  const secs = timeout_s ?? session?.permissionTimeoutSecs ?? limits.permissionTimeoutSecs[mode];
  return Math.round(clock.now() + secs * 1000);
}

function inputText(input: unknown): string {
  const text = JSON.stringify(input);
  requireBytes("permission.request: input", text, MAX_INPUT_BYTES);
  return text;
}

function requireBytes(what: string, json: string, limit: number): void {
  const bytes = utf8Length(json);
  if (bytes <= limit) return;
  throw new PosternError(
    "too_large",
    `${what}: is at most ${limit} bytes as JSON, this one has ${bytes}`,
    { limit },
  );
}

/** A request over HTTP has an end of its own, which says nothing of its client. */
function requireConnection({ transport }: Caller): void {
  if (transport === "socket" || transport === "websocket") return;
  throw new PosternError(
    "invalid_request",
    `permission.request: cancel_on_disconnect: needs a socket or a WebSocket, this is ${transport}`,
    { field: "cancel_on_disconnect" },
  );
}

function endOf({ id, resolvedMs }: ResolvedPermission) {
  return { request_id: id, resolved_at: resolvedMs };
}

/** What was answered is JSON text. */
function answerOf({ answer }: ResolvedPermission): unknown {
  return answer === null ? null : asJson(answer);
}

/** The codec puts the text into the reply as it is. */
function asJson(text: string): unknown {
  return new JsonText(text);
}

/** The input goes into it as it was written. */
function pendingText(request: PermissionRequest): string {
  const { id, input, ...rest } = request;
  const fields = JSON.stringify({
    tool: rest.tool,
    rationale: rest.rationale,
    requester: rest.requester,
    turn_id: rest.turnId,
    requested_at: rest.requestedMs,
    expires_at: rest.expiresMs,
  });
  return `{"request_id":"${id}","input":${input},${fields.slice(1)}`;
}
