/** Leases over a log in memory, and what the log tells of them. */

import { Departure } from "../../src/core/departure.ts";
import { type HeldLease, Leases } from "../../src/core/leases.ts";
import { OWNER_ID } from "../../src/core/principal.ts";
import { SECRETS } from "../../src/daemon/secrets.ts";
import { newsOf } from "../../src/operations/news.ts";
import type { Identity } from "../../src/operations/operation.ts";
import { payloadOf } from "./new_event.ts";
import { openTestLog, readAll, type TestLog } from "./test_log.ts";

export interface TestLeases extends TestLog {
  readonly leases: Leases;
}

/** What an event says of a lease. */
export interface LeaseNews {
  readonly topic: string;
  readonly name: string;
  readonly originator: string;
  readonly fence: number;
}

let made = 0;

export function openLeases(opened: TestLog = openTestLog()): TestLeases {
  const { log, clock, store } = opened;
  const news = newsOf({
    identity: { agentId: "the-daemon" } as Identity,
    clock,
    newId: () => `id-${++made}`,
  });
  const leases = new Leases(log, {
    clock,
    secrets: SECRETS,
    news,
    documents: store.state.documents,
  });
  return { ...opened, leases };
}

/** What a daemon finds that starts after this one was killed. */
export function crashed(opened: TestLeases): TestLeases {
  return openLeases(opened.restarted());
}

export function acquire(
  { leases }: TestLeases,
  originator: string,
  { name = "build", tokenId = OWNER_ID, ttlMs = 10_000, departure = null }: {
    name?: string;
    tokenId?: string;
    ttlMs?: number;
    departure?: Departure | null;
  } = {},
): Promise<HeldLease> {
  return leases.acquire({ name, originator, tokenId, ttlMs, departure }).promise();
}

/** Every event so far, in order. */
export async function newsIn({ log }: TestLeases): Promise<LeaseNews[]> {
  await log.drain();
  const { events } = await readAll(log, { limit: 1000 });
  return events.map(({ topic, envelope }) => ({
    topic: topic!,
    ...payloadOf(envelope) as Omit<LeaseNews, "topic">,
  }));
}

/** Every event so far, as `acquired build o-a 1`. */
export async function toldBy(opened: TestLeases): Promise<string[]> {
  return (await newsIn(opened)).map(({ topic, name, originator, fence }) =>
    `${topic.replace("lease.", "")} ${name} ${originator} ${fence}`
  );
}
