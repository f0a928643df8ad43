/** AXON, section 5 and the framing of axon.md: what is refused, how, and that nothing else suffers. */

import { assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import { expectError, range, seqsOf } from "../support/expect.ts";

Deno.test("5 an error has ok false, req_id, error and message, and no field of a result", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const reply = await client.ask({ cmd: "ack", req_id: "x", up_to_seq: 9 });
  assertEquals([reply.ok, reply.req_id, reply.error], [false, "x", "ack_out_of_range"]);
  assertEquals([reply.event, reply.inbound, reply.acked_seq], [undefined, undefined, undefined]);
});

Deno.test("5 a message names the rule and the value seen", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  assertMatch(
    (await client.ask({ cmd: "inbox", limit: 4711 })).message,
    /limit.*1000.*4711|4711.*1000/,
  );
  assertMatch((await client.ask({ cmd: "inbox", kinds: ["blurb"] })).message, /blurb/);
  assertMatch((await client.ask({ cmd: "frobnicate" })).message, /frobnicate/);
  assertMatch((await client.ask({ cmd: "ack", up_to_seq: 42 })).message, /42/);
});

Deno.test("5 no message repeats a token", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.hello();
  const token = "c0ffee".repeat(11).slice(0, 64);
  const replies = [
    await client.ask({ cmd: "auth", token }),
    await client.ask({ cmd: "auth", token: [token] }),
    await client.ask({ cmd: "auth", tokn: token }),
  ];
  const text = JSON.stringify([replies, daemon.logged]);
  assertEquals(text.includes("c0ffee"), false);
});

Deno.test("7 an unknown cmd is invalid_command, in version 1 and 2", async () => {
  await using daemon = await startTestDaemon();
  const old = await daemon.connect();
  const client = await daemon.v2();
  for (const cmd of ["nonsense", "", "STATUS", "toString", "__proto__", "event"]) {
    expectError(await old.askBare({ cmd }), "invalid_command");
    expectError(await client.ask({ cmd }), "invalid_command");
  }
  for (const cmd of ["event.", ".send", "event.frobnicate", "event.send.now", "EVENT.SEND"]) {
    expectError(await client.ask({ cmd }), "invalid_command");
  }
});

Deno.test("5 a cmd that is no string is invalid_command", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  for (const cmd of [null, 1, true, {}, ["status"]]) {
    expectError(await client.ask({ cmd }), "invalid_command");
  }
  expectError(await client.ask({}), "invalid_command");
});

Deno.test("axon.md: malformed JSON is invalid_command without a req_id, and the connection goes on", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const broken = ["{", "}", '{"cmd":"status"', "{'cmd':'status'}", "nope", '{"cmd":}', '"', "{}{}"];
  for (const text of broken) {
    const reply = await client.askText(text);
    expectError(reply, "invalid_command");
    assertEquals("req_id" in reply, false, text);
  }
  assertEquals((await client.ask({ cmd: "inbox" })).ok, true);
});

Deno.test("axon.md: JSON that is no object is invalid_command once the dialect is chosen", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  for (const text of ["null", "1", '"status"', "true", "[]", '[{"cmd":"status"}]']) {
    expectError(await client.askText(text), "invalid_command");
  }
});

Deno.test("axon.md: a first line that fits no dialect is invalid_command and leaves the choice open", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  for (const text of ["{}", "7", "{", '{"Cmd":"status"}']) {
    expectError(await client.askText(text), "invalid_command");
  }
  assertEquals((await client.hello()).ok, true);
});

Deno.test("axon.md: an AXON connection stays AXON", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  expectError(
    await client.askText('{"jsonrpc":"2.0","id":1,"method":"system.ping"}'),
    "invalid_command",
  );
  expectError(await client.askText('{"hello":{"version":"1.0","client":"x"}}'), "invalid_command");
});

Deno.test("axon.md: a first line with cmd is AXON whatever else it has", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  const reply = await client.askBare({ method: "x", hello: {}, jsonrpc: "2.0", cmd: "status" });
  assertEquals(reply.ok, true);
});

Deno.test("axon.md: a CR before the LF is tolerated, blank lines are ignored", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.write(
    '\n\r\n  \n{"cmd":"status","req_id":"1"}\r\n\n\n{"cmd":"peers","req_id":"2"}\n',
  );
  assertEquals((await client.reply()).req_id, "1");
  assertEquals((await client.reply()).req_id, "2");
  await client.expectNothingPushed();
});

Deno.test("axon.md: replies leave in the order of their requests, whatever each takes", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(50);
  const client = await daemon.connect();
  const requests = [
    { cmd: "hello", version: 2 },
    { cmd: "auth", token: daemon.token },
    { cmd: "send", to: "self", kind: "notify", payload: {} },
    { cmd: "status" },
    { cmd: "inbox", limit: 1000 },
    { cmd: "ack", up_to_seq: 51 },
    { cmd: "nonsense" },
    { cmd: "inbox" },
    { cmd: "send", to: "self", kind: "notify", payload: {} },
    { cmd: "inbox" },
  ].map((request, i) => ({ ...request, req_id: String(i) }));
  await client.send(...requests);
  const replies = [];
  for (const _ of requests) replies.push(await client.reply());
  assertEquals(replies.map((reply) => reply.req_id), requests.map((request) => request.req_id));
  const counts = replies.map((reply) => reply.messages?.length);
  assertEquals([counts[4], replies[5]!.acked_seq, counts[7], counts[9]], [51, 51, 0, 1]);
  assertEquals(replies.map((reply) => reply.ok).filter((ok) => !ok).length, 1);
});

Deno.test("axon.md: on a stop requests in progress are answered, and what was answered is there later", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const writing = client.send(
    ...range(1, 2000).map((payload) => (
      { cmd: "send", req_id: `${payload}`, to: "self", kind: "notify", payload }
    )),
  ).catch((error) => assertInstanceOf(error, Deno.errors.BrokenPipe));
  const replies = [await client.reply()];
  const stopped = daemon.stop();
  replies.push(...await client.untilClosed());
  await Promise.all([stopped, writing]);
  const sent = replies.filter((reply) => reply.ok);
  assertEquals(replies.map((reply) => reply.req_id), range(1, replies.length).map(String));
  for (const reply of replies.slice(sent.length)) expectError(reply, "shutting_down");
  await daemon.start();
  const again = await daemon.v2();
  await again.ask({ cmd: "subscribe" });
  assertEquals(seqsOf(await again.pushedMany(sent.length)), seqsOf(sent));
  await again.expectNothingPushed();
});

Deno.test("axon.md: requests beyond max_in_flight wait, and are all answered", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_in_flight: 2 } } });
  const client = await daemon.v2();
  await client.send(
    ...range(1, 500).map((payload) => (
      { cmd: "send", req_id: `${payload}`, to: "self", kind: "notify", payload }
    )),
  );
  for (const i of range(1, 500)) assertEquals((await client.reply()).req_id, `${i}`);
});

Deno.test("axon.md: more connections than max_connections are refused, and those there are stay", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_connections: 3 } } });
  const kept = [await daemon.v2(), await daemon.v2(), await daemon.v2()];
  const refused = await daemon.connect();
  const lines = await refused.untilClosed();
  assertEquals(lines.map((line) => line.error), ["too_many"]);
  for (const client of kept) assertEquals((await client.ask({ cmd: "inbox" })).ok, true);
});

Deno.test("7 an unknown dotted command is invalid_command, before a hello too", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  expectError(await client.askBare({ cmd: "no.such" }), "invalid_command");
  expectError(await client.askBare({ cmd: "event.read" }), "hello_required");
});
