/** Operations on sessions: messages to them, and runners that answer. */

import { z } from "zod";
import { PosternError, shown } from "../core/errors.ts";
import type { Runner } from "../core/runners.ts";
import { MAX_SESSIONS } from "../core/session_room.ts";
import type { SessionView } from "../core/sessions.ts";
import { type Caller, type Context, defineOperation } from "./operation.ts";
import { boundedText, permissionSecs } from "./params.ts";
import { hasMore, limitOf, pageOf } from "./reply_page.ts";

const sessionId = z.string().regex(/^[A-Za-z0-9._:-]{1,128}$/, {
  error: "a session's id must be 1 to 128 of [A-Za-z0-9._:-]",
});
const runnerName = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, {
  error: "a runner's name must be 1 to 64 of [A-Za-z0-9._-]",
});
const title = boundedText("a title", 256).refine((text) => !/\p{Cc}/u.test(text), {
  error: "a title must not contain control characters",
});
export const turnId: z.ZodString = z.string().min(1).max(64);
const milliseconds = z.number().int().describe("epoch milliseconds");
const text = z.string().describe("at most 48 KiB with data");

const described = {
  session_id: z.string(),
  runner: z.string().nullable().describe("name of the runner that is to run its turns"),
  title: z.string().nullable(),
  permission_timeout_s: z.number().nullable().describe(
    "how long requests for permission of its turns wait; null for as long as any other",
  ),
  created_at: milliseconds,
  last_used_at: milliseconds.describe("of the last message; after a restart to the hour"),
  attached: z.boolean().describe("whether a runner is attached that its turns are given to"),
  open_turns: z.number().int().describe("turns that have not ended"),
};

export const SESSION_CREATE = defineOperation({
  name: "session.create",
  summary: "Make a session; the same once more changes nothing.",
  scope: "send",
  params: z.object({
    session_id: sessionId.optional().describe("a new one if absent"),
    runner: runnerName.optional().describe(
      "name of the runner that is to run its turns; without one a runner attaches to the session",
    ),
    title: title.optional(),
    permission_timeout_s: permissionSecs.optional().describe(
      "how many seconds requests for permission of its turns wait, where they name no time",
    ),
  }),
  result: z.object(described),
  handle({ session_id, runner = null, title = null, permission_timeout_s = null }, context) {
    const { sessions, newId } = context.services;
    const definition = { runner, title, permissionTimeoutSecs: permission_timeout_s };
    return sessions.create(session_id ?? newId(), definition, tokenIdOf(context))
      .map(descriptionOf);
  },
});

export const SESSION_LIST = defineOperation({
  name: "session.list",
  summary: "List the sessions, that used last in front.",
  scope: "read",
  params: z.object({
    after: sessionId.optional().describe(
      "only those behind this one, the last of the reply before",
    ),
    limit: limitOf(MAX_SESSIONS, { told: "those used last" }),
  }),
  result: z.object({ sessions: z.array(z.object(described)), has_more: hasMore }),
  handle({ after, limit }, { services: { sessions } }) {
    const views = sessions.list();
    const from = after === undefined
      ? 0
      : views.findIndex(({ session }) => session.id === after) + 1;
    if (after !== undefined && from === 0) {
      throw new PosternError(
        "not_found",
        `session.list: after: there is no session ${shown(after)}, or no more`,
        { field: "after" },
      );
    }
    const behind = views.slice(from);
    const page = pageOf(behind, limit, (view) => JSON.stringify(descriptionOf(view)));
    return { sessions: page.list, has_more: page.hasMore };
  },
});

export const SESSION_GET = defineOperation({
  name: "session.get",
  summary: "Read a session with its open turns.",
  scope: "read",
  params: z.object({ session_id: sessionId }),
  result: z.object({
    ...described,
    turns: z.array(z.object({
      turn_id: z.string(),
      message_id: z.string(),
      state: z.enum(["queued", "running"]),
      accepted_at: milliseconds,
      originator: z.string().nullable().describe("public name of whoever asked"),
    })).describe("in their order"),
  }),
  handle({ session_id }, { services: { sessions } }) {
    const view = sessions.get("session.get", session_id);
    const turns = view.turns.map(({ id, messageId, runner, acceptedMs, originator }) => ({
      turn_id: id,
      message_id: messageId,
      state: runner === null ? "queued" as const : "running" as const,
      accepted_at: acceptedMs,
      originator,
    }));
    return { ...descriptionOf(view), turns };
  },
});

