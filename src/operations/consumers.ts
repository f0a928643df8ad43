/** Operations on consumers: the named durable cursors. */

import { z } from "zod";
import { defineOperation } from "./operation.ts";
import { consumerName, seq } from "./params.ts";

export const CONSUMER_LIST = defineOperation({
  name: "consumer.list",
  summary: "List the consumers with their place in the log.",
  scope: "read",
  params: z.object({}),
  result: z.object({
    consumers: z.array(z.object({
      name: z.string(),
      acked_seq: seq,
      delivered_seq: seq.describe("highest seq delivered; after a crash a bound of it"),
      lag: seq.describe("events of the log behind acked_seq"),
      last_seen: z.number().int().describe("epoch milliseconds of the last delivery or ack"),
    })),
  }),
  handle: (_params, { services }) => ({
    consumers: services.consumers.list().map((consumer) => ({
      name: consumer.name,
      acked_seq: consumer.ackedSeq,
      delivered_seq: consumer.deliveredSeq,
      lag: services.log.head - consumer.ackedSeq,
      last_seen: consumer.lastSeenMs,
    })),
  }),
});

export const CONSUMER_REMOVE = defineOperation({
  name: "consumer.remove",
  summary: "Forget a consumer's cursor; the name begins at 0 again.",
  scope: "admin",
  params: z.object({ consumer: consumerName }),
  result: z.object({}),
  handle: ({ consumer }, { services }) => services.consumers.remove(consumer).map(() => ({})),
});
