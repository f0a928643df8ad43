/** Several streams on one connection. */

import { assert, assertEquals } from "@std/assert";
import type { Codec } from "../../src/codecs/codec.ts";
import { ALL_EVENTS } from "../../src/core/filter.ts";
import { Consumers } from "../../src/core/consumers.ts";
import { Metrics } from "../../src/core/metrics.ts";
import { ConnectionStreams } from "../../src/server/connection_streams.ts";
import type { ServerContext } from "../../src/server/context.ts";
import { Outbox } from "../../src/server/outbox.ts";
import { SharedEncodings } from "../../src/server/shared_encodings.ts";
import { range } from "../support/expect.ts";
import { SlowWriter } from "../support/slow_writer.ts";
import { appendEach, openTestLog } from "../support/test_log.ts";

/** Tells an event as its subscription and its seq, in a dialect that has many subscriptions. */
const CODEC = {
  singleSubscription: false,
  encodeEvent: ({ seq }, { subscriptionId }) => `${subscriptionId} ${seq}`,
  sharedEncoding: () => null,
} as Partial<Codec> as Codec;

Deno.test("two subscriptions whose outbox is always full take turns, and neither misses an event", async () => {
  const { log, clock } = openTestLog();
  const count = 60;
  await appendEach(log, count);
  const writer = new SlowWriter();
  const outbox = new Outbox(writer, {
    hold() {},
    // A stream stops at a quarter of it, which is one line.
    limitBytes: () => 32,
    onRoom: () => streams.pump(),
    onBroken() {},
  });
  const streams = new ConnectionStreams(outbox, {
    services: {
      log,
      consumers: new Consumers(log, { clock, documents: [] }),
      metrics: new Metrics(),
    },
    shared: new SharedEncodings(),
    limits: () => ({ maxSubscriptions: 2 }),
  } as unknown as ServerContext);
  for (let i = 0; i < 2; i++) {
    streams.open(CODEC, {
      consumer: null,
      filter: ALL_EVENTS,
      from: 1,
      replayTo: count,
      reminders: [],
      mayTake: () => false,
    });
    streams.begin();
  }
  await streams.finish();
  await outbox.flushed();
  const told: Record<string, number[]> = { "sub-1": [], "sub-2": [] };
  for (const line of writer.lines) {
    const [id, seq] = line.split(" ");
    told[id!]!.push(Number(seq));
    const lead = told["sub-1"]!.length - told["sub-2"]!.length;
    assert(Math.abs(lead) <= 2, `one is ${lead} events ahead`);
  }
  assertEquals(told, { "sub-1": range(1, count), "sub-2": range(1, count) });
});
