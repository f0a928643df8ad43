/** Services on the wire: a provider's connection receives calls and answers them, whoever calls in whichever dialect. */

import { assertEquals } from "@std/assert";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

async function rpc(daemon: TestDaemon): Promise<RawClient> {
  const client = await daemon.connect();
  await call(client, "auth.login", { token: daemon.token });
  return client;
}

async function call(client: RawClient, method: string, params: Line = {}): Promise<Line> {
  await client.send({ jsonrpc: "2.0", id: method, method, params });
  return await client.next();
}

/** A provider of `math.add`, which wants two numbers. */
async function provider(daemon: TestDaemon): Promise<RawClient> {
  const client = await rpc(daemon);
  const schema = { type: "object", required: ["a", "b"] };
  const methods = [{ name: "add", schema }, { name: "fail" }];
  const { result } = await call(client, "service.register", { name: "math", methods });
  assertEquals(result.providers, 1);
  return client;
}

async function answer(client: RawClient, how: (params: Line) => Line): Promise<Line> {
  const asked = await client.next();
  await client.send({ jsonrpc: "2.0", id: asked.id, ...how(asked.params) });
  return asked;
}

const ADD = { service: "math", method: "add", params: { a: 2, b: 3 } };

Deno.test("a provider is called by service and method, with who asks, and its answer is the caller's", async () => {
  await using daemon = await startTestDaemon();
  const math = await provider(daemon);
  const caller = await rpc(daemon);
  const hello = (await call(caller, "system.hello", { client_kind: "repl" })).result;
  await caller.send({ jsonrpc: "2.0", id: 1, method: "service.call", params: ADD });
  const asked = await answer(math, ({ a, b }) => ({ result: a + b }));
  assertEquals([asked.jsonrpc, asked.method, asked.params], ["2.0", "math.add", { a: 2, b: 3 }]);
  assertEquals(asked.caller.originator, hello.originator);
  assertEquals(asked.caller.scopes, ["read", "send", "write", "serve", "admin"]);
  assertEquals(await caller.next(), { jsonrpc: "2.0", id: 1, result: 5 });
});

Deno.test("a method may be asked for by its own name, in AXON as well, where the result stands apart", async () => {
  await using daemon = await startTestDaemon();
  const math = await provider(daemon);
  const caller = await rpc(daemon);
  await caller.send({ jsonrpc: "2.0", id: 1, method: "math.add", params: { a: 1, b: 1 } });
  await answer(math, ({ a, b }) => ({ result: { sum: a + b } }));
  assertEquals((await caller.next()).result, { sum: 2 });
  const axon = await daemon.v2("caller");
  await axon.send({ cmd: "service.call", req_id: "c", ...ADD });
  await answer(math, ({ a, b }) => ({ result: { sum: a + b } }));
  assertEquals(await axon.reply(), { ok: true, req_id: "c", result: { sum: 5 } });
});

Deno.test("a call is answered when it can be, and holds up nothing behind it", async () => {
  await using daemon = await startTestDaemon();
  const math = await provider(daemon);
  const caller = await rpc(daemon);
  await caller.send(
    { jsonrpc: "2.0", id: "slow", method: "service.call", params: ADD },
    { jsonrpc: "2.0", id: "quick", method: "system.ping" },
  );
  assertEquals((await caller.next()).id, "quick");
  await answer(math, () => ({ result: null }));
  assertEquals(await caller.next(), { jsonrpc: "2.0", id: "slow", result: null });
});

Deno.test("a provider's error, bad parameters, and a provider that goes are told apart", async () => {
  await using daemon = await startTestDaemon();
  const math = await provider(daemon);
  const caller = await rpc(daemon);
  const bad = await call(caller, "math.add", { a: 1 });
  assertEquals([bad.error.code, bad.error.data.code], [-32602, "invalid_params"]);
  await caller.send({ jsonrpc: "2.0", id: 1, method: "math.fail", params: {} });
  const error = { code: -32000, message: "out of chalk", data: { code: "conflict" } };
  await answer(math, () => ({ error }));
  const refused = (await caller.next()).error;
  assertEquals([refused.message, refused.data.code], ["out of chalk", "conflict"]);
  await caller.send({ jsonrpc: "2.0", id: 2, method: "math.fail", params: {} });
  await math.next();
  math.close();
  assertEquals((await caller.next()).error.data.code, "service_unavailable");
  const gone = await call(caller, "math.add", { a: 1, b: 2 });
  assertEquals(gone.error.data.code, "unknown_operation");
});

Deno.test("an answer to a call that is none of the connection's changes nothing", async () => {
  await using daemon = await startTestDaemon();
  const math = await provider(daemon);
  const [caller, stranger] = [await rpc(daemon), await rpc(daemon)];
  await caller.send({ jsonrpc: "2.0", id: 1, method: "service.call", params: ADD });
  const { id } = await math.next();
  for (const from of [stranger, math]) {
    await from.send({ jsonrpc: "2.0", id: from === math ? "c999" : id, result: "forged" });
    assertEquals((await call(from, "system.ping")).result.pong, true);
  }
  await math.send({ jsonrpc: "2.0", id, result: "true one" });
  assertEquals((await caller.next()).result, "true one");
});

Deno.test("a route makes a request over HTTP a call, with path, query and body as its parameters", async () => {
  await using daemon = await startTestDaemon();
  const jobs = await rpc(daemon);
  const { result } = await call(jobs, "service.register", {
    name: "jobs",
    methods: [{ name: "stop" }],
    routes: [{ method: "POST", path: "/api/jobs/:id/stop", call: "stop" }],
  });
  assertEquals(result.routes.length, 1);
  const http = daemon.http();
  const target = "/api/jobs/7/stop?why=late&id=no";
  const body = JSON.stringify({ force: true, why: "no" });
  const asking = http.ask(target, { method: "POST", body });
  const asked = await answer(jobs, (params) => ({ result: { stopped: params.id } }));
  assertEquals(asked.method, "jobs.stop");
  assertEquals(asked.params, { force: true, why: "late", id: "7" });
  const answered = await asking;
  assertEquals([answered.status, answered.body], [200, { stopped: "7" }]);
  const refusing = http.ask(target, { method: "POST" });
  const error = { code: -32000, message: "no such job", data: { code: "not_found" } };
  await answer(jobs, () => ({ error }));
  assertEquals((await refusing).status, 404);
  assertEquals((await http.ask(target, { method: "POST", body: "[1]" })).status, 400);
  assertEquals((await http.ask(target)).status, 405);
  assertEquals((await http.ask("/api/other")).status, 404);
  const stranger = daemon.http(null);
  assertEquals((await stranger.ask(target, { method: "POST", body })).status, 401);
});
