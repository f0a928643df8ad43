/** The daemon's own news as events: what became of a permission, a turn, a session, a lease. */

import type { NewEvent } from "../core/event.ts";
import type { Clock, News } from "../core/ports.ts";
import { JsonText } from "../core/text.ts";
import { encodeEnvelope } from "./envelope.ts";
import type { Identity } from "./operation.ts";

/** Makes the news of one daemon. */
export function newsOf(
  { identity, clock, newId }: {
    readonly identity: Identity;
    readonly clock: Clock;
    readonly newId: () => string;
  },
): News {
  return {
    event(topic, payload, msgId = newId()): NewEvent {
      const { agentId } = identity;
      const envelope = encodeEnvelope({
        id: msgId,
        from: agentId,
        to: agentId,
        ts: clock.now(),
        kind: "notify",
        ref: null,
        topic,
        originator: null,
        payload: new JsonText(jsonOf(payload)),
      });
      return { msgId, kind: "notify", topic, envelope, ttlMs: null, dedupKey: null };
    },
  };
}

function jsonOf(payload: Readonly<Record<string, unknown>>): string {
  const fields = Object.entries(payload).filter(([, value]) => value !== undefined).map(
    ([name, value]) =>
      `${JSON.stringify(name)}:${value instanceof JsonText ? value.text : JSON.stringify(value)}`,
  );
  return `{${fields.join(",")}}`;
}
