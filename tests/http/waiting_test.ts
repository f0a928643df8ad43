/** Requests that are answered when somebody else has done something, and what becomes of them when nobody waits. */

import { assertEquals, assertLess } from "@std/assert";
import { range } from "../support/expect.ts";
import { askByHand, type HttpClient } from "../support/http_client.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

const CALL = { service: "slow", method: "wait", params: {} };

/** A provider of `slow.wait` on postern.sock. */
async function provider(daemon: TestDaemon): Promise<RawClient> {
  const client = await daemon.connect();
  for (
    const [method, params] of [
      ["auth.login", { token: daemon.token }],
      ["service.register", { name: "slow", methods: [{ name: "wait" }], max_concurrent: 16 }],
    ] as const
  ) {
    await client.send({ jsonrpc: "2.0", id: method, method, params });
    assertEquals((await client.next()).error, undefined);
  }
  return client;
}

/** A request for `body` by a client that goes away when it is closed. */
async function posted(http: HttpClient, body: unknown): Promise<Deno.Conn> {
  const conn = await Deno.connect({ transport: "unix", path: http.path });
  const text = JSON.stringify(body);
  const head = `POST /rpc HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${http.token}\r\n`;
  await conn.write(
    new TextEncoder().encode(`${head}Content-Length: ${text.length}\r\n\r\n${text}`),
  );
  return conn;
}

const call = (id: number): Line => ({ jsonrpc: "2.0", id, method: "service.call", params: CALL });

Deno.test("the call of whoever goes away is cancelled, by itself and in a batch", async () => {
  await using daemon = await startTestDaemon();
  const slow = await provider(daemon);
  const http = daemon.http();
  for (const body of [call(1), [call(1), call(2)]]) {
    const conn = await posted(http, body);
    const asked = await slow.next();
    assertEquals(asked.method, "slow.wait");
    conn.close();
    const { method, params } = await slow.next();
    assertEquals([method, params.id], ["call.cancel", asked.id]);
  }
  // The second one of the batch was never asked for.
  const answered = http.rpc("service.call", CALL);
  const next = await slow.next();
  assertEquals(next.method, "slow.wait");
  await slow.send({ jsonrpc: "2.0", id: next.id, result: { done: true } });
  assertEquals((await answered).body.result, { done: true });
});

Deno.test("waits of whoever goes away leave room for others", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_connections: 4 } } });
  const slow = await provider(daemon);
  const http = daemon.http();
  for (const _ of range(1, 12)) {
    const conn = await posted(http, call(1));
    await slow.next();
    conn.close();
    assertEquals((await slow.next()).method, "call.cancel");
  }
  assertEquals((await http.ask("/readyz")).status, 200);
});

Deno.test("a stop answers waits with shutting_down, by themselves and in a batch", async () => {
  await using daemon = await startTestDaemon();
  const slow = await provider(daemon);
  const http = daemon.http();
  const alone = http.post(call(1));
  await slow.next();
  const batch = http.post([call(1), call(2)]);
  await slow.next();
  const began = performance.now();
  await daemon.stop();
  assertLess(performance.now() - began, 10_000);
  assertEquals((await alone).body.error.data.code, "shutting_down");
  assertEquals(
    (await batch).body.map(({ error }: Line) => error.data.code),
    ["shutting_down", "shutting_down"],
  );
  await daemon.start();
});

Deno.test("a call that is a notification is answered by 204 when it is over", async () => {
  await using daemon = await startTestDaemon();
  const slow = await provider(daemon);
  const { id: _, ...notification } = call(1);
  const text = JSON.stringify(notification);
  const answered = askByHand(
    daemon.httpSocketPath,
    `POST /rpc HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n` +
      `Authorization: Bearer ${daemon.token}\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
  );
  const asked = await slow.next();
  await slow.send({ jsonrpc: "2.0", id: asked.id, result: {} });
  assertEquals((await answered).slice(0, 12), "HTTP/1.1 204");
});
