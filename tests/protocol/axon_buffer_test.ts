/**
 * AXON, section 4: the receive buffer, which here is the durable log, and the bounds of it.
 *
 * Two sentences of the specification do not hold here (axon.md): seqs go on over a restart, and the
 * default bounds are larger. What retention takes away is told as a gap.
 */

import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import type { RawClient } from "../support/raw_client.ts";
import { eventually, payloadsOf, range, seqsOf } from "../support/expect.ts";
import { parseConfig } from "../../src/daemon/config.ts";

Deno.test("4.1 what arrives while no client is connected is there later", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const client = await daemon.v2("later");
  assertEquals(payloadsOf((await client.ask({ cmd: "inbox" })).messages), [1, 2, 3]);
});

Deno.test("4.2 seq grows by one with each message, in the order of the sends", async () => {
  await using daemon = await startTestDaemon();
  assertEquals(await daemon.fill(250), range(1, 250));
  const client = await daemon.v2();
  const { messages } = await client.ask({ cmd: "inbox", limit: 1000 });
  assertEquals(payloadsOf(messages), range(1, 250));
});

Deno.test("axon.md: seq and epoch go on across restarts, and the messages are there", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const { epoch } = daemon;
  await daemon.restart();
  assertEquals(await daemon.fill(2), [4, 5]);
  assertEquals(daemon.epoch, epoch);
  const client = await daemon.v2();
  assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), range(1, 5));
});

Deno.test("axon.md: the bounds default to 100,000 messages, 24 hours and 64 MiB", () => {
  const { ipc } = parseConfig("{}", "the test");
  assertEquals(
    [ipc.allow_v1, ipc.buffer_size, ipc.buffer_ttl_secs, ipc.buffer_byte_cap, ipc.token_path],
    [true, 100_000, 86_400, 67_108_864, "ipc-token"],
  );
});

Deno.test("4.2 when the buffer is full by count, the oldest message goes first", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 10 } } });
  await daemon.fill(25);
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "inbox" });
  assertEquals(seqsOf(reply.messages), range(16, 25));
  assertEquals(reply.gap, { from_seq: 1, to_seq: 15 });
});

Deno.test("4.2 a full buffer keeps its newest messages across a restart", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 10 } } });
  await daemon.fill(25);
  await daemon.restart();
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "inbox" });
  assertEquals(seqsOf(reply.messages), range(16, 25));
  assertEquals(reply.gap, { from_seq: 1, to_seq: 15 });
});

Deno.test("4.2 eviction looks at no kind", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 5 } } });
  await daemon.fill(1, { kind: "delegate" });
  await daemon.fill(5, { kind: "ping" });
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "inbox", kinds: ["delegate"] });
  assertEquals([reply.messages, reply.next_seq], [[], null]);
});

Deno.test("4.2 when the buffer is full by bytes, the oldest messages go until it fits", async () => {
  const cap = 200_000;
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_byte_cap: cap } } });
  await daemon.fill(100, { payload: "x".repeat(10_000) });
  const client = await daemon.v2();
  const { messages, gap } = await client.ask({ cmd: "inbox" });
  const bytes = JSON.stringify(messages.map((each: { envelope: unknown }) => each.envelope)).length;
  assertLessOrEqual(bytes, cap);
  assertGreater(messages.length, 5);
  assertEquals(seqsOf(messages), range(101 - messages.length, 100));
  assertEquals(gap, { from_seq: 1, to_seq: 100 - messages.length });
});

Deno.test("axon.md: a subscriber gets an event that is larger than the whole buffer", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_byte_cap: 100 } } });
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe" });
  for (const seq of range(1, 3)) {
    await daemon.fill(1, { payload: "x".repeat(1000) });
    const event = await client.pushed();
    assertEquals([event.seq, "gap" in event], [seq, false]);
  }
  const late = await daemon.v2("late");
  assertEquals(seqsOf((await late.ask({ cmd: "inbox" })).messages), [3], "the newest stays");
});

Deno.test("4.2 expired messages are gone, and what comes later is there", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_ttl_secs: 2 } } });
  await daemon.fill(3);
  const client = await daemon.v2();
  assertEquals((await client.ask({ cmd: "inbox" })).messages.length, 3);
  await untilEmpty(client);
  await daemon.fill(1);
  assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), [4]);
});

Deno.test("axon.md: ttl_secs expires one message early, without a gap", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(1);
  await daemon.fill(1, { ttl_secs: 1 });
  await daemon.fill(1, { ttl_secs: 1000 });
  const client = await daemon.v2();
  let reply = await client.ask({ cmd: "inbox" });
  await eventually(async () => {
    assertEquals("gap" in reply, false);
    if (reply.messages.length < 3) return true;
    reply = await client.ask({ cmd: "inbox" });
    return false;
  });
  assertEquals(seqsOf(reply.messages), [1, 3]);
  const events = await daemon.v2("other");
  await events.ask({ cmd: "subscribe" });
  const [first, second] = await events.pushedMany(2);
  assertEquals([first!.seq, second!.seq, second!.gap], [1, 3, undefined]);
});

