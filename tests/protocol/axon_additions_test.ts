/** What axon.md adds to AXON: every operation by its own name, and the few with a shape of their own. */

import { assert, assertEquals } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import { expectError, expectUuid, payloadsOf, range, seqsOf } from "../support/expect.ts";

const EVENT = { kind: "notify", payload: {} };

Deno.test("axon.md: system.ping and system.status need neither hello nor token", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  const pong = await client.askBare({ cmd: "system.ping", req_id: "p" });
  assertEquals([pong.ok, pong.req_id, pong.pong], [true, "p", true]);
  assert(Math.abs(pong.timestamp - Date.now()) < 60_000);
  assertEquals((await client.askBare({ cmd: "system.status" })).ok, true);
});

Deno.test("axon.md: system.hello and auth.login are operations in this dialect, too", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  const hello = await client.askBare({ cmd: "system.hello", version: 2 });
  assertEquals([hello.ok, hello.epoch, hello.agent_id], [true, daemon.epoch, daemon.agentId]);
  await client.hello();
  const login = await client.ask({ cmd: "auth.login", token: daemon.token });
  assertEquals(login.scopes, ["read", "send", "write", "serve", "admin"]);
  assertEquals((await client.ask({ cmd: "inbox" })).ok, true);
});

Deno.test("axon.md: every operation of the registry can be asked for by its name", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const { operations } = await client.ask({ cmd: "system.operations" });
  const names = operations.map((operation: { name: string }) => operation.name);
  for (const name of ["system.ping", "auth.login", "event.send", "event.read", "consumer.list"]) {
    assert(names.includes(name), name);
  }
  for (const name of names) {
    if (name === "system.shutdown") continue;
    const reply = await client.ask({ cmd: name, req_id: name });
    assertEquals(reply.req_id, name);
    if (!reply.ok) assert(!String(reply.message).includes("unknown"), JSON.stringify(reply));
  }
});

Deno.test("axon.md: no result has a field that the dialect needs itself", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(1);
  const client = await daemon.v2();
  const requests = ["system.ping", "system.status", "system.whoami", "consumer.list", "peer.list"];
  for (const cmd of requests) {
    const { ok, req_id, ...result } = await client.ask({ cmd, req_id: "q" });
    assertEquals([ok, req_id], [true, "q"], cmd);
    for (const field of ["error", "message", "event", "inbound", "result", "gap"]) {
      assertEquals(field in result, false, `${cmd} ${field}`);
    }
  }
});

Deno.test("axon.md: event.send to itself needs no to", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const sent = await client.ask({ cmd: "event.send", ...EVENT });
  assertEquals(Object.keys(sent).sort(), ["msg_id", "ok", "req_id", "seq"]);
  assertEquals((await client.ask({ cmd: "event.send", ...EVENT, to: "self" })).seq, sent.seq + 1);
});

Deno.test("axon.md: event.send with events appends all of them, next to each other", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const events = range(1, 5).map((payload) => ({ kind: "query", topic: `t.${payload}`, payload }));
  const sent = await client.ask({ cmd: "event.send", events });
  assertEquals([sent.ok, sent.seq, seqsOf(sent.events)], [true, 5, range(1, 5)]);
  const ids = sent.events.map((event: { msg_id: string }) => event.msg_id);
  for (const id of ids) expectUuid(id);
  assertEquals(sent.msg_id, ids[4]);
  const { messages } = await client.ask({ cmd: "inbox" });
  assertEquals(payloadsOf(messages), range(1, 5));
  assertEquals(messages.map((message: { envelope: { id: string } }) => message.envelope.id), ids);
});

Deno.test("axon.md: in a batch a known dedup_key answers the first event, and the others are appended", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const first = await client.ask({ cmd: "event.send", ...EVENT, dedup_key: "k" });
  const events = [EVENT, { ...EVENT, dedup_key: "k" }, EVENT];
  const sent = await client.ask({ cmd: "event.send", events });
  assertEquals(seqsOf(sent.events), [2, 1, 3]);
  assertEquals(sent.events[1], { msg_id: first.msg_id, seq: 1, duplicate: true });
  assertEquals((await client.ask({ cmd: "inbox" })).messages.length, 3);
});

Deno.test("axon.md: event.send with events appends all or none", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const wrong = [
    { ...EVENT, kind: "nonsense" },
    { kind: "notify" },
    { ...EVENT, topic: "a..b" },
    { ...EVENT, topic: "lease.x" },
    7,
  ];
  for (const event of wrong) {
    const reply = await client.ask({ cmd: "event.send", events: [EVENT, event, EVENT] });
    assertEquals(reply.ok, false, JSON.stringify(event));
  }
  assertEquals((await client.ask({ cmd: "inbox" })).messages, []);
});

Deno.test("axon.md: event.send takes batches of up to 512 KiB, and no larger ones", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const of = (kib: number) => range(1, kib).map(() => ({ ...EVENT, payload: "x".repeat(800) }));
  assertEquals((await client.ask({ cmd: "event.send", events: of(400) })).seq, 400);
  expectError(await client.ask({ cmd: "event.send", events: of(700) }), "invalid_command");
  expectError(await client.ask({ cmd: "event.send", events: [] }), "invalid_command");
  assertEquals((await client.ask({ cmd: "event.send", ...EVENT })).seq, 401);
});

