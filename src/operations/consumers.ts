/** Operations on consumers: the named durable cursors. */

import { z } from "zod";
import { MAX_CONSUMERS } from "../core/consumers.ts";
import { defineOperation } from "./operation.ts";
import { consumerName, seq } from "./params.ts";
import { afterIn, afterName, hasMore, limitOf, pageOf } from "./reply_page.ts";

export const CONSUMER_LIST = defineOperation({
  name: "consumer.list",
  summary: "List the consumers with their place in the log, by name, as many as fit a reply.",
  scope: "read",
  params: z.object({ after: afterName, limit: limitOf(MAX_CONSUMERS) }),
  result: z.object({
    consumers: z.array(z.object({
      name: z.string(),
      acked_seq: seq,
      delivered_seq: seq.describe("highest seq delivered; after a crash a bound of it"),
      lag: seq.describe("events of the log behind acked_seq"),
      last_seen: z.number().int().describe("epoch milliseconds of the last delivery or ack"),
    })),
    has_more: hasMore,
  }),
  handle({ after, limit }, { services }) {
    const byName = services.consumers.list().sort((a, b) => a.name < b.name ? -1 : 1);
    const page = pageOf(afterIn(byName, after), limit, (consumer) =>
      JSON.stringify({
        name: consumer.name,
        acked_seq: consumer.ackedSeq,
        delivered_seq: consumer.deliveredSeq,
        lag: services.log.head - consumer.ackedSeq,
        last_seen: consumer.lastSeenMs,
      }));
    return { consumers: page.list, has_more: page.hasMore };
  },
});

export const CONSUMER_REMOVE = defineOperation({
  name: "consumer.remove",
  summary: "Forget a consumer's cursor; the name begins at 0 again.",
  scope: "admin",
  params: z.object({ consumer: consumerName }),
  result: z.object({}),
  handle: ({ consumer }, { services }) => services.consumers.remove(consumer).map(() => ({})),
});
