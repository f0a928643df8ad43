/** What whoever has shown no token can take: little, for a short time, and nothing of what the others have. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { range } from "../support/expect.ts";
import { guarded } from "../support/http_client.ts";
import { type PartialConfig, startTestDaemon, type TestDaemon } from "../support/in_process.ts";

/** Connections that have sent one byte of a body. */
async function slowBodies(daemon: TestDaemon, count: number): Promise<Deno.Conn[]> {
  const head = `POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{`;
  return await Promise.all(
    range(1, count).map(async () => {
      const conn = await Deno.connect({ transport: "unix", path: daemon.httpSocketPath });
      await conn.write(new TextEncoder().encode(head));
      return conn;
    }),
  );
}

/** The answer, or the beginning of it; the connection stays as long as the body is not whole. */
async function answerOn(conn: Deno.Conn): Promise<string> {
  const part = new Uint8Array(1024);
  const count = await guarded(conn.read(part), "answer");
  return new TextDecoder().decode(part.subarray(0, count ?? 0));
}

async function answerTo(daemon: TestDaemon, request: string): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path: daemon.httpSocketPath });
  await conn.write(new TextEncoder().encode(request));
  return await answerOn(conn);
}

const FEW: PartialConfig = {
  limits: { max_connections: 80, hello_timeout_ms: 3_600_000 },
  http: { unauthenticated_metrics: true },
};

Deno.test("slow bodies without a token keep nobody from HTTP who has one, nor from its health", async () => {
  await using daemon = await startTestDaemon({ config: FEW });
  const conns = await slowBodies(daemon, 100);
  // Those beyond the bound were refused, and the others hold all that there is.
  await Promise.any(conns.map(async (conn) => {
    assertStringIncludes(await answerOn(conn), "HTTP/1.1 503");
  }));
  const http = daemon.http();
  assertEquals((await http.rpc("event.read")).status, 200);
  for (const path of ["/healthz", "/readyz", "/metrics"]) {
    assertEquals((await http.ask(path)).status, 200);
    assertEquals((await http.ask(path, { token: null })).status, 200);
  }
  const refused = await http.rpc("system.ping", {}, { token: null });
  assertEquals([refused.status, refused.body.error.data.code], [503, "too_many"]);
  for (const conn of conns) conn.close();
  const served = async () => (await http.rpc("system.ping", {}, { token: null })).status === 200;
  while (!await served()) { /* until they are gone */ }
});

Deno.test("a body without a token that takes longer than limits.hello_timeout_ms is given up", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { hello_timeout_ms: 20 } } });
  const [conn] = await slowBodies(daemon, 1);
  const text = await answerOn(conn!);
  conn!.close();
  assertStringIncludes(text, "HTTP/1.1 504");
  assertStringIncludes(text, '"code":"timeout"');
});

Deno.test("a body of more than 4 KiB without a token is refused before it is read", async () => {
  await using daemon = await startTestDaemon();
  const head = "POST /rpc HTTP/1.1\r\nHost: localhost\r\n";
  const announced = await answerTo(daemon, `${head}Content-Length: 4097\r\n\r\n{`);
  assertStringIncludes(announced, "HTTP/1.1 401");
  // Also where it is longer than anybody's may be.
  const huge = await answerTo(daemon, `${head}Content-Length: 99999999999\r\n\r\n{`);
  assertStringIncludes(huge, "HTTP/1.1 401");
  const chunk = "x".repeat(4097);
  const chunked = await answerTo(
    daemon,
    `${head}Transfer-Encoding: chunked\r\n\r\n1001\r\n${chunk}\r\n`,
  );
  assertStringIncludes(chunked, "HTTP/1.1 401");
  assertStringIncludes(chunked, '"limit":4096');
  const http = daemon.http();
  const ping = { jsonrpc: "2.0", id: 1, method: "system.ping", params: {}, x: "x".repeat(5000) };
  assertEquals((await http.post(ping)).status, 200);
  assertEquals((await http.post({ ...ping, x: "" }, { token: null })).status, 200);
});
