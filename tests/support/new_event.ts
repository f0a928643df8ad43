/** Events as the operations hand them to the log, short to write in a test. */

import type { Kind, NewEvent } from "../../src/core/event.ts";

export interface EventParts {
  readonly kind?: Kind;
  readonly topic?: string | null;
  readonly payload?: unknown;
  /** Length of the whole envelope, in characters; the payload is filled up to it. */
  readonly chars?: number;
  readonly ttlMs?: number | null;
  readonly dedupKey?: string | null;
}

let made = 0;

/** An event with an id of its own; the envelope has the fields and the order of a real one. */
export function newEvent(parts: EventParts = {}): NewEvent {
  const { kind = "notify", topic = null, ttlMs = null, dedupKey = null } = parts;
  const msgId = `00000000-0000-4000-8000-${String(++made).padStart(12, "0")}`;
  const front = `{"v":1,"id":"${msgId}","from":"me","to":"me","ts":1,"kind":"${kind}","ref":null,` +
    (topic === null ? `"payload":` : `"topic":"${topic}","payload":`);
  const payload = parts.chars === undefined
    ? JSON.stringify("payload" in parts ? parts.payload : made)
    : `"${"x".repeat(Math.max(0, parts.chars - front.length - 3))}"`;
  return { msgId, kind, topic, envelope: `${front}${payload}}`, ttlMs, dedupKey };
}

/** The payload that an envelope carries. */
export function payloadOf(envelope: string): unknown {
  return JSON.parse(envelope).payload;
}
