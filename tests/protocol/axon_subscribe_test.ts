/** AXON, sections 3.5 and 3.6: subscriptions, the replay snapshot, and events among replies. */

import { assert, assertEquals, assertGreater } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";
import { expectError, payloadsOf, range, seqsOf } from "../support/expect.ts";

Deno.test("3.5 subscribe is answered with exactly the fields of the specification", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "subscribe", req_id: "6" });
  assertEquals(reply, {
    ok: true,
    req_id: "6",
    subscribed: true,
    replayed: 3,
    replay_to_seq: 3,
  });
});

Deno.test("3.5 a pushed event has exactly the fields of the specification", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(1);
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe" });
  await daemon.fill(1);
  for (const [seq, replay] of [[1, true], [2, false]]) {
    const { envelope, buffered_at_ms, ...rest } = await client.pushed();
    assertEquals(rest, { event: "inbound", replay, seq });
    assert(Number.isSafeInteger(buffered_at_ms));
    assertEquals([envelope.kind, envelope.payload], ["notify", 1]);
  }
});

Deno.test("3.5 replay is on by default, in order up to the snapshot, then live events follow", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(120);
  const client = await daemon.v2();
  assertEquals((await client.ask({ cmd: "subscribe" })).replay_to_seq, 120);
  await daemon.fill(30);
  const events = await client.pushedMany(150);
  assertEquals(seqsOf(events), range(1, 150));
  assertEquals(events.map((event) => event.replay), range(1, 150).map((seq) => seq <= 120));
  await client.expectNothingPushed();
});

Deno.test("3.5 with replay false only what comes later is pushed", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const client = await daemon.v2();
  const { replayed, replay_to_seq } = await client.ask({ cmd: "subscribe", replay: false });
  assertEquals([replayed, replay_to_seq], [0, 3]);
  await client.expectNothingPushed();
  await daemon.fill(1);
  const event = await client.pushed();
  assertEquals([event.seq, event.replay], [4, false]);
});

Deno.test("3.5 on an empty buffer nothing is replayed", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const { replayed, replay_to_seq } = await client.ask({ cmd: "subscribe" });
  assertEquals([replayed, replay_to_seq], [0, 0]);
  await daemon.fill(1);
  assertEquals((await client.pushed()).replay, false);
});

Deno.test("3.5 the replay starts behind acked_seq", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(5);
  const client = await daemon.v2();
  await client.ask({ cmd: "inbox" });
  await client.ask({ cmd: "ack", up_to_seq: 3 });
  const { replayed, replay_to_seq } = await client.ask({ cmd: "subscribe" });
  assertEquals([replayed, replay_to_seq], [2, 5]);
  assertEquals(seqsOf(await client.pushedMany(2)), [4, 5]);
  await client.expectNothingPushed();
});

Deno.test("3.5 kinds filters replay and live events; the others are buffered only", async () => {
  await using daemon = await startTestDaemon();
  const feed = async () => {
    for (const kind of ["query", "notify", "delegate"]) await daemon.fill(1, { kind });
  };
  await feed();
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "subscribe", kinds: ["query", "delegate"] });
  assertEquals([reply.replayed, reply.replay_to_seq], [2, 3]);
  await feed();
  assertEquals(seqsOf(await client.pushedMany(4)), [1, 3, 4, 6]);
  await client.expectNothingPushed();
  assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), range(1, 6));
});

Deno.test("axon.md: topics filters a subscription", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe", topics: ["build.*.done"] });
  for (const topic of ["build.a.done", "build.a", "build.b.done"]) await daemon.fill(1, { topic });
  await daemon.fill(1);
  assertEquals(seqsOf(await client.pushedMany(2)), [1, 3]);
  await client.expectNothingPushed();
});

Deno.test("3.5 an unknown kind, or a field of a wrong type, is invalid_command", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const wrong = [
    { kinds: ["nonsense"] },
    { kinds: "query" },
    { kinds: [1] },
    { topics: ["a..b"] },
    { replay: "yes" },
    { replay: 1 },
    { replay: null },
  ];
  for (const fields of wrong) {
    expectError(await client.ask({ cmd: "subscribe", ...fields }), "invalid_command");
  }
  await daemon.fill(1);
  await client.expectNothingPushed();
});

Deno.test("3.5 a refused subscribe leaves the subscription that there was", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe" });
  expectError(await client.ask({ cmd: "subscribe", kinds: ["nonsense"] }), "invalid_command");
  await daemon.fill(1);
  assertEquals((await client.pushed()).seq, 1);
  await client.expectNothingPushed();
});

Deno.test("3.5 a second subscribe replaces the first", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe", kinds: ["query"] });
  await client.ask({ cmd: "subscribe", kinds: ["notify"] });
  await daemon.fill(1, { kind: "query" });
  await daemon.fill(1, { kind: "notify" });
  assertEquals((await client.pushed()).seq, 2);
  await client.expectNothingPushed();
});

Deno.test("3.5 a second subscribe in the middle of a replay starts anew, each event once", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { outbox_bytes: 65_536 } } });
  await daemon.fill(200, { payload: "x".repeat(4000) });
  const client = await daemon.v2();
  await client.send(
    { cmd: "subscribe", req_id: "first" },
    { cmd: "subscribe", req_id: "second" },
    { cmd: "status", req_id: "barrier" },
  );
  assertEquals((await client.next()).req_id, "first");
  const second: number[] = [];
  for (let replaced = false; second.length < 200;) {
    const line = await client.next();
    if (line.req_id === "second") replaced = true;
    else if (replaced && line.event === "inbound") second.push(line.seq);
  }
  assertEquals(second, range(1, 200));
});

