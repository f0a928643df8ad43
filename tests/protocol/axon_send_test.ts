/**
 * AXON, section 3.1 and axon.md: the commands that were there before version 2, and whoami (3.2).
 *
 * `send` is tested for what it answers and for what readers then get; durability has its own tests.
 */

import { assert, assertEquals, assertGreaterOrEqual, assertNotEquals } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import type { RawClient } from "../support/raw_client.ts";
import { expectError, expectUuid, payloadsOf, seqsOf } from "../support/expect.ts";

const KINDS = [
  "hello",
  "ping",
  "pong",
  "query",
  "response",
  "delegate",
  "ack",
  "result",
  "notify",
  "cancel",
  "discover",
  "capabilities",
  "error",
];
const OTHER_AGENT = "ed25519." + "0".repeat(32);

Deno.test("3.1 send to self answers a msg_id and a seq, and its envelope has the wire's fields", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const before = Date.now();
  const payload = { text: "hi", list: [1, null, true] };
  const sent = await client.ask({ cmd: "send", req_id: "s", to: "self", kind: "query", payload });
  assertEquals(Object.keys(sent).sort(), ["msg_id", "ok", "req_id", "seq"]);
  expectUuid(sent.msg_id);
  const { messages: [message] } = await client.ask({ cmd: "inbox" });
  assertEquals(Object.keys(message).sort(), ["buffered_at_ms", "envelope", "seq"]);
  assertEquals(message.seq, sent.seq);
  assertGreaterOrEqual(message.buffered_at_ms, before);
  const { ts, ref = null, topic = null, ...rest } = message.envelope;
  const [v, id, from, to] = [1, sent.msg_id, daemon.agentId, daemon.agentId];
  assertEquals(rest, { v, id, from, to, kind: "query", payload });
  assertEquals([ref, topic], [null, null]);
  assert(Number.isSafeInteger(ts) && ts >= before && ts <= Date.now());
});

Deno.test("3.1 the own agent_id means self", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  await client.ask({ cmd: "send", to: daemon.agentId, kind: "notify", payload: 1 });
  assertEquals(payloadsOf((await client.ask({ cmd: "inbox" })).messages), [1]);
});

Deno.test("3.1 another id is peer_not_found, and nothing is appended", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  for (const to of [OTHER_AGENT, "nobody"]) {
    const reply = await client.ask({ cmd: "send", to, kind: "notify", payload: {} });
    expectError(reply, "peer_not_found");
  }
  assertEquals((await client.ask({ cmd: "inbox" })).messages, []);
});

Deno.test("3.1 messages_sent counts what was accepted, and no peer_not_found", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const sent = async () => (await countersOf(client))[1];
  await client.ask({ cmd: "send", to: OTHER_AGENT, kind: "notify", payload: {} });
  assertEquals(await sent(), 0);
  await client.ask({ cmd: "send", to: "self", kind: "notify", payload: {} });
  assertEquals(await sent(), 1);
  const events = [1, 2].map((payload) => ({ kind: "notify", payload }));
  await client.ask({ cmd: "event.send", events });
  assertEquals(await sent(), 3);
});

Deno.test("3.1 send without to, kind or payload is invalid_command", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const whole: Record<string, unknown> = { cmd: "send", to: "self", kind: "notify", payload: {} };
  for (const field of ["to", "kind", "payload"]) {
    const { [field]: _, ...rest } = whole;
    expectError(await client.ask(rest), "invalid_command");
  }
  for (const to of [1, null, [], {}, ""]) {
    const reply = await client.ask({ ...whole, to });
    assertEquals(reply.ok, false, `to ${JSON.stringify(to)}`);
  }
  assertEquals((await client.ask({ cmd: "inbox" })).messages, []);
});

Deno.test("axon.md: the kinds are a closed list", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  for (const kind of KINDS) {
    assertEquals((await client.ask({ cmd: "send", to: "self", kind, payload: kind })).ok, true);
  }
  for (const kind of ["event", "Notify", "notify ", "", "constructor", "__proto__", 1, null, []]) {
    const reply = await client.ask({ cmd: "send", to: "self", kind, payload: {} });
    expectError(reply, "invalid_command");
  }
  assertEquals(payloadsOf((await client.ask({ cmd: "inbox" })).messages), KINDS);
});

Deno.test("axon.md: a payload of any JSON comes back as it was", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const payloads = [null, 0, "", 'é🚪\u2028\u0000\\"', [], {}, [[1, { a: [] }]], false, 1.5e-7];
  for (const payload of payloads) {
    await client.ask({ cmd: "send", to: "self", kind: "notify", payload });
  }
  assertEquals(payloadsOf((await client.ask({ cmd: "inbox" })).messages), payloads);
});