Deno.test("axon.md: event.inbox and event.ack are inbox and ack", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const client = await daemon.v2("mine");
  const spec = await client.ask({ cmd: "inbox", req_id: "x" });
  assertEquals(await client.ask({ cmd: "event.inbox", req_id: "x" }), spec);
  assertEquals((await client.ask({ cmd: "event.ack", up_to_seq: 2 })).acked_seq, 2);
  const other = await daemon.v2("other");
  const named = await other.ask({ cmd: "event.inbox", consumer: "mine" });
  assertEquals(seqsOf(named.messages), [3]);
  assertEquals(
    (await other.ask({ cmd: "event.ack", consumer: "mine", up_to_seq: 3 })).acked_seq,
    3,
  );
  assertEquals((await other.ask({ cmd: "inbox" })).messages.length, 3);
});

Deno.test("axon.md: event.read reads behind a seq of this log, without a consumer", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(4, { kind: "query", topic: "a.b" });
  await daemon.fill(1);
  const client = await daemon.v2();
  const first = await client.ask({ cmd: "event.read", after: 1, limit: 2 });
  assertEquals([seqsOf(first.events), first.has_more], [[2, 3], true]);
  const rest = await client.ask({ cmd: "event.read", after: 3, kinds: ["query"], topics: ["a.>"] });
  assertEquals([seqsOf(rest.events), rest.has_more], [[4], false]);
  expectError(await client.ask({ cmd: "event.read", after: 6 }), "invalid_command");
  expectError(await client.ask({ cmd: "ack", up_to_seq: 1 }), "ack_out_of_range");
});

Deno.test("axon.md: event.read says which seqs retention took", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 5 } } });
  await daemon.fill(10);
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "event.read", after: 2 });
  assertEquals([seqsOf(reply.events), reply.gap], [range(6, 10), { from_seq: 3, to_seq: 5 }]);
});

Deno.test("axon.md: event.subscribe can be ended: nothing follows its unsubscribe reply", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(2);
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "event.subscribe" });
  assertEquals([reply.replayed, reply.replay_to_seq], [2, 2]);
  assertEquals(seqsOf(await client.pushedMany(2)), [1, 2]);
  const { subscription_id } = reply;
  assertEquals((await client.ask({ cmd: "event.unsubscribe", subscription_id })).ok, true);
  await daemon.fill(2);
  await client.expectNothingPushed();
  expectError(await client.ask({ cmd: "event.unsubscribe", subscription_id }), "not_found");
});

Deno.test("axon.md: nothing of a subscription follows its unsubscribe reply, in the middle of a replay either", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(400, { payload: "x".repeat(4000) });
  const client = await daemon.v2();
  const { subscription_id } = await client.ask({ cmd: "event.subscribe" });
  await client.send({ cmd: "event.unsubscribe", req_id: "end", subscription_id });
  let line = await client.next();
  while (line.event === "inbound") line = await client.next();
  assertEquals([line.ok, line.req_id], [true, "end"]);
  await daemon.fill(3);
  await client.expectNothingPushed();
});

Deno.test("axon.md: event.subscribe starts where since says", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(5);
  const client = await daemon.v2();
  assertEquals((await client.ask({ cmd: "event.subscribe", since: 3 })).replayed, 2);
  assertEquals(seqsOf(await client.pushedMany(2)), [4, 5]);
  await client.expectNothingPushed();
});

Deno.test("axon.md: consumer.list shows each cursor and its lag; consumer.remove forgets one", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(4);
  const client = await daemon.v2("reader");
  await client.ask({ cmd: "inbox", limit: 3 });
  await client.ask({ cmd: "ack", up_to_seq: 2 });
  const { consumers } = await client.ask({ cmd: "consumer.list" });
  const reader = consumers.find((consumer: { name: string }) => consumer.name === "reader");
  assertEquals([reader.acked_seq, reader.delivered_seq, reader.lag], [2, 3, 2]);
  assertEquals((await client.ask({ cmd: "consumer.remove", consumer: "reader" })).ok, true);
  assertEquals(seqsOf((await client.ask({ cmd: "inbox" })).messages), range(1, 4));
  expectError(await client.ask({ cmd: "consumer.remove", consumer: "unheard of" }), "not_found");
});

Deno.test("axon.md: a consumer that is removed while it subscribes can acknowledge what comes then", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(2);
  const reader = await daemon.v2("reader");
  await reader.ask({ cmd: "subscribe" });
  await reader.pushedMany(2);
  const other = await daemon.v2("other");
  assertEquals((await other.ask({ cmd: "consumer.remove", consumer: "reader" })).ok, true);
  await daemon.fill(1);
  assertEquals((await reader.pushed()).seq, 3);
  assertEquals((await reader.ask({ cmd: "ack", up_to_seq: 3 })).acked_seq, 3);
  await daemon.restart();
  const again = await daemon.v2("reader");
  assertEquals((await again.ask({ cmd: "inbox" })).messages, []);
});

Deno.test("axon.md: system.whoami and peer.list are whoami and peers", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const { uptime_secs: _spec, ...spec } = await client.ask({ cmd: "whoami", req_id: "x" });
  const { uptime_secs: _own, ...own } = await client.ask({ cmd: "system.whoami", req_id: "x" });
  assertEquals(own, spec);
  assertEquals((await client.ask({ cmd: "peer.list" })).peers, []);
});

Deno.test("axon.md: system.shutdown answers, then the daemon stops in order", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await daemon.fill(1);
  assertEquals((await client.ask({ cmd: "system.shutdown" })).ok, true);
  await daemon.closed;
  assertEquals(await client.untilClosed(), []);
});
