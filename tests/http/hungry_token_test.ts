/** What one token can take of HTTP: a part of it, and nothing of what the owner has. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { range } from "../support/expect.ts";
import { guarded } from "../support/http_client.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

/** Connections that have sent a request, or half of one. */
async function asked(daemon: TestDaemon, count: number, request: string): Promise<Deno.Conn[]> {
  const bytes = new TextEncoder().encode(request);
  return await Promise.all(
    range(1, count).map(async () => {
      const conn = await Deno.connect({ transport: "unix", path: daemon.httpSocketPath });
      for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
      return conn;
    }),
  );
}

async function readToken(daemon: TestDaemon, name: string): Promise<string> {
  const { token } = await daemon.http().call("token.create", { name, scopes: ["read"] });
  return token;
}

/** Resolves when one of them was refused for being too many. */
async function refused(conns: Deno.Conn[]): Promise<void> {
  await Promise.any(conns.map(async (conn) => {
    const part = new Uint8Array(1024);
    const count = await guarded(conn.read(part), "answer");
    assertStringIncludes(new TextDecoder().decode(part.subarray(0, count ?? 0)), "HTTP/1.1 503");
  }));
}

const headOf = (token: string, bytes: number): string =>
  `POST /rpc HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n` +
  `Content-Length: ${bytes}\r\n\r\n`;

Deno.test("tokens that flood HTTP with slow bodies leave the owner's requests alone, and all health", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_connections: 16 } } });
  const tokens = await Promise.all(range(1, 4).map((n) => readToken(daemon, `r${n}`)));
  const conns = [];
  for (const token of tokens) {
    const flood = await asked(daemon, 20, `${headOf(token, 100)}{`);
    await refused(flood);
    conns.push(...flood);
  }
  const http = daemon.http();
  assertEquals((await http.rpc("event.read")).status, 200);
  for (const path of ["/healthz", "/readyz", "/metrics"]) {
    assertEquals((await http.ask(path)).status, 200);
    assertEquals((await http.ask(path, { token: tokens[0]! })).status, 200);
  }
  const more = await http.rpc("event.read", {}, { token: tokens[0]! });
  assertEquals([more.status, more.body.error.code], [503, "too_many"]);
  for (const conn of conns) conn.close();
  const served = async () =>
    (await http.rpc("event.read", {}, { token: tokens[0]! })).status === 200;
  while (!await served()) { /* until they are gone */ }
});

Deno.test("a token whose bodies fill its part of the memory leaves the owner's bodies alone", async () => {
  await using daemon = await startTestDaemon();
  const token = await readToken(daemon, "r");
  const most = 1024 * 1024;
  const conns = await asked(daemon, 20, headOf(token, most) + " ".repeat(most - 1));
  await refused(conns);
  const http = daemon.http();
  const ping = { jsonrpc: "2.0", id: 1, method: "system.ping", x: "x".repeat(most - 1000) };
  assertEquals((await http.post(ping)).status, 200);
  for (const conn of conns) conn.close();
});

Deno.test("a token that reads none of its answers leaves the owner's requests alone", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_connections: 16 } } });
  const token = await readToken(daemon, "r");
  const http = daemon.http();
  for (const _ of range(1, 9)) {
    await http.call("event.send", { kind: "notify", payload: "x".repeat(100_000) });
  }
  const body = '{"jsonrpc":"2.0","id":1,"method":"event.read"}';
  const conns = await asked(daemon, 200, headOf(token, body.length) + body);
  assertEquals((await http.ask("/readyz")).status, 200);
  assertEquals((await http.call("event.read")).events.length, 9);
  for (const conn of conns) conn.close();
});