for (const number of ["12345678901234567890", "9007199254740993", "1e999", "-1E+400", "1e-400"]) {
  Deno.test(`axon.md: the number ${number} in a payload is kept digit by digit`, async () => {
    await using daemon = await startTestDaemon();
    const client = await daemon.v2();
    const sent = await client.askText(
      `{"cmd":"send","req_id":"s","to":"self","kind":"notify","payload":{"n":${number}}}`,
    );
    assertEquals(sent.ok, true);
    await client.send({ cmd: "inbox", req_id: "i" });
    assert((await client.text()).includes(`"payload":{"n":${number}}`));
    await daemon.restart();
    const again = await daemon.v2();
    await again.send({ cmd: "subscribe", req_id: "u" });
    await again.text();
    assert((await again.text()).includes(`"payload":{"n":${number}}`));
  });
}

Deno.test("axon.md: ref and topic go into the envelope", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const first = await client.ask({ cmd: "send", to: "self", kind: "query", payload: 1 });
  const answer = { cmd: "send", to: "self", kind: "response", payload: 2, ref: first.msg_id };
  await client.ask({ ...answer, topic: "a.b-c.D_1" });
  await client.ask({ ...answer, ref: null });
  const { messages } = await client.ask({ cmd: "inbox", kinds: ["response"] });
  assertEquals([messages[0].envelope.ref, messages[0].envelope.topic], [first.msg_id, "a.b-c.D_1"]);
  assertEquals(messages[1].envelope.ref, null);
  for (const ref of [1, {}, [], true]) {
    expectError(await client.ask({ ...answer, ref }), "invalid_command");
  }
});

Deno.test("axon.md: a topic is dot-separated segments of [A-Za-z0-9_-], at most 256 bytes", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const send = { cmd: "send", to: "self", kind: "notify", payload: {} };
  for (const topic of ["a", "A-1_.b", "t".repeat(256), "a.".repeat(127) + "bc"]) {
    assertEquals((await client.ask({ ...send, topic })).ok, true, topic);
  }
  const refused = [
    "",
    ".",
    "a.",
    ".a",
    "a..b",
    "a b",
    "é",
    "a.*",
    ">",
    "a\n",
    "t".repeat(257),
    1,
    [],
  ];
  for (const topic of refused) expectError(await client.ask({ ...send, topic }), "invalid_command");
});

for (const topic of ["permission", "turn.delta", "session.x.y", "lease.a", "postern.news"]) {
  Deno.test(`axon.md: nobody but the daemon sends on the topic ${topic}: permission_denied`, async () => {
    await using daemon = await startTestDaemon();
    const client = await daemon.v2();
    const event = { kind: "notify", payload: {}, topic };
    expectError(await client.ask({ cmd: "send", to: "self", ...event }), "permission_denied");
    expectError(await client.ask({ cmd: "event.send", ...event }), "permission_denied");
    expectError(await client.ask({ cmd: "event.send", events: [event] }), "permission_denied");
    const old = await daemon.connect();
    expectError(await old.askBare({ cmd: "send", to: "self", ...event }), "permission_denied");
    const near = await client.ask({ cmd: "send", to: "self", ...event, topic: `${topic}-like.x` });
    assertEquals(near.ok, topic === "permission", "only a whole first segment is reserved");
    assertEquals((await client.ask({ cmd: "inbox" })).messages.length, near.ok ? 1 : 0);
  });
}

Deno.test("axon.md: the sender cannot name an originator or another sender", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const forged = { originator: "forged", from: OTHER_AGENT, id: "forged", ts: 1, v: 9 };
  await client.ask({ cmd: "send", to: "self", kind: "notify", payload: {}, ...forged });
  await client.ask({ cmd: "send", to: "self", kind: "notify", payload: {} });
  const { messages } = await client.ask({ cmd: "inbox" });
  for (const { envelope } of messages) {
    assertEquals([envelope.from, envelope.v], [daemon.agentId, 1]);
    assertNotEquals(envelope.originator, "forged");
    expectUuid(envelope.id);
  }
});

Deno.test("axon.md: a dedup_key answers the first msg_id and seq again, and appends nothing", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const send = { cmd: "send", to: "self", kind: "notify", dedup_key: "k".repeat(256) };
  const first = await client.ask({ ...send, payload: 1 });
  const second = await client.ask({ ...send, payload: 2 });
  assertEquals("duplicate" in first, false);
  const expected = { ok: true, msg_id: first.msg_id, seq: first.seq, duplicate: true };
  assertEquals(second, { ...expected, req_id: second.req_id });
  assertEquals(payloadsOf((await client.ask({ cmd: "inbox" })).messages), [1]);
  await daemon.restart();
  const again = await daemon.v2();
  const third = await again.ask({ ...send, payload: 3 });
  assertEquals(third, { ...expected, req_id: third.req_id }, "also after a restart");
});

