/** Who a client is: X-Client-Kind and X-Client-Id, the same by system.hello, over requests and restarts. */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import type { Answer, HttpClient } from "../support/http_client.ts";
import { startTestDaemon } from "../support/in_process.ts";
import type { Line } from "../support/raw_client.ts";

function as(kind: string, id?: string): { headers: Record<string, string> } {
  return { headers: { "x-client-kind": kind, ...(id === undefined ? {} : { "x-client-id": id }) } };
}

/** A fresh id of a kind. */
async function mint(http: HttpClient, kind = "repl"): Promise<string> {
  const { headers } = await http.rpc("system.ping", {}, as(kind));
  return headers.get("x-client-id")!;
}

/** Sends an event, and answers under which originator. */
async function originator(http: HttpClient, kind: string, id: string): Promise<string> {
  const sent: Answer = await http.rpc("event.send", { kind: "notify", payload: 1 }, as(kind, id));
  assertEquals([sent.status, sent.headers.get("x-client-id")], [200, null]);
  const { events } = await http.call("event.read", { after: sent.body.result.seq - 1 });
  return events[0].envelope.originator;
}

Deno.test("a kind without an id gets a fresh one, and no two are the same", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const [one, two] = [await mint(http), await mint(http)];
  assertMatch(one, /^[0-9a-f]{64}$/);
  assertNotEquals(one, two);
  for (const path of ["/healthz", "/events?follow=0", "/events?since=wrong"]) {
    assertMatch((await http.ask(path, as("repl"))).headers.get("x-client-id")!, /^[0-9a-f]{64}$/);
  }
  assertEquals((await http.ask("/healthz")).headers.get("x-client-id"), null);
});

Deno.test("a client that shows its id keeps its originator, and events that it sends carry it", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const [one, two] = [await mint(http), await mint(http)];
  const first = await originator(http, "repl", one);
  assertMatch(first, /^o-[0-9a-f]{32}$/);
  assertEquals(await originator(http, "repl", one), first);
  assertNotEquals(await originator(http, "repl", two), first);
  const sent = await http.rpc("event.send", { kind: "notify", payload: 1 });
  const { events } = await http.call("event.read", { after: sent.body.result.seq - 1 });
  assertEquals("originator" in events[0].envelope, false);
});

Deno.test("it is the same after a restart of the daemon, once the id was used", async () => {
  await using daemon = await startTestDaemon();
  const id = await mint(daemon.http());
  const before = await originator(daemon.http(), "repl", id);
  await daemon.restart();
  assertEquals(await originator(daemon.http(), "repl", id), before);
});

Deno.test("an id that is unknown, or of another kind, gets a fresh one", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const id = await mint(http);
  const mine = await originator(http, "repl", id);
  for (
    const [kind, shown] of [["repl", "0".repeat(64)], ["web", id], ["repl", mine], ["repl", ""]]
  ) {
    const { headers } = await http.rpc("system.ping", {}, as(kind!, shown));
    const fresh = headers.get("x-client-id");
    assertMatch(fresh!, /^[0-9a-f]{64}$/);
    assertNotEquals(await originator(http, kind!, fresh!), mine);
  }
  assertEquals(await originator(http, "repl", id), mine);
});

Deno.test("nobody without a token gets an id", async () => {
  await using daemon = await startTestDaemon();
  const id = await mint(daemon.http());
  for (const shown of [undefined, id]) {
    const { status, headers } = await daemon.http(null).rpc("system.ping", {}, as("repl", shown));
    assertEquals([status, headers.get("x-client-id")], [200, null]);
  }
});

Deno.test("a kind or an id that is not right is 400, and the id is not repeated", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  for (const kind of ["a b", "a/b", "x".repeat(65), ""]) {
    const { status, body } = await http.rpc("system.ping", {}, as(kind));
    assertEquals([status, body.error.code, body.error.field], [
      400,
      "invalid_params",
      "client_kind",
    ]);
  }
  const long = await http.rpc("system.ping", {}, as("repl", "secret".repeat(30)));
  assertEquals([long.status, long.body.error.field], [400, "client_id"]);
  assert(!long.text.includes("secret"), long.text);
});

Deno.test("system.hello gives and takes the same ids", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const fresh = await http.call("system.hello", { client_kind: "repl" });
  assertMatch(fresh.client_id, /^[0-9a-f]{64}$/);
  const params = { client_kind: "repl", client_id: fresh.client_id };
  const again = await http.call("system.hello", params);
  assertEquals([again.originator, "client_id" in again], [fresh.originator, false]);
  assertEquals(await originator(http, "repl", fresh.client_id), fresh.originator);
  // On the other socket it is the same client.
  const client = await daemon.v2();
  const hello: Line = await client.ask({ cmd: "system.hello", version: 2, ...params });
  assertEquals(hello.originator, fresh.originator);
});

Deno.test("a WebSocket is the client that its upgrade or its system.hello says", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const id = await mint(http);
  const mine = await originator(http, "repl", id);
  const socket = await http.socket("/ws", as("repl", id));
  const first = await socket.ask("event.send", { kind: "notify", payload: 1 });
  const other = await http.socket();
  const hello = await other.ask("system.hello", { client_kind: "repl", client_id: id });
  assertEquals(hello.result.originator, mine);
  const second = await other.ask("event.send", { kind: "notify", payload: 1 });
  for (const { result: { seq } } of [first, second]) {
    const { events } = await http.call("event.read", { after: seq - 1, limit: 1 });
    assertEquals(events[0].envelope.originator, mine);
  }
});

Deno.test("a dedup_key is the originator's, not the token's", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const [one, two] = [await mint(http), await mint(http)];
  const send = async (id: string) => {
    const params = { kind: "notify", payload: 1, dedup_key: "job" };
    return (await http.rpc("event.send", params, as("repl", id))).body.result;
  };
  assertEquals([(await send(one)).seq, (await send(two)).seq], [1, 2]);
  assertEquals(await send(one), { ...await send(one), seq: 1, duplicate: true });
});