Deno.test("axon.md: ttl_secs is capped by buffer_ttl_secs", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_ttl_secs: 1 } } });
  await daemon.fill(1, { ttl_secs: 86_400 });
  await untilEmpty(await daemon.v2());
});

for (const key of ["buffer_size", "buffer_byte_cap"]) {
  Deno.test(`4.2 with ${key} 0 inbox is always empty; axon.md: send still answers a seq`, async () => {
    await using daemon = await startTestDaemon({ config: { ipc: { [key]: 0 } } });
    const live = await daemon.v2("live");
    await live.ask({ cmd: "subscribe" });
    assertEquals(await daemon.fill(3), [1, 2, 3]);
    assertEquals(seqsOf(await live.pushedMany(3)), [1, 2, 3]);
    const client = await daemon.v2();
    const { messages, next_seq, has_more } = await client.ask({ cmd: "inbox" });
    assertEquals([messages, next_seq, has_more], [[], null, false]);
    assertEquals((await client.ask({ cmd: "subscribe" })).replayed, 0);
    await client.expectNothingPushed();
  });
}

Deno.test("axon.md: with buffer_size 0 subscribers get each event once, and nothing can be read again", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 0 } } });
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe" });
  await daemon.fill(5);
  assertEquals(seqsOf(await client.pushedMany(5)), range(1, 5));
  const late = await daemon.v2("late");
  assertEquals((await late.ask({ cmd: "subscribe" })).replayed, 0);
  await late.expectNothingPushed();
  await client.expectNothingPushed();
  assertEquals((await late.ask({ cmd: "event.read", after: 0 })).events, []);
});

Deno.test("axon.md: with buffer_size 0 no seq is used twice, not after a restart either", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 0 } } });
  await daemon.fill(5);
  const { epoch } = daemon;
  await daemon.restart();
  const [seq] = await daemon.fill(1);
  assert(daemon.epoch !== epoch || seq! > 5, `seq ${seq} again in the same epoch`);
});

Deno.test("4.2 ack deletes nothing from the buffer", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const client = await daemon.v2();
  await client.ask({ cmd: "inbox" });
  await client.ask({ cmd: "ack", up_to_seq: 3 });
  assertEquals((await client.ask({ cmd: "event.read", after: 0 })).events.length, 3);
});

Deno.test("4.2 a message goes to subscribers, to v1 connections and to the buffer", async () => {
  await using daemon = await startTestDaemon();
  const old = await daemon.v1();
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe" });
  await daemon.fill(1);
  const { envelope } = await client.pushed();
  assertEquals(await old.pushed(), { inbound: true, envelope });
  assertEquals((await client.ask({ cmd: "inbox" })).messages[0].envelope, envelope);
});

Deno.test("axon.md: inbox repeats the gap until the consumer has acked past it", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 5 } } });
  await daemon.fill(2);
  const client = await daemon.v2();
  await client.ask({ cmd: "inbox" });
  await client.ask({ cmd: "ack", up_to_seq: 2 });
  await daemon.fill(10);
  for (let times = 0; times < 2; times++) {
    const reply = await client.ask({ cmd: "inbox" });
    assertEquals([reply.gap, seqsOf(reply.messages)], [{ from_seq: 3, to_seq: 7 }, range(8, 12)]);
  }
  await client.ask({ cmd: "ack", up_to_seq: 8 });
  assertEquals("gap" in await client.ask({ cmd: "inbox" }), false);
});

Deno.test("axon.md: a gap names seqs, not matches", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 5 } } });
  await daemon.fill(10, { kind: "notify" });
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "inbox", kinds: ["query"] });
  assertEquals([reply.messages, reply.gap], [[], { from_seq: 1, to_seq: 5 }]);
});

Deno.test("axon.md: a subscription's first event carries the gap before it", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 5 } } });
  await daemon.fill(10);
  const client = await daemon.v2();
  assertEquals((await client.ask({ cmd: "subscribe" })).replayed, 5);
  const events = await client.pushedMany(5);
  assertEquals(events.map((event) => event.gap), [
    { from_seq: 1, to_seq: 5 },
    ...Array(4).fill(undefined),
  ]);
  assertEquals(seqsOf(events), range(6, 10));
});

Deno.test("axon.md: without retention at work nothing carries a gap", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(10);
  const client = await daemon.v2();
  assertEquals("gap" in await client.ask({ cmd: "inbox", limit: 3 }), false);
  await client.ask({ cmd: "subscribe", kinds: ["notify"] });
  assert((await client.pushedMany(10)).every((event) => !("gap" in event)));
});

async function untilEmpty(client: RawClient): Promise<void> {
  await eventually(async () => (await client.ask({ cmd: "inbox" })).messages.length === 0);
}
