/** The event that belongs at a seq, so that whoever reads it can tell whether it is the right one. */

import type { NewEvent } from "../../src/core/event.ts";

/** Every so often one that needs chunks. */
const LARGE_EVERY = 37;

export function committedEvent(seq: number): NewEvent {
  const size = seq % LARGE_EVERY === 0 ? 150_000 : seq * 7919 % 3000;
  const id = `event-${seq}`;
  const payload = `${seq}:${"é".repeat(size)}`;
  return {
    msgId: id,
    kind: "notify",
    topic: null,
    envelope: `{"v":1,"id":"${id}","from":"me","to":"me","ts":1,"kind":"notify","ref":null,` +
      `"payload":"${payload}"}`,
    ttlMs: null,
    dedupKey: seq % 5 === 0 ? `key-${seq}` : null,
  };
}
