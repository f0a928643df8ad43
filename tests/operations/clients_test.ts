/** Who is connected, and when a connection becomes who it says it is. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";

Deno.test("a kind that is named before the token is taken up with the token", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  const hello = await client.ask({ cmd: "hello", version: 2, client_kind: "editor" });
  assertEquals([hello.originator, hello.client_id], [undefined, undefined], "nobody yet");
  const { ok, auth, originator, client_id } = await client.ask({
    cmd: "auth",
    token: daemon.token,
  });
  assertEquals([ok, auth], [true, "accepted"]);
  assertMatch(client_id, /^[0-9a-f]{64}$/);
  const again = await daemon.connect();
  await again.ask({ cmd: "hello", version: 2, client_kind: "editor", client_id });
  const known = await again.ask({ cmd: "auth", token: daemon.token });
  assertEquals([known.originator, "client_id" in known], [originator, false]);
});

Deno.test("a wrong token makes nobody out of a claim, and the right one behind it does", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.ask({ cmd: "hello", version: 2, client_kind: "editor" });
  const wrong = await client.ask({ cmd: "auth", token: "0".repeat(64) });
  assertEquals([wrong.error, "originator" in wrong], ["auth_failed", false]);
  assertMatch((await client.ask({ cmd: "auth", token: daemon.token })).originator, /^o-/);
});

Deno.test("a second login does not make another client of it", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.ask({ cmd: "hello", version: 2, client_kind: "editor" });
  await client.ask({ cmd: "auth", token: daemon.token });
  assertEquals(await client.ask({ cmd: "auth", req_id: "a", token: daemon.token }), {
    ok: true,
    req_id: "a",
    auth: "accepted",
  });
});

Deno.test("client.list tells who is connected, how, and with how many subscriptions", async () => {
  await using daemon = await startTestDaemon();
  const editor = await daemon.v2();
  const { originator } = await editor.ask({ cmd: "hello", version: 2, client_kind: "editor" });
  await editor.ask({ cmd: "subscribe" });
  await editor.ask({ cmd: "record.subscribe", name: "sensor.>" });
  const silent = await daemon.connect();
  const http = daemon.http();
  await using stack = new AsyncDisposableStack();
  const events = await http.events("", { headers: { "x-client-kind": "viewer" } });
  stack.defer(() => events.close());
  const socket = await http.socket();
  stack.defer(() => socket.close());
  const { clients } = await editor.ask({ cmd: "client.list" });
  const told = clients.map((one: Record<string, unknown>) => ({ ...one, since: 0 }));
  const common = { since: 0, subscriptions: 0 };
  const nobody = { kind: null, originator: null, ...common };
  const viewer = told.find(({ kind }: { kind: string }) => kind === "viewer");
  assertEquals(told, [
    {
      ...common,
      kind: "editor",
      originator,
      dialect: "axon",
      transport: "socket",
      subscriptions: 2,
    },
    { ...nobody, dialect: null, transport: "socket" },
    { ...common, ...viewer, dialect: "sse", transport: "http", subscriptions: 1 },
    { ...nobody, dialect: "json-rpc", transport: "websocket" },
  ]);
  assertMatch(viewer.originator, /^o-/);
  assert(clients.every(({ since }: { since: number }) => Math.abs(since - Date.now()) < 60_000));
  silent.close();
  // Whoever has gone is gone from the list.
  for (;;) {
    const { clients: left } = await editor.ask({ cmd: "client.list" });
    if (left.length === 3) break;
  }
});

Deno.test("client.list needs the scope read, and never tells a client_id", async () => {
  await using daemon = await startTestDaemon();
  const stranger = await daemon.connect();
  await stranger.hello();
  assertEquals((await stranger.ask({ cmd: "client.list" })).error, "auth_required");
  const client = await daemon.v2();
  const { client_id } = await client.ask({ cmd: "hello", version: 2, client_kind: "editor" });
  const list = JSON.stringify(await client.ask({ cmd: "client.list" }));
  assert(client_id !== undefined && !list.includes(client_id));
});
