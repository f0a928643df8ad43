/** AXON version 1 as sections 3.5, 5 and 7 describe it: no hello, no token, legacy broadcast. */

import { assert, assertEquals, assertGreater } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import { expectError, payloadsOf, range } from "../support/expect.ts";

Deno.test("3.5 every inbound message is pushed to every v1 connection", async () => {
  await using daemon = await startTestDaemon();
  const listeners = [await daemon.v1(), await daemon.v1(), await daemon.v1()];
  await daemon.fill(20);
  for (const listener of listeners) {
    assertEquals(payloadsOf(await listener.pushedMany(20)), range(1, 20));
    await listener.expectNothingPushed();
  }
});

Deno.test("axon.md: a v1 push has exactly inbound and envelope", async () => {
  await using daemon = await startTestDaemon();
  const listener = await daemon.v1();
  await daemon.fill(1, { topic: "a.b" });
  const { envelope, ...rest } = await listener.pushed();
  assertEquals(rest, { inbound: true });
  assertEquals([envelope.payload, envelope.topic, envelope.to], [1, "a.b", daemon.agentId]);
});

Deno.test("3.5 a v1 sender hears its own message, too, even one that it begins with", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  const sent = await client.askBare({ cmd: "send", to: "self", kind: "notify", payload: 7 });
  const { envelope } = await client.pushed();
  assertEquals([envelope.id, envelope.payload], [sent.msg_id, 7]);
});

Deno.test("3.5 hello with version 1 makes a v1 listener", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  assertEquals((await client.askBare({ cmd: "hello", version: 1 })).version, 1);
  await daemon.fill(1);
  assertEquals((await client.pushed()).inbound, true);
});

Deno.test("axon.md: a connection that says nothing becomes a v1 listener after hello_timeout_ms", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { hello_timeout_ms: 50 } } });
  const client = await daemon.connect();
  const sender = await daemon.v2();
  const stop = new AbortController();
  const heard = client.pushed().finally(() => stop.abort());
  while (!stop.signal.aborted) {
    await sender.ask({ cmd: "send", to: "self", kind: "notify", payload: {} });
  }
  assertEquals((await heard).inbound, true);
});

Deno.test("axon.md: such a listener may still say hello", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { hello_timeout_ms: 50 } } });
  const client = await daemon.connect();
  const sender = await daemon.v2();
  const stop = new AbortController();
  const heard = client.pushed().finally(() => stop.abort());
  while (!stop.signal.aborted) {
    await sender.ask({ cmd: "send", to: "self", kind: "notify", payload: {} });
  }
  await heard;
  assertEquals((await client.hello()).version, 2);
});

Deno.test("axon.md: a connection is told nothing before its first line", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await daemon.fill(3);
  await client.expectNothingPushed();
});

Deno.test("axon.md: a ping makes no v1 listener, a v1 command does", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.askBare({ cmd: "system.ping" });
  await daemon.fill(1);
  await client.expectNothingPushed();
  await daemon.fill(1);
  assertEquals((await client.pushed()).inbound, true);
});

Deno.test("3.5 a v2 connection never receives the legacy broadcast", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const bare = await daemon.connect();
  await bare.hello();
  await client.ask({ cmd: "subscribe", kinds: ["query"] });
  await daemon.fill(1, { kind: "notify" });
  await daemon.fill(1, { kind: "query" });
  assertEquals((await client.pushed()).event, "inbound");
  await client.expectNothingPushed();
  await bare.expectNothingPushed();
});

Deno.test("3.5 a v1 connection that negotiates version 2 leaves the broadcast", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v1();
  await client.hello();
  await daemon.fill(1);
  await client.expectNothingPushed();
});

Deno.test("3.5 a v2 connection that negotiates version 1 joins it, and its subscription ends", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe" });
  await client.ask({ cmd: "hello", version: 1 });
  await daemon.fill(1);
  assertEquals((await client.pushed()).inbound, true);
  await client.expectNothingPushed();
});

Deno.test("5 a v1 reply carries no req_id, errors neither", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  for (const cmd of ["status", "peers", "send", "inbox", "nonsense"]) {
    assertEquals("req_id" in await client.askBare({ cmd }), false, cmd);
  }
});

Deno.test("axon.md: a v1 reply carries the req_id that the request had", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  for (const cmd of ["status", "peers", "send", "inbox", "nonsense"]) {
    assertEquals((await client.askBare({ cmd, req_id: "mine" })).req_id, "mine", cmd);
  }
});

Deno.test("axon.md: the new commands need version 2", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.askBare({ cmd: "auth", token: daemon.token });
  const commands = [
    "event.send",
    "event.inbox",
    "event.read",
    "consumer.list",
    "system.operations",
  ];
  for (const cmd of commands) expectError(await client.askBare({ cmd }), "hello_required");
});

Deno.test("axon.md: a slow v1 listener is told what it lost in its next line", async () => {
  await using daemon = await startTestDaemon({
    config: { ipc: { buffer_size: 50 }, limits: { outbox_bytes: 65_536 } },
  });
  const slow = await daemon.v1();
  await daemon.fill(600, { payload: "x".repeat(8000) });
  let lost = 0;
  for (let seen = 1; seen + lost <= 600; seen++) {
    const { inbound, gap } = await slow.pushed();
    assertEquals(inbound, true);
    if (gap === undefined) continue;
    assertEquals(gap.from_seq, seen + lost, "the gap begins behind the last one told");
    lost += gap.to_seq - gap.from_seq + 1;
  }
  assertGreater(lost, 0);
  await slow.expectNothingPushed();
});

Deno.test("axon.md: a v1 listener that stops reading loses nothing that the log still has", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { outbox_bytes: 65_536 } } });
  const slow = await daemon.v1();
  const brisk = await daemon.v1();
  await daemon.fill(300, { payload: "x".repeat(8000) });
  for (const listener of [brisk, slow]) {
    assert((await listener.pushedMany(300)).every((line) => !("gap" in line)));
    await listener.expectNothingPushed();
  }
});
