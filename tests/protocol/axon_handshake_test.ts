/**
 * AXON, sections 1.2 and 1.3: the handshake, negotiation, and how replies find their requests.
 *
 * Each test is named after the section of the specification whose sentence it holds to, or after
 * docs/protocol/axon.md where that page says more than the specification.
 */

import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import { expectError } from "../support/expect.ts";

Deno.test("1.2 a hello is answered with exactly the fields of the specification, and the epoch", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  const reply = await client.ask({ cmd: "hello", req_id: "1", version: 2, consumer: "default" });
  assertEquals(reply, {
    ok: true,
    req_id: "1",
    version: 2,
    daemon_max_version: 2,
    agent_id: daemon.agentId,
    features: ["buffer", "subscribe", "auth"],
    epoch: daemon.epoch,
  });
  assertMatch(reply.agent_id, /^ed25519\.[0-9a-f]{32}$/);
});

Deno.test("1.2 the version is the smaller of the client's and the daemon's", async () => {
  await using daemon = await startTestDaemon();
  for (const [offered, negotiated] of [[1, 1], [2, 2], [3, 2], [1_000_000, 2]]) {
    const client = await daemon.connect();
    const reply = await client.ask({ cmd: "hello", version: offered });
    assertEquals([reply.ok, reply.version, reply.daemon_max_version], [true, negotiated, 2]);
  }
});

Deno.test("1.2 a hello without an integer version is invalid_command", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  for (const version of [undefined, null, "2", 1.5, true, [2], {}]) {
    expectError(await client.ask({ cmd: "hello", version }), "invalid_command");
  }
  assertEquals((await client.hello()).ok, true, "a later hello is still welcome");
});

Deno.test("1.2 a hello that offers no version the daemon accepts is refused", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  for (const version of [0, -1, -2]) {
    const reply = await client.ask({ cmd: "hello", version });
    assertEquals(reply.ok, false);
    assertMatch(reply.error, /^(invalid_command|unsupported_version)$/);
  }
});

Deno.test("1.2 without a consumer name the consumer is default", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const unnamed = await daemon.v2();
  await unnamed.ask({ cmd: "inbox" });
  await unnamed.ask({ cmd: "ack", up_to_seq: 2 });
  const named = await daemon.v2("default");
  assertEquals((await named.ask({ cmd: "inbox" })).next_seq, 3);
  assertEquals((await named.ask({ cmd: "inbox" })).messages.length, 1);
});

Deno.test("1.2 a consumer name has 1 to 64 bytes of UTF-8 and no control characters", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  for (const consumer of ["a", "x".repeat(64), "é".repeat(32), "with space", "日本語"]) {
    assertEquals((await client.ask({ cmd: "hello", version: 2, consumer })).ok, true, consumer);
  }
  const refused = [
    "",
    "x".repeat(65),
    "é".repeat(33),
    "a\nb",
    "a\u0000",
    "\u007f",
    "\ud800",
    7,
    null,
    {},
    [],
  ];
  for (const consumer of refused) {
    expectError(await client.ask({ cmd: "hello", version: 2, consumer }), "invalid_command");
  }
});

Deno.test("1.2 a client that skips hello may use every v1 command without authentication", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  const send = { cmd: "send", to: "self", kind: "notify", payload: {} };
  for (const request of [{ cmd: "status" }, { cmd: "peers" }, send]) {
    assertEquals((await client.askBare(request)).ok, true, request.cmd);
  }
});

for (const cmd of ["whoami", "inbox", "ack", "subscribe"]) {
  Deno.test(`1.2 ${cmd} without a hello is hello_required`, async () => {
    await using daemon = await startTestDaemon();
    const client = await daemon.connect();
    expectError(await client.askBare({ cmd, up_to_seq: 1 }), "hello_required");
    assertEquals((await client.askBare({ cmd: "status" })).ok, true, "the connection goes on");
  });
}

