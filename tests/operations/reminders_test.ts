/** Whoever comes back is told again what still waits for its answer, beside the log, in every dialect that streams. */

import { assert, assertEquals } from "@std/assert";
import { connectTo } from "../client/steady.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

/** A connection that is the client of that id, or a new one. */
async function person(daemon: TestDaemon, clientId?: string): Promise<[RawClient, Line]> {
  const client = await daemon.connect();
  const claim = clientId === undefined ? {} : { client_id: clientId };
  await client.ask({ cmd: "hello", version: 2, client_kind: "person", ...claim });
  return [client, await client.ask({ cmd: "auth", token: daemon.token })];
}

async function ask(client: RawClient, tool = "Bash"): Promise<string> {
  const reply = await client.ask({ cmd: "permission.request", tool, input: { a: 1 } });
  assertEquals(reply.ok, true, JSON.stringify(reply));
  return reply.request_id;
}

Deno.test("an originator that comes back is told its pending requests again, and the log is as it was", async () => {
  await using daemon = await startTestDaemon();
  const [first, { client_id }] = await person(daemon);
  const ids = [await ask(first), await ask(first, "Write")];
  const decided = await ask(first);
  await first.ask({ cmd: "permission.answer", request_id: decided, result: { approve: true } });
  first.close();
  const head = (await daemon.fill(1))[0]!;
  const [back] = await person(daemon, client_id);
  const subscribed = await back.ask({ cmd: "subscribe", since: head });
  assertEquals([subscribed.replayed, subscribed.replay_to_seq], [2, head]);
  const told = await back.pushedMany(2);
  assertEquals(told.map(({ again, replay, seq }) => [again, replay, seq]), [
    [true, true, head],
    [true, true, head],
  ]);
  assertEquals(told.map(({ envelope }) => envelope.payload.request_id), ids);
  const { events } = await back.ask({ cmd: "event.read", topics: ["permission.requested"] });
  for (const [i, { envelope }] of told.entries()) {
    assertEquals([envelope.id, envelope.payload], [ids[i], events[i].envelope.payload]);
    assertEquals(events[i].envelope.id, ids[i], "known again by its id");
  }
  assertEquals((await back.ask({ cmd: "status" })).store.head_seq, head, "nothing was appended");
  await back.expectNothingPushed();
});

Deno.test("after a restart it is told them as well", async () => {
  await using daemon = await startTestDaemon();
  const [first, { client_id }] = await person(daemon);
  const id = await ask(first);
  await daemon.restart();
  const [head] = await daemon.fill(1);
  const [back] = await person(daemon, client_id);
  await back.ask({ cmd: "subscribe", since: head });
  assertEquals((await back.pushed()).envelope.payload.request_id, id);
});

Deno.test("what the replay tells is not told twice", async () => {
  await using daemon = await startTestDaemon();
  const [first, { client_id }] = await person(daemon);
  await daemon.fill(1);
  const id = await ask(first);
  const [back] = await person(daemon, client_id);
  const { replayed } = await back.ask({ cmd: "subscribe", since: 1 });
  const told = await back.pushed();
  assertEquals([replayed, told.again, told.seq], [1, undefined, 2]);
  assertEquals(told.envelope.payload.request_id, id);
  await back.expectNothingPushed();
});

Deno.test("nobody else is told again, nor who filters other topics, nor whoever it was before", async () => {
  await using daemon = await startTestDaemon();
  const [first, { client_id }] = await person(daemon);
  const [heir, { originator: to, client_id: heirId }] = await person(daemon);
  const id = await ask(first);
  await first.ask({ cmd: "permission.delegate", request_id: id, to });
  const [head] = await daemon.fill(1);
  for (const [clientId, topics] of [[client_id, ["permission.>"]], [heirId, ["build.>"]]]) {
    const [back] = await person(daemon, clientId);
    assertEquals((await back.ask({ cmd: "subscribe", since: head, topics })).replayed, 0);
    await back.expectNothingPushed();
  }
  const stranger = await daemon.v2();
  assertEquals((await stranger.ask({ cmd: "subscribe", since: head })).replayed, 0);
  assertEquals((await heir.ask({ cmd: "subscribe", since: head })).replayed, 1);
  assertEquals((await heir.pushed()).envelope.payload.originator, to);
});

Deno.test("server-sent events begin with them, and their id takes nothing back", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const kind = { "x-client-kind": "person" };
  const minted = await http.rpc("system.ping", {}, { headers: kind });
  const headers = { ...kind, "x-client-id": minted.headers.get("x-client-id")! };
  const asked = await http.rpc("permission.request", { tool: "Bash", input: 1 }, { headers });
  const [head] = await daemon.fill(1);
  const reader = await http.events(`?since=${head}&follow=0`, { headers });
  const frame = await reader.next();
  assertEquals([frame?.event, frame?.id, frame?.data.again], ["message", `${head}`, true]);
  assertEquals(frame?.data.envelope.payload.request_id, asked.body.result.request_id);
  assertEquals(await reader.nextOrEnd(), null);
});

Deno.test("a subscription of the client library is told again after each loss of its connection", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon, { options: { clientKind: "person" } });
  await client.send({ kind: "notify", payload: 1 });
  const { request_id } = await client.call("permission.request", { tool: "Bash", input: 1 });
  await using stream = client.subscribe({ topics: ["permission.>"], consumer: null });
  const first = (await stream.next()).value!;
  assertEquals([first.again, first.seq], [undefined, 2]);
  await daemon.restart();
  const again = (await stream.next()).value!;
  assertEquals([again.again, again.seq, again.envelope.id], [true, 2, request_id]);
  await client.call("permission.answer", { request_id, result: { approve: false } });
  assert((await stream.next()).value!.envelope.topic === "permission.resolved");
});

Deno.test("a hundred long ones, far more than an outbox holds, come all", async () => {
  await using daemon = await startTestDaemon();
  const [first, { client_id }] = await person(daemon);
  const input = "x".repeat(49_000);
  for (let i = 0; i < 100; i++) {
    await first.ask({ cmd: "permission.request", tool: "Bash", input });
  }
  const [head] = await daemon.fill(1);
  const [back] = await person(daemon, client_id);
  assertEquals((await back.ask({ cmd: "subscribe", since: head })).replayed, 100);
  assertEquals((await back.pushedMany(100)).length, 100);
});