Deno.test("axon.md: pipelined sends with one dedup_key append one event", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const send = { cmd: "send", to: "self", kind: "notify", payload: {}, dedup_key: "same" };
  await client.send(...["1", "2", "3"].map((req_id) => ({ ...send, req_id })));
  const replies = [await client.reply(), await client.reply(), await client.reply()];
  assertEquals(new Set(replies.map((reply) => `${reply.seq} ${reply.msg_id}`)).size, 1);
  assertEquals(replies.map((reply) => reply.duplicate), [undefined, true, true]);
  assertEquals((await client.ask({ cmd: "inbox" })).messages.length, 1);
});

Deno.test("axon.md: a dedup_key is the sender's own", async () => {
  await using daemon = await startTestDaemon();
  const send = { cmd: "send", to: "self", kind: "notify", payload: {}, dedup_key: "k" };
  const owner = await daemon.v2();
  const stranger = await daemon.connect();
  const first = await owner.ask(send);
  assertNotEquals((await stranger.askBare(send)).seq, first.seq);
  assertEquals((await (await daemon.v2()).ask(send)).seq, first.seq, "one token, one sender");
});

Deno.test("axon.md: a dedup_key is remembered as long as its event is retained", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 5 } } });
  const client = await daemon.v2();
  const send = { cmd: "send", to: "self", kind: "notify", payload: {}, dedup_key: "k" };
  assertEquals((await client.ask(send)).seq, 1);
  await daemon.fill(4);
  assertEquals((await client.ask(send)).duplicate, true);
  await daemon.fill(1);
  const again = await client.ask(send);
  assertEquals([again.seq, again.duplicate], [7, undefined]);
});

Deno.test("axon.md: a dedup_key has at most 256 bytes", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  for (const dedup_key of ["k".repeat(257), "é".repeat(129), 1, null, []]) {
    const send = { cmd: "send", to: "self", kind: "notify", payload: {}, dedup_key };
    expectError(await client.ask(send), "invalid_command");
  }
});

Deno.test("axon.md: ttl_secs is a number above 0", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  for (const ttl_secs of [0, -1, "60", true, [], {}]) {
    const send = { cmd: "send", to: "self", kind: "notify", payload: {}, ttl_secs };
    expectError(await client.ask(send), "invalid_command");
  }
  const long = { cmd: "send", to: "self", kind: "notify", payload: {}, ttl_secs: 1e9 };
  assertEquals((await client.ask(long)).ok, true, "more than the daemon keeps is capped");
});

Deno.test("3.1 peers lists nobody", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  assertEquals(await client.ask({ cmd: "peers", req_id: "p" }), {
    ok: true,
    req_id: "p",
    peers: [],
  });
  const old = await daemon.connect();
  assertEquals(await old.askBare({ cmd: "peers" }), { ok: true, peers: [] });
});

Deno.test("3.1 status shows uptime, peers and message counters", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  assertEquals(await countersOf(client), [0, 0, 0]);
  await daemon.fill(2);
  const [peers, sent] = await countersOf(client);
  assertEquals([peers, sent], [0, 2]);
});

Deno.test("3.2 whoami answers with exactly the fields of the specification", async () => {
  await using daemon = await startTestDaemon({ config: { name: "workbench" } });
  const client = await daemon.v2();
  const { public_key, version, uptime_secs, ...rest } = await client.ask({
    cmd: "whoami",
    req_id: "3",
  });
  assertEquals(rest, {
    ok: true,
    req_id: "3",
    agent_id: daemon.agentId,
    name: "workbench",
    ipc_version: 2,
  });
  const key = Uint8Array.from(atob(public_key), (char) => char.charCodeAt(0));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", key));
  assertEquals(key.length, 32);
  assertEquals(`ed25519.${digest.subarray(0, 16).toHex()}`, daemon.agentId);
  assertEquals(typeof version, "string");
  assert(Number.isSafeInteger(uptime_secs) && uptime_secs >= 0);
});

Deno.test("axon.md: seq starts at 1 and is contiguous; nothing but a send takes one", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2("a");
  assertEquals(await daemon.fill(2), [1, 2]);
  await (await daemon.v2("b")).ask({ cmd: "subscribe" });
  await client.ask({ cmd: "auth", token: "0".repeat(64) });
  await client.ask({ cmd: "send", to: "self", kind: "no kind", payload: {} });
  await client.ask({ cmd: "send", to: OTHER_AGENT, kind: "notify", payload: {} });
  await daemon.restart();
  assertEquals(await daemon.fill(2), [3, 4]);
  const { messages } = await (await daemon.v2()).ask({ cmd: "inbox" });
  assertEquals(seqsOf(messages), [1, 2, 3, 4]);
});

async function countersOf(client: RawClient): Promise<unknown[]> {
  const status = await client.ask({ cmd: "status" });
  assertEquals(status.ok, true);
  assert(Number.isSafeInteger(status.uptime_secs) && status.uptime_secs >= 0);
  return [status.peers_connected, status.messages_sent, status.messages_received];
}
