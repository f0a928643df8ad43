/** AXON, sections 3.4 and 4.3: acknowledging, and what belongs to a consumer. */

import { assertEquals } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import { expectError, range, seqsOf } from "../support/expect.ts";

Deno.test("3.4 ack moves the cursor and answers acked_seq", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const client = await daemon.v2();
  await client.ask({ cmd: "inbox" });
  const reply = await client.ask({ cmd: "ack", req_id: "5", up_to_seq: 2 });
  assertEquals(reply, { ok: true, req_id: "5", acked_seq: 2 });
  assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), [3]);
});

Deno.test("3.4 what was never delivered to the consumer is ack_out_of_range", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(5);
  const client = await daemon.v2();
  expectError(await client.ask({ cmd: "ack", up_to_seq: 1 }), "ack_out_of_range");
  await client.ask({ cmd: "inbox", limit: 2 });
  expectError(await client.ask({ cmd: "ack", up_to_seq: 3 }), "ack_out_of_range");
  expectError(await client.ask({ cmd: "ack", up_to_seq: 6 }), "ack_out_of_range");
  assertEquals((await client.ask({ cmd: "ack", up_to_seq: 2 })).acked_seq, 2);
});

Deno.test("3.4 a refused ack moves nothing", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(2);
  const client = await daemon.v2();
  await client.ask({ cmd: "inbox", limit: 1 });
  await client.ask({ cmd: "ack", up_to_seq: 2 });
  assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), [1, 2]);
});

Deno.test("3.4 delivery by subscribe counts", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(2);
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe" });
  await client.pushedMany(2);
  assertEquals((await client.ask({ cmd: "ack", up_to_seq: 2 })).acked_seq, 2);
  await daemon.fill(1);
  await client.pushed();
  assertEquals((await client.ask({ cmd: "ack", up_to_seq: 3 })).acked_seq, 3);
});

Deno.test("3.4 delivery to another consumer does not count", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(2);
  const reader = await daemon.v2("reader");
  await reader.ask({ cmd: "inbox" });
  const other = await daemon.v2("other");
  expectError(await other.ask({ cmd: "ack", up_to_seq: 1 }), "ack_out_of_range");
});

Deno.test("3.4 what a filter held back beyond the last delivered is ack_out_of_range", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(1, { kind: "query" });
  await daemon.fill(1, { kind: "notify" });
  const client = await daemon.v2();
  await client.ask({ cmd: "inbox", kinds: ["query"] });
  expectError(await client.ask({ cmd: "ack", up_to_seq: 2 }), "ack_out_of_range");
  assertEquals((await client.ask({ cmd: "ack", up_to_seq: 1 })).acked_seq, 1);
});

Deno.test("axon.md: an ack at or below acked_seq changes nothing and answers acked_seq", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const client = await daemon.v2();
  assertEquals((await client.ask({ cmd: "ack", up_to_seq: 0 })).acked_seq, 0);
  await client.ask({ cmd: "inbox" });
  await client.ask({ cmd: "ack", up_to_seq: 2 });
  for (const up_to_seq of [2, 1, 0]) {
    assertEquals((await client.ask({ cmd: "ack", up_to_seq })).acked_seq, 2);
  }
  assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), [3]);
});

Deno.test("3.4 up_to_seq must be an integer that is not negative", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  for (const up_to_seq of [undefined, null, "1", 1.5, -1, true, [1], {}]) {
    expectError(await client.ask({ cmd: "ack", up_to_seq }), "invalid_command");
  }
});

Deno.test("4.3 a consumer starts at acked_seq 0 and sees everything buffered", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const client = await daemon.v2("fresh");
  assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), [1, 2, 3]);
});

Deno.test("4.3 ack advances one consumer only, and deletes nothing for the others", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const one = await daemon.v2("one");
  const two = await daemon.v2("two");
  await one.ask({ cmd: "inbox" });
  await one.ask({ cmd: "ack", up_to_seq: 3 });
  assertEquals(seqsOf((await two.ask({ cmd: "inbox" })).messages), [1, 2, 3]);
});

Deno.test("4.3 two connections of one consumer share its cursor", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const one = await daemon.v2("shared");
  const two = await daemon.v2("shared");
  await one.ask({ cmd: "inbox" });
  assertEquals((await two.ask({ cmd: "ack", up_to_seq: 2 })).acked_seq, 2);
  assertEquals(seqsOf((await one.ask({ cmd: "inbox" })).messages), [3]);
});

Deno.test("4.3 consumers with names that a program might trip over are ordinary", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(1);
  for (const consumer of ["__proto__", "constructor", "toString", "a/b", "..", "a:b", " "]) {
    const client = await daemon.v2(consumer);
    assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), [1], consumer);
    assertEquals((await client.ask({ cmd: "ack", up_to_seq: 1 })).acked_seq, 1);
    assertEquals((await client.ask({ cmd: "inbox" })).messages, []);
  }
});

Deno.test("axon.md: a consumer gets an unacked event again after disconnect", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  {
    using client = await daemon.v2("worker");
    await client.ask({ cmd: "inbox" });
    await client.ask({ cmd: "ack", up_to_seq: 1 });
  }
  const again = await daemon.v2("worker");
  assertEquals(seqsOf((await again.ask({ cmd: "inbox" })).messages), [2, 3]);
});

Deno.test("axon.md: a cursor is kept across restarts", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(5);
  const client = await daemon.v2("worker");
  await client.ask({ cmd: "inbox" });
  await client.ask({ cmd: "ack", up_to_seq: 3 });
  await daemon.restart();
  const again = await daemon.v2("worker");
  assertEquals(seqsOf((await again.ask({ cmd: "inbox" })).messages), [4, 5]);
});

Deno.test("axon.md: what was delivered before a restart may be acked after it", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(5);
  const client = await daemon.v2("worker");
  await client.ask({ cmd: "inbox" });
  await daemon.restart();
  const again = await daemon.v2("worker");
  assertEquals((await again.ask({ cmd: "ack", up_to_seq: 5 })).acked_seq, 5);
});

Deno.test("3.4 what was not delivered before a stop in order is ack_out_of_range after it", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(5);
  const client = await daemon.v2("worker");
  await client.ask({ cmd: "inbox", limit: 2 });
  await daemon.restart();
  const again = await daemon.v2("worker");
  expectError(await again.ask({ cmd: "ack", up_to_seq: 3 }), "ack_out_of_range");
  assertEquals((await again.ask({ cmd: "ack", up_to_seq: 2 })).acked_seq, 2);
});

Deno.test("axon.md: pipelined inbox and acks take effect in their order", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const client = await daemon.v2();
  await client.send(
    { cmd: "inbox", req_id: "1", limit: 2 },
    { cmd: "ack", req_id: "2", up_to_seq: 2 },
    { cmd: "inbox", req_id: "3" },
    { cmd: "ack", req_id: "4", up_to_seq: 3 },
    { cmd: "inbox", req_id: "5" },
  );
  const replies = [];
  for (const _ of range(1, 5)) replies.push(await client.reply());
  assertEquals(replies.map((reply) => reply.req_id), ["1", "2", "3", "4", "5"]);
  assertEquals(seqsOf(replies[2]!.messages), [3]);
  assertEquals(replies[4]!.messages, []);
});
