/** One connection over a socket in memory: correlation, pipelining, bounds, and every way it can end. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Connection } from "../../src/client/connection.ts";
import { ConnectionError, PosternError } from "../../src/client/mod.ts";
import { FakeSocket } from "../support/fake_axon.ts";

function open(): { socket: FakeSocket; connection: Connection } {
  const socket = new FakeSocket();
  return { socket, connection: new Connection(socket) };
}

Deno.test("each reply reaches its request, in whatever order replies come", async () => {
  const { socket, connection } = open();
  const asked = ["a", "b", "c"].map((name) => connection.request(name, "{}"));
  await socket.hears(3);
  for (const id of ["3", "1", "2"]) socket.say({ ok: true, req_id: id, n: id });
  assertEquals(await Promise.all(asked), [{ n: "1" }, { n: "2" }, { n: "3" }]);
  connection.close();
});

Deno.test("requests of one turn go out in one write", async () => {
  const { socket, connection } = open();
  const asked = [1, 2, 3].map((n) => connection.request("x", `{"n":${n}}`));
  await socket.hears(3);
  assertEquals(socket.writes.length, 1);
  connection.close();
  await Promise.allSettled(asked);
});

Deno.test("a write that the socket takes in parts arrives whole", async () => {
  const { socket, connection } = open();
  const asked = connection.request("x", JSON.stringify({ text: "ä€😀".repeat(1000) }));
  socket.say({ ok: true, req_id: "1" });
  const [request] = await socket.hears(1).then(() => socket.heard);
  assertEquals((request as { text: string }).text.length, 4000);
  await asked;
  connection.close();
});

Deno.test("replies and events that come one byte at a time are understood", async () => {
  const events: unknown[] = [];
  const socket = new FakeSocket();
  const connection = new Connection(socket, { onEvent: (event) => events.push(event.seq) });
  const asked = connection.request("x", "{}");
  const text = '{"event":"inbound","seq":1,"envelope":{"payload":"ä€😀"}}\r\n\n' +
    '{"ok":true,"req_id":"1","text":"ä€😀"}\n{"event":"inbound","seq":2,"envelope":{}}\n';
  for (const byte of new TextEncoder().encode(text)) socket.sayBytes(Uint8Array.of(byte));
  assertEquals(await asked, { text: "ä€😀" });
  socket.end();
  await connection.closed;
  assertEquals(events, [1, 2]);
});

Deno.test("a refusal rejects its request with the daemon's code and harms no other", async () => {
  const { socket, connection } = open();
  const refused = connection.request("x", "{}");
  const served = connection.request("y", "{}");
  socket.say({ ok: false, req_id: "1", error: "ack_out_of_range", message: "too far" });
  socket.say({ ok: true, req_id: "2" });
  const error = await assertRejects(() => refused, PosternError, "too far");
  assertEquals(error.code, "ack_out_of_range");
  await served;
  connection.close();
});

Deno.test("a refusal without a req_id is that of the oldest request, and harms no other", async () => {
  const { socket, connection } = open();
  const asked = ["x", "y", "z"].map((name) => connection.request(name, "{}"));
  await socket.hears(3);
  socket.say({ ok: true, req_id: "1" });
  socket.say({ ok: false, error: "invalid_command", message: "cannot be read" });
  socket.say({ ok: true, req_id: "3", served: true });
  await asked[0];
  const error = await assertRejects(() => asked[1]!, PosternError, "cannot be read");
  assertEquals(error.code, "invalid_request");
  assertEquals(await asked[2], { served: true });
  connection.close();
});

Deno.test("requests without a reply fail when the daemon ends the connection, and so do later ones", async () => {
  const { socket, connection } = open();
  const asked = connection.request("x", "{}");
  await socket.hears(1);
  socket.end();
  const error = await assertRejects(() => asked, ConnectionError);
  assertEquals(error.code, "ECONNRESET");
  assertEquals((await connection.closed).by, "daemon");
  await assertRejects(() => connection.request("y", "{}"), ConnectionError);
  assert(socket.closed);
});

Deno.test("what the daemon complained about before it hung up is the reason", async () => {
  const { socket, connection } = open();
  const asked = connection.request("x", "{}");
  socket.say({ ok: false, error: "shutting_down", message: "the daemon stops" });
  socket.end();
  const error = await assertRejects(() => asked, PosternError);
  assertEquals(error.code, "shutting_down");
  assert((await connection.closed).reason.includes("the daemon stops"));
});

Deno.test("closing fails what is outstanding and says that it was this side", async () => {
  const { connection } = open();
  const asked = connection.request("x", "{}");
  connection.close("had enough");
  await assertRejects(() => asked, ConnectionError, "had enough");
  const { by, reason } = await connection.closed;
  assertEquals([by, reason], ["client", "had enough"]);
});

for (
  const [what, bytes] of [
    ["no JSON", new TextEncoder().encode("hello\n")],
    ["not UTF-8", Uint8Array.of(0x22, 0xff, 0x22, 0x0a)],
    ["endless", new Uint8Array(9 * 1024 * 1024).fill(0x61)],
  ] as const
) {
  Deno.test(`an answer that is ${what} ends the connection with EPROTO`, async () => {
    const { socket, connection } = open();
    const asked = connection.request("x", "{}");
    socket.sayBytes(bytes);
    const error = await assertRejects(() => asked, ConnectionError);
    assertEquals(error.code, "EPROTO");
    assertEquals((await connection.closed).by, "error");
  });
}

Deno.test("an aborted request is given up, and its late reply disturbs nobody", async () => {
  const { socket, connection } = open();
  const controller = new AbortController();
  const given = connection.request("x", "{}", { signal: controller.signal });
  const kept = connection.request("y", "{}");
  await socket.hears(2);
  controller.abort(new Error("changed my mind"));
  await assertRejects(() => given, Error, "changed my mind");
  socket.say({ ok: true, req_id: "1" }, { ok: true, req_id: "2", kept: true });
  assertEquals(await kept, { kept: true });
  connection.close();
});

Deno.test("a request that was given up is the one that a refusal without a req_id is of", async () => {
  const { socket, connection } = open();
  const controller = new AbortController();
  const given = connection.request("x", "{}", { signal: controller.signal });
  const late = connection.request("y", "{}", { timeoutMs: 1 });
  const kept = connection.request("z", "{}");
  await socket.hears(3);
  controller.abort(new Error("changed my mind"));
  await assertRejects(() => given, Error, "changed my mind");
  await assertRejects(() => late, PosternError, "no reply");
  const refusal = { ok: false, error: "invalid_command", message: "cannot be read" };
  socket.say(refusal, refusal, { ok: true, req_id: "3", kept: true });
  assertEquals(await kept, { kept: true });
  connection.close();
});

Deno.test("requests that were given up count as in flight until their replies come", async () => {
  const { socket, connection } = open();
  const controller = new AbortController();
  const { signal } = controller;
  const given = Array.from({ length: 1024 }, () => connection.request("x", "{}", { signal }));
  await socket.hears(1024);
  controller.abort(new Error("changed my mind"));
  await Promise.allSettled(given);
  const unsent = connection.request("unsent", "{}", { timeoutMs: 1 });
  await assertRejects(() => unsent, PosternError, "could not be sent");
  const next = connection.request("next", "{}");
  socket.say({ ok: false, error: "invalid_command", message: "cannot be read" });
  const { cmd, req_id } = (await socket.hears(1025)).at(-1)!;
  assertEquals(cmd, "next");
  socket.say({ ok: true, req_id: String(req_id), served: true });
  assertEquals(await next, { served: true });
  connection.close();
});

Deno.test("a request with a time-out fails with it and leaves the connection usable", async () => {
  const { socket, connection } = open();
  const error = await assertRejects(
    () => connection.request("slow", "{}", { timeoutMs: 1 }),
    PosternError,
  );
  assertEquals(error.code, "timeout");
  const next = connection.request("x", "{}");
  socket.say({ ok: true, req_id: "2" });
  await next;
  connection.close();
});

Deno.test("at most 1,024 requests are at the daemon, and the others follow its replies", async () => {
  const { socket, connection } = open();
  const asked = Array.from({ length: 3000 }, () => connection.request("x", "{}"));
  await socket.hears(1024);
  assertEquals(socket.heard.length, 1024);
  for (let id = 1; id <= 3000; id++) {
    await socket.hears(id);
    assert(socket.heard.length <= id - 1 + 1024);
    socket.say({ ok: true, req_id: String(id) });
    if (id % 500 === 0) await asked[id - 1];
  }
  await Promise.all(asked);
  connection.close();
});

Deno.test("a request longer than a line may be is refused here, before it costs the connection", async () => {
  const { socket, connection } = open();
  const huge = connection.request("x", JSON.stringify({ text: "x".repeat(1024 * 1024) }));
  const error = await assertRejects(() => huge, PosternError);
  assertEquals(error.code, "too_large");
  const next = connection.request("y", "{}");
  const [request] = await socket.hears(1);
  socket.say({ ok: true, req_id: String(request?.req_id) });
  await next;
  connection.close();
});

Deno.test("requests that wait beyond 64 MiB are refused with too_many", async () => {
  const { connection } = open();
  const params = JSON.stringify({ text: "x".repeat(1_000_000) });
  const asked = Array.from({ length: 80 }, () => connection.request("x", params));
  const outcomes = Promise.allSettled(asked);
  connection.close();
  const codes = (await outcomes).map((outcome) =>
    outcome.status === "rejected" && outcome.reason.code
  );
  assertEquals(new Set(codes), new Set(["ECONNRESET", "too_many"]));
});

Deno.test("while paused nothing is read", async () => {
  const socket = new FakeSocket();
  const seen: number[] = [];
  const connection: Connection = new Connection(socket, {
    onEvent: ({ seq }) => {
      seen.push(seq);
      connection.pause();
    },
  });
  socket.say({ event: "inbound", seq: 1 });
  while (seen.length < 1) await Promise.resolve();
  socket.say({ event: "inbound", seq: 2 });
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  assertEquals(seen, [1]);
  connection.resume();
  while (seen.length < 2) await Promise.resolve();
  connection.close();
  await connection.closed;
});
