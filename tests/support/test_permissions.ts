/** Permissions over a log in memory, and what a test asks of them most. */

import { Permissions } from "../../src/core/permissions.ts";
import type { PermissionRequest } from "../../src/core/permission.ts";
import { PosternError } from "../../src/core/errors.ts";
import type { Departure } from "../../src/core/departure.ts";
import type { Ticket } from "../../src/core/ticket.ts";
import { newsOf } from "../../src/operations/news.ts";
import { openTestLog, readAll, type TestLog } from "./test_log.ts";
import { payloadOf } from "./new_event.ts";

/** What a test holds of one daemon's permissions. */
export interface TestPermissions extends TestLog {
  readonly permissions: Permissions;
}

/** What the log tells of permissions. */
export interface Told {
  readonly topic: string;
  readonly payload: Record<string, unknown>;
}

export function openPermissions(opened: TestLog = openTestLog()): TestPermissions {
  const { log, clock, store } = opened;
  const identity = { agentId: "me", publicKey: "", name: "test", version: "0", startedAtMs: 0 };
  const news = newsOf({ identity, clock, newId: () => crypto.randomUUID() });
  const { documents } = store.state;
  const isWanted = ({ turnId }: PermissionRequest) => turnId !== "ended";
  return { ...opened, permissions: new Permissions(log, { clock, news, documents, isWanted }) };
}

/** What a daemon finds that starts after this one was killed. */
export function crashed(opened: TestPermissions): TestPermissions {
  return openPermissions(opened.restarted());
}

/** Asks for permission: `runner` asks `owner`, for a minute, unless the test says otherwise. */
export function ask(
  { permissions, clock }: TestPermissions,
  id: string,
  asked: {
    requester?: string;
    originator?: string;
    turnId?: string;
    tokenId?: string;
    secs?: number;
    departure?: Departure;
  } = {},
): Ticket<PermissionRequest> {
  const { requester = "runner", originator = "owner", secs = 60, departure } = asked;
  const { turnId = null, tokenId = "owner" } = asked;
  const expiresMs = clock.now() + secs * 1000;
  return permissions.request({
    id,
    tool: "Bash",
    input: `{"command":"rm -rf ${id}"}`,
    rationale: null,
    requester,
    originator,
    turnId,
    tokenId,
    expiresMs,
  }, departure ?? null);
}

/** Everything that the log tells, in order. */
export async function told({ log }: TestPermissions): Promise<Told[]> {
  const { events } = await readAll(log, { limit: 500 });
  return events.map(({ topic, envelope }) => ({
    topic: topic!,
    payload: payloadOf(envelope) as Record<string, unknown>,
  }));
}

/** A ticket of anything. */
interface Settling {
  promise(): Promise<unknown>;
}

/** `ok`, the code of the refusal, or the message of another error; at once or later. */
export async function comesTo(attempt: () => Settling): Promise<string> {
  try {
    await attempt().promise();
    return "ok";
  } catch (error) {
    return error instanceof PosternError ? error.code : (error as Error).message;
  }
}