Deno.test("1.2 the semantics of the connection follow the negotiated version", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.ask({ cmd: "hello", version: 1 });
  assertEquals((await client.askBare({ cmd: "peers" })).ok, true, "version 1 needs no token");
  await client.ask({ cmd: "hello", version: 2 });
  expectError(await client.ask({ cmd: "peers" }), "auth_required");
});

Deno.test("1.2 a second hello replaces version and consumer, and keeps the authentication", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(2);
  const client = await daemon.v2("first");
  await client.ask({ cmd: "inbox" });
  await client.ask({ cmd: "ack", up_to_seq: 2 });
  assertEquals((await client.ask({ cmd: "hello", version: 2, consumer: "second" })).ok, true);
  assertEquals((await client.ask({ cmd: "inbox" })).messages.length, 2);
});

Deno.test("1.2 a second hello ends the subscription of the first", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await client.ask({ cmd: "subscribe" });
  await client.hello("other");
  await daemon.fill(1);
  await client.expectNothingPushed();
});

Deno.test("1.2 a hello that is refused changes nothing", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2("kept");
  await client.ask({ cmd: "subscribe" });
  expectError(await client.ask({ cmd: "hello", version: "two" }), "invalid_command");
  const [seq] = await daemon.fill(1);
  assertEquals((await client.pushed()).seq, seq);
});

Deno.test("1.3 every command of version 2 must carry a req_id", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const commands = [
    { cmd: "status" },
    { cmd: "whoami" },
    { cmd: "peers" },
    { cmd: "inbox" },
    { cmd: "ack", up_to_seq: 0 },
    { cmd: "subscribe" },
    { cmd: "auth", token: daemon.token },
    { cmd: "send", to: "self", kind: "notify", payload: {} },
    { cmd: "event.read", after: 0 },
  ];
  for (const command of commands) {
    const reply = await client.askBare(command);
    expectError(reply, "invalid_command");
    assertEquals("req_id" in reply, false, command.cmd);
  }
  assertEquals((await client.ask({ cmd: "inbox" })).messages, [], "none of them had an effect");
});

Deno.test("1.3 a req_id that is no string is invalid_command", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  for (const req_id of [1, null, true, {}, ["a"]]) {
    const reply = await client.askBare({ cmd: "status", req_id });
    expectError(reply, "invalid_command");
    assertEquals("req_id" in reply, false);
  }
});

Deno.test("1.3 every reply carries the req_id of its request, errors too", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const ids = ["", "1", "same", "same", 'a\u0000\u001f"\\', "日本語 🚪", "x".repeat(1000)];
  for (const req_id of ids) {
    assertEquals((await client.ask({ cmd: "status", req_id })).req_id, req_id);
    assertEquals((await client.ask({ cmd: "inbox", limit: 0, req_id })).req_id, req_id);
    assertEquals((await client.ask({ cmd: "no such thing", req_id })).req_id, req_id);
  }
});

Deno.test("1.3 hello may omit req_id, and is echoed when it does not", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  assertEquals("req_id" in await client.askBare({ cmd: "hello", version: 2 }), false);
  assertEquals((await client.askBare({ cmd: "hello", req_id: "h", version: 2 })).req_id, "h");
  assertEquals((await client.askBare({ cmd: "hello", req_id: "e", version: "x" })).req_id, "e");
});

Deno.test("6 two daemons have two identities, tokens and logs", async () => {
  await using one = await startTestDaemon();
  await using other = await startTestDaemon();
  assertNotEquals(one.agentId, other.agentId);
  assertNotEquals(one.token, other.token);
  assertNotEquals(one.epoch, other.epoch);
  await one.fill(2);
  const client = await other.v2();
  assertEquals((await client.ask({ cmd: "inbox" })).messages, []);
});

Deno.test("6 an identity outlives the daemon that made it", async () => {
  await using daemon = await startTestDaemon();
  const before = [daemon.agentId, daemon.token, daemon.epoch];
  await daemon.restart();
  assertEquals([daemon.agentId, daemon.token, daemon.epoch], before);
});