export const SESSION_SEND = defineOperation({
  name: "session.send",
  summary: "Ask a session for a turn; answered when it is on disk, what comes of it is events.",
  scope: "send",
  pipelined: true,
  params: z.object({
    session_id: sessionId.describe("one that there is none of is made"),
    text,
    data: z.unknown().optional().describe("any JSON value, for the runner"),
  }),
  result: z.object({
    turn_id: z.string().describe("all events of the turn carry it"),
    message_id: z.string(),
    session_id: z.string(),
    accepted_at: milliseconds,
  }),
  handle({ session_id, text, data }, context) {
    const message = {
      sessionId: session_id,
      text,
      data: jsonOf(data),
      originator: originatorOf(context),
      tokenId: tokenIdOf(context),
    };
    return context.services.sessions.send(message).map((accepted) => ({
      turn_id: accepted.turnId,
      message_id: accepted.messageId,
      session_id,
      accepted_at: accepted.acceptedMs,
    }));
  },
});

export const SESSION_ATTACH = defineOperation({
  name: "session.attach",
  summary: "Become the runner of a session, or of all that name this runner, until disconnecting.",
  scope: "serve",
  params: z.object({
    session_id: sessionId.optional().describe("one session; there need not be one yet"),
    runner: runnerName.optional().describe("instead: all sessions that name this runner"),
  }),
  result: z.object({ queued: z.number().int().describe("turns that waited for it") }),
  handle({ session_id, runner: name }, context) {
    const { services: { sessions }, caller } = context;
    if ((session_id === undefined) === (name === undefined)) {
      throw new PosternError(
        "invalid_params",
        "session.attach: give either session_id or runner",
      );
    }
    const runner = runnerOf("session.attach", caller);
    const isFirst = runner.attachments === 0;
    if (isFirst) {
      runner.originator = originatorOf(context);
      runner.tokenId = tokenIdOf(context);
    }
    const place = name === undefined ? { sessionId: session_id! } : { name };
    const queued = sessions.attach(runner, place);
    if (isFirst) caller.departure.add(() => sessions.runnerGone(runner));
    return { queued };
  },
});

export const SESSION_REPLY = defineOperation({
  name: "session.reply",
  summary: "Tell a message from the runner's side, beside its turns.",
  scope: "serve",
  pipelined: true,
  params: z.object({
    session_id: sessionId,
    text,
    target: boundedText("target", 256).optional().describe("whom it is meant for"),
  }),
  result: z.object({ message_id: z.string() }),
  handle({ session_id, text, target }, context) {
    const { services: { sessions }, caller } = context;
    const reply = { sessionId: session_id, text, target, originator: originatorOf(context) };
    return sessions.reply(runnerOf("session.reply", caller), reply)
      .map((message_id) => ({ message_id }));
  },
});

export const SESSION_CANCEL = defineOperation({
  name: "session.cancel",
  summary: "End a turn as cancelled, whether it is queued or runs.",
  scope: "send",
  params: z.object({ turn_id: turnId }),
  result: z.object({}),
  handle: ({ turn_id }, context) =>
    context.services.sessions.cancel(turn_id, originatorOf(context)).map(() => ({})),
});

/** The JSON text of a value, or `null` where there is none. */
export function jsonOf(data: unknown): string | null {
  return data === undefined ? null : JSON.stringify(data);
}

/**
 * The caller as a runner.
 *
 * @throws PosternError `invalid_request` where it is none that a turn could be given to.
 */
export function runnerOf(operation: string, { runner }: Caller): Runner {
  if (runner !== null) return runner;
  throw new PosternError(
    "invalid_request",
    `${operation}: a runner needs a connection that stays; use postern.sock or GET /ws`,
  );
}

function originatorOf({ caller }: Context): string | null {
  return caller.client?.originator ?? null;
}

function tokenIdOf({ caller }: Context): string {
  return caller.principal?.tokenId ?? "";
}

function descriptionOf({ session, lastMs, isServed, turns }: SessionView) {
  return {
    session_id: session.id,
    runner: session.runner,
    title: session.title,
    permission_timeout_s: session.permissionTimeoutSecs,
    created_at: session.createdMs,
    last_used_at: lastMs,
    attached: isServed,
    open_turns: turns.length,
  };
}
