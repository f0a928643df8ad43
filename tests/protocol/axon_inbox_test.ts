/** AXON, section 3.3: inbox, its limit and filters, and what it says when there is nothing. */

import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import { expectError, payloadsOf, range, seqsOf } from "../support/expect.ts";

const EMPTY = { ok: true, req_id: "4", messages: [], next_seq: null, has_more: false };

Deno.test("3.3 an empty buffer answers no messages, next_seq null and has_more false", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  assertEquals(await client.ask({ cmd: "inbox", req_id: "4" }), EMPTY);
});

Deno.test("3.3 everything acknowledged answers the same as an empty buffer", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const client = await daemon.v2();
  await client.ask({ cmd: "inbox" });
  await client.ask({ cmd: "ack", up_to_seq: 3 });
  assertEquals(await client.ask({ cmd: "inbox", req_id: "4" }), EMPTY);
});

Deno.test("3.3 messages come oldest first, and next_seq is the highest returned", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(5);
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "inbox" });
  assertEquals(Object.keys(reply).sort(), ["has_more", "messages", "next_seq", "ok", "req_id"]);
  assertEquals(seqsOf(reply.messages), range(1, 5));
  assertEquals([reply.next_seq, reply.has_more], [5, false]);
  const times = reply.messages.map((message: { buffered_at_ms: number }) => message.buffered_at_ms);
  assertEquals(times, times.toSorted());
});

Deno.test("3.3 inbox returns what is behind acked_seq, and alone acknowledges nothing", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(4);
  const client = await daemon.v2();
  const first = await client.ask({ cmd: "inbox" });
  const second = await client.ask({ cmd: "inbox" });
  assertEquals(second.messages, first.messages);
  await client.ask({ cmd: "ack", up_to_seq: 2 });
  assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), [3, 4]);
});

Deno.test("3.3 the default limit is 50, and has_more says that there is more", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(51);
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "inbox" });
  assertEquals([reply.messages.length, reply.next_seq, reply.has_more], [50, 50, true]);
  await client.ask({ cmd: "ack", up_to_seq: 1 });
  const rest = await client.ask({ cmd: "inbox" });
  assertEquals([rest.messages.length, rest.next_seq, rest.has_more], [50, 51, false]);
});

Deno.test("3.3 limit is 1 to 1000", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await client.send(
    ...range(1, 1001).map((payload) => (
      { cmd: "send", req_id: `${payload}`, to: "self", kind: "notify", payload }
    )),
  );
  for (let i = 1; i <= 1001; i++) assertEquals((await client.reply()).ok, true);
  for (const limit of [1, 2, 999, 1000]) {
    const reply = await client.ask({ cmd: "inbox", limit });
    assertEquals([reply.messages.length, reply.next_seq, reply.has_more], [limit, limit, true]);
  }
  for (const limit of [0, -1, 1001, 1.5, "5", null, true, [], 2 ** 53]) {
    expectError(await client.ask({ cmd: "inbox", limit }), "invalid_command");
  }
});

Deno.test("3.3 kinds selects by the envelope's kind", async () => {
  await using daemon = await startTestDaemon();
  for (const kind of ["query", "notify", "delegate", "query"]) await daemon.fill(1, { kind });
  const client = await daemon.v2();
  const queries = await client.ask({ cmd: "inbox", kinds: ["query"] });
  assertEquals([seqsOf(queries.messages), queries.next_seq], [[1, 4], 4]);
  const both = await client.ask({ cmd: "inbox", kinds: ["delegate", "query", "query"] });
  assertEquals(seqsOf(both.messages), [1, 3, 4]);
  const none = await client.ask({ cmd: "inbox", req_id: "4", kinds: ["cancel"] });
  assertEquals(none, EMPTY);
});

Deno.test("3.3 an empty list of kinds or topics lets nothing through", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(2, { topic: "a" });
  const client = await daemon.v2();
  assertEquals((await client.ask({ cmd: "inbox", kinds: [] })).messages, []);
  assertEquals((await client.ask({ cmd: "inbox", topics: [] })).messages, []);
});

Deno.test("3.3 has_more counts what the filter lets through", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3, { kind: "query" });
  await daemon.fill(200, { kind: "notify" });
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "inbox", limit: 3, kinds: ["query"] });
  assertEquals([seqsOf(reply.messages), reply.has_more], [[1, 2, 3], false]);
  assertEquals((await client.ask({ cmd: "inbox", limit: 2, kinds: ["query"] })).has_more, true);
});

