/** Sessions over a log in memory, and the news that were told of them. */

import { PosternError } from "../../src/core/errors.ts";
import { OWNER_ID } from "../../src/core/principal.ts";
import { Sessions } from "../../src/core/sessions.ts";
import type { Ticket } from "../../src/core/ticket.ts";
import type { TurnTelling } from "../../src/core/turns.ts";
import type { Runner } from "../../src/core/runners.ts";
import { newsOf } from "../../src/operations/news.ts";
import { openTestLog, readAll, type TestLog } from "./test_log.ts";

/** Seconds that a turn waits for a runner here. */
export const QUEUE_SECS = 300;

/** What a test holds of one daemon's sessions. */
export interface TestSessions extends TestLog {
  readonly sessions: Sessions;
}

/** One piece of news. */
export interface ToldNews {
  readonly topic: string;
  // deno-lint-ignore no-explicit-any
  readonly payload: Record<string, any>;
}

let made = 0;

export function openSessions(opened: TestLog = openTestLog()): TestSessions {
  const { log, clock, store } = opened;
  const newId = () => `id-${++made}`;
  const identity = { agentId: "me", publicKey: "", name: "test", version: "0", startedAtMs: 0 };
  const sessions = new Sessions(log, {
    news: newsOf({ identity, clock, newId }),
    journal: log,
    clock,
    documents: store.state.documents,
    queueMs: QUEUE_SECS * 1000,
    newId,
  });
  return { ...opened, sessions };
}

/** What a daemon finds that starts after this one was killed. */
export function restarted(opened: TestSessions): TestSessions {
  return openSessions(opened.restarted());
}

/** Sends a message; answers the turn's id when it is on disk. */
export async function send(
  { sessions }: TestSessions,
  sessionId = "s",
  {
    text = "hi",
    data = null as string | null,
    originator = null as string | null,
    tokenId = OWNER_ID,
  } = {},
): Promise<string> {
  return (await sessions.send({ sessionId, text, data, originator, tokenId }).promise()).turnId;
}

export function emit(
  { sessions }: TestSessions,
  runner: Runner,
  [turnId, type, data]: [turnId: string, type: TurnTelling, data?: string],
): Promise<unknown> {
  return attempt(() => sessions.emit(runner, { turnId, type, data: data ?? null }));
}

/** What a ticket comes to, be it refused at once or later. */
export function attempt<T>(ask: () => Ticket<T>): Promise<T> {
  return Promise.try(() => ask().promise());
}

/** The code of a refusal, or `ok`. */
export async function codeOf(asked: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof asked === "function" ? asked() : asked);
    return "ok";
  } catch (error) {
    if (error instanceof PosternError) return error.code;
    throw error;
  }
}

/** All news so far, in order; all that is under way is on disk then. */
export async function news({ log }: TestSessions): Promise<ToldNews[]> {
  await log.drain();
  const { events } = await readAll(log);
  return events.map(({ topic, envelope }) => ({
    topic: topic!,
    payload: JSON.parse(envelope).payload,
  }));
}

/** The topics of all news of a turn, without their first segment, in order. */
export async function tale(opened: TestSessions, turnId: string): Promise<string[]> {
  return (await news(opened)).filter(({ payload }) => payload.turn_id === turnId)
    .map(({ topic }) => topic.slice("turn.".length));
}

/** The payload of the last news of a turn. */
export async function last(opened: TestSessions, turnId: string): Promise<ToldNews["payload"]> {
  return (await news(opened)).findLast(({ payload }) => payload.turn_id === turnId)!.payload;
}