Deno.test("3.5 no event is lost or repeated between replay and live under a stream of sends", async () => {
  await using daemon = await startTestDaemon();
  const sender = await daemon.v2("sender");
  const client = await daemon.v2();
  const send = (payload: number) => (
    { cmd: "send", req_id: `${payload}`, to: "self", kind: "notify", payload }
  );
  const sending = (async () => {
    for (let batch = 0; batch < 20; batch++) {
      await sender.send(...range(batch * 50 + 1, batch * 50 + 50).map(send));
      for (let i = 0; i < 50; i++) await sender.reply();
    }
  })();
  const { replay_to_seq } = await client.ask({ cmd: "subscribe" });
  const events = await client.pushedMany(1000);
  await sending;
  assertEquals(payloadsOf(events), range(1, 1000));
  assert(events.every((event) => event.replay === (event.seq <= replay_to_seq)));
  await client.expectNothingPushed();
});

Deno.test("3.5 version 2 without a subscription is told nothing", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await daemon.fill(2);
  await client.expectNothingPushed();
  assertEquals((await client.ask({ cmd: "inbox" })).messages.length, 2);
});

Deno.test("3.5 two subscribed connections of one consumer each get every event", async () => {
  await using daemon = await startTestDaemon();
  const one = await daemon.v2("same");
  const two = await daemon.v2("same");
  for (const client of [one, two]) await client.ask({ cmd: "subscribe" });
  await daemon.fill(3);
  for (const client of [one, two]) assertEquals(seqsOf(await client.pushedMany(3)), [1, 2, 3]);
});

Deno.test("3.5 unacked events are replayed on the next connection", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(2);
  {
    using client = await daemon.v2("worker");
    await client.ask({ cmd: "subscribe" });
    await client.pushedMany(2);
    await client.ask({ cmd: "ack", up_to_seq: 1 });
  }
  const again = await daemon.v2("worker");
  assertEquals((await again.ask({ cmd: "subscribe" })).replayed, 1);
  assertEquals((await again.pushed()).seq, 2);
});

Deno.test("axon.md: the subscribe reply precedes its events", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(10);
  const client = await daemon.v2();
  await client.send({ cmd: "subscribe", req_id: "s" });
  assertEquals((await client.next()).req_id, "s");
  assertEquals((await client.next()).event, "inbound");
});

Deno.test("3.6 among events every line is one whole object, every response has its req_id, in order", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe" });
  const ids = range(1, 500).map(String);
  const text = "line\nbreak \u2028 ".repeat(20);
  await client.send(...ids.map((req_id) => (
    { cmd: "send", req_id, to: "self", kind: "notify", payload: { req_id, text } }
  )));
  const { replies, events } = await collect(client, 500, 500);
  assertEquals(replies.map((reply) => reply.req_id), ids);
  assertEquals(events.map((event) => event.envelope.payload.req_id), ids);
  assert(events.every((event) => !("ok" in event) && !("req_id" in event)));
  assert(replies.every((reply) => !("event" in reply)));
});

Deno.test("3.6 requests are answered while a long replay is under way", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(300, { payload: "x".repeat(8000) });
  const client = await daemon.v2();
  await client.send({ cmd: "subscribe", req_id: "s" }, { cmd: "status", req_id: "t" });
  const { replies, events } = await collect(client, 2, 300);
  assertEquals(replies.map((reply) => reply.req_id), ["s", "t"]);
  assertEquals(seqsOf(events), range(1, 300));
});

Deno.test("axon.md: a reader that stops reading loses nothing and delays nobody", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { outbox_bytes: 65_536 } } });
  const slow = await daemon.v2("slow");
  const brisk = await daemon.v2("brisk");
  for (const client of [slow, brisk]) await client.ask({ cmd: "subscribe" });
  await daemon.fill(500, { payload: "x".repeat(4000) });
  assertEquals(seqsOf(await brisk.pushedMany(500)), range(1, 500));
  assertEquals(seqsOf(await slow.pushedMany(500)), range(1, 500));
});

Deno.test("axon.md: a reader overtaken by retention is told the lost range, once, and goes on", async () => {
  await using daemon = await startTestDaemon({
    config: { ipc: { buffer_size: 50 }, limits: { outbox_bytes: 65_536 } },
  });
  const slow = await daemon.v2();
  await slow.ask({ cmd: "subscribe" });
  await daemon.fill(600, { payload: "x".repeat(8000) });
  const seen: number[] = [];
  let gaps = 0;
  while (seen.at(-1) !== 600) {
    const event = await slow.pushed();
    if (event.gap !== undefined) {
      assertEquals(event.gap, { from_seq: (seen.at(-1) ?? 0) + 1, to_seq: event.seq - 1 });
      gaps++;
    } else assertEquals(event.seq, (seen.at(-1) ?? 0) + 1);
    seen.push(event.seq);
  }
  assertGreater(gaps, 0);
});

Deno.test("axon.md: on a stop subscriptions end and connections close", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe" });
  await daemon.stop();
  await client.untilClosed();
});

/** Reads until so many replies and events came, in whatever order. */
async function collect(client: RawClient, replyCount: number, eventCount: number) {
  const replies: Line[] = [];
  const events: Line[] = [];
  while (replies.length < replyCount || events.length < eventCount) {
    const line = await client.next();
    (line.event === undefined ? replies : events).push(line);
  }
  return { replies, events };
}