Deno.test("3.3 an unknown kind in the filter is invalid_command", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const wrong = [["query", "nonsense"], [""], ["Query"], ["toString"], [1], [null], "query", {}, 1];
  for (const kinds of wrong) {
    expectError(await client.ask({ cmd: "inbox", kinds }), "invalid_command");
  }
});

Deno.test("axon.md: topics selects by pattern: * is one segment, a last > is the rest", async () => {
  await using daemon = await startTestDaemon();
  const topics = ["build.a.done", "build.b.done", "build.a.b.done", "build", "agent.x", "agent"];
  for (const topic of topics) await daemon.fill(1, { topic });
  await daemon.fill(1);
  const client = await daemon.v2();
  const found = async (...patterns: string[]) =>
    seqsOf((await client.ask({ cmd: "inbox", topics: patterns })).messages);
  assertEquals(await found("build.*.done"), [1, 2]);
  assertEquals(await found("build.>"), [1, 2, 3]);
  assertEquals(await found("build"), [4]);
  assertEquals(await found("*"), [4, 6]);
  assertEquals(await found(">"), range(1, 6), "a message without a topic matches no pattern");
  assertEquals(await found("agent.>", "build"), [4, 5]);
  assertEquals(await found("*.*"), [5]);
  assertEquals(await found("Build"), []);
});

Deno.test("axon.md: a topic pattern of another form is invalid_command", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const wrong = ["", "a..b", "a.", ">.a", "a.>.b", "a*", "a.b>", "é", "t".repeat(257), 1, null];
  for (const pattern of wrong) {
    expectError(await client.ask({ cmd: "inbox", topics: [pattern] }), "invalid_command");
  }
  expectError(await client.ask({ cmd: "inbox", topics: "a" }), "invalid_command");
});

Deno.test("axon.md: kinds and topics must both match", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(1, { kind: "query", topic: "a.b" });
  await daemon.fill(1, { kind: "notify", topic: "a.b" });
  await daemon.fill(1, { kind: "query", topic: "c" });
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "inbox", kinds: ["query"], topics: ["a.>"] });
  assertEquals(seqsOf(reply.messages), [1]);
});

Deno.test("axon.md: a reply stops before 1 MiB and says has_more", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(4, { payload: "x".repeat(300 * 1024) });
  const client = await daemon.v2();
  await client.send({ cmd: "inbox", req_id: "i" });
  const text = await client.text();
  assertLess(text.length, 1024 * 1024);
  const { messages, next_seq, has_more } = JSON.parse(text);
  assertEquals([seqsOf(messages), next_seq, has_more], [[1, 2, 3], 3, true]);
  await client.ask({ cmd: "ack", up_to_seq: 3 });
  assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), [4]);
});

Deno.test("axon.md: a reply has at least one message, however large", async () => {
  await using daemon = await startTestDaemon();
  const payload = "x".repeat(1024 * 1024 - 200);
  await daemon.fill(2, { payload });
  const client = await daemon.v2();
  for (const seq of [1, 2]) {
    const { messages, has_more } = await client.ask({ cmd: "inbox" });
    assertEquals([seqsOf(messages), has_more], [[seq], seq === 1]);
    assert(payloadsOf(messages)[0] === payload);
    await client.ask({ cmd: "ack", up_to_seq: seq });
  }
});

Deno.test("axon.md: messages beyond the size of one stored value come back whole after a restart", async () => {
  await using daemon = await startTestDaemon();
  const sizes = [10, 59_000, 61_440, 65_536, 65_537, 500_000, 10];
  for (const size of sizes) await daemon.fill(1, { payload: "é".repeat(size / 2) });
  await daemon.restart();
  const client = await daemon.v2();
  let seen = 0;
  for (let rounds = 0; seen < sizes.length; rounds++) {
    assertGreater(sizes.length, rounds);
    const { messages, next_seq } = await client.ask({ cmd: "inbox" });
    for (const payload of payloadsOf(messages)) {
      assert(payload === "é".repeat(sizes[seen++]! / 2));
    }
    await client.ask({ cmd: "ack", up_to_seq: next_seq });
  }
});

Deno.test("axon.md: a gap with nothing behind it can be acknowledged away", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 0 } } });
  await daemon.fill(3);
  const client = await daemon.v2();
  assertEquals((await client.ask({ cmd: "inbox" })).gap, { from_seq: 1, to_seq: 3 });
  assertEquals((await client.ask({ cmd: "ack", up_to_seq: 3 })).acked_seq, 3);
  assertEquals((await client.ask({ cmd: "inbox" })).gap, undefined);
});
