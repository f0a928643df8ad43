/** The table of routes, what every request must get past, and what every answer says. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { askByHand } from "../support/http_client.ts";
import { startTestDaemon } from "../support/in_process.ts";

const VIEWS = ["/healthz", "/health", "/readyz", "/metrics"];

Deno.test("health, readiness and metrics are answered to whoever may read", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  for (const path of ["/healthz", "/health"]) {
    const { status, body } = await http.ask(path);
    assertEquals([status, body.status], [200, "healthy"]);
    assertEquals(Object.keys(body).sort(), [
      "components",
      "metrics",
      "status",
      "uptime_seconds",
      "version",
    ]);
  }
  const ready = await http.ask("/readyz");
  assertEquals([ready.status, ready.body], [200, { ready: true, status: "healthy" }]);
  const metrics = await http.ask("/metrics");
  assertEquals(metrics.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assertStringIncludes(metrics.text, "# TYPE postern_build_info gauge\n");
});

Deno.test("without a token they are 401, which says what to show", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http(null);
  for (const path of [...VIEWS, "/events", "/blobs/0"]) {
    const { status, headers, body } = await http.ask(path);
    assertEquals([status, headers.get("www-authenticate")], [401, "Bearer"], path);
    assertEquals(body.error.code, "auth_required", path);
  }
});

Deno.test("http.unauthenticated_metrics opens health, readiness and metrics and nothing else", async () => {
  await using daemon = await startTestDaemon({
    config: { http: { unauthenticated_metrics: true } },
  });
  const http = daemon.http(null);
  for (const path of VIEWS) assertEquals((await http.ask(path)).status, 200, path);
  assertEquals((await http.ask("/events")).status, 401);
  assertEquals((await http.rpc("event.read")).status, 401);
});

Deno.test("a refusal names the path that was asked for", async () => {
  await using daemon = await startTestDaemon();
  const { token } = await daemon.http().call("token.create", { name: "s", scopes: ["send"] });
  for (const path of VIEWS) {
    const { body } = await daemon.http(token).ask(path);
    assertEquals(body.error.message.split(":")[0], `GET ${path}`);
  }
});

Deno.test("an unknown path is 404, with or without a token", async () => {
  await using daemon = await startTestDaemon();
  for (const path of ["/", "/nothing", "/rpc/", "/events/1", "/healthz/x", "//healthz", "/api/x"]) {
    for (const token of [daemon.token, null]) {
      const { status, body } = await daemon.http(token).ask(path);
      assertEquals([status, body.error.code], [404, "not_found"], path);
    }
  }
});

Deno.test("a known path with another method is 405 and says which it takes", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const cases: [string, string, string][] = [
    ["GET", "/rpc", "POST"],
    ["PUT", "/rpc", "POST"],
    ["POST", "/events", "GET"],
    ["DELETE", "/healthz", "GET"],
    ["PATCH", "/metrics", "GET"],
    ["POST", "/ws", "GET"],
    ["OPTIONS", "/readyz", "GET"],
  ];
  for (const [method, path, allow] of cases) {
    const { status, headers } = await http.ask(path, { method });
    assertEquals([status, headers.get("allow")], [405, allow], `${method} ${path}`);
  }
});

Deno.test("HEAD is answered as GET, without a body", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  for (const path of [...VIEWS, "/events"]) {
    const { status, text } = await http.ask(path, { method: "HEAD" });
    assertEquals([status, text], [200, ""], path);
  }
  // What the HEAD of a stream has opened is not left behind.
  while ((await http.call("system.status")).connections !== 0) { /* until it is gone */ }
});

Deno.test("every answer names the version, refusals too", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  for (const path of ["/healthz", "/nothing", "/rpc", "/events?follow=0", "/events?follow=2"]) {
    assertEquals((await http.ask(path)).headers.get("postern-api-version"), "0", path);
  }
});

for (const header of ["Postern-Api-Version", "Cheetahclaws-Api-Version"]) {
  Deno.test(`${header}: 0 of any minor is taken, another major is 426 with the supported one`, async () => {
    await using daemon = await startTestDaemon();
    const http = daemon.http();
    for (const version of ["0", "0.7", " 0 "]) {
      assertEquals((await http.ask("/healthz", { headers: { [header]: version } })).status, 200);
    }
    for (const version of ["1", "00", "v0", "-0", "1.0", "0x"]) {
      const { status, body } = await http.ask("/rpc", {
        method: "POST",
        headers: { [header]: version },
        body: "{}",
      });
      assertEquals([status, body.error.code, body.error.supported], [
        426,
        "unsupported_version",
        "0",
      ]);
    }
  });
}

Deno.test("a request from a page is 403, whatever it shows", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  for (const origin of ["https://example.org", "http://localhost", "null"]) {
    for (const path of ["/healthz", "/events", "/nothing"]) {
      const { status, body } = await http.ask(path, { headers: { origin } });
      assertEquals([status, body.error.code], [403, "permission_denied"], `${origin} ${path}`);
    }
    assertEquals((await http.rpc("system.ping", {}, { headers: { origin } })).status, 403);
  }
});

Deno.test("a Host that is not localhost or the daemon's name is 403", async () => {
  await using daemon = await startTestDaemon({ config: { name: "Home" } });
  const status = async (host: string | null, target = "/nothing") => {
    const line = host === null ? "" : `Host: ${host}\r\n`;
    const answer = await askByHand(
      daemon.httpSocketPath,
      `GET ${target} HTTP/1.1\r\n${line}Connection: close\r\n\r\n`,
    );
    return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
  };
  const local = ["localhost", "LOCALHOST:8080", "127.0.0.1", "[::1]:80", "home", "HOME:1", ""];
  for (const host of local) assertEquals(await status(host), 404, host);
  const others = [
    "example.org",
    "localhost.example.org",
    "localhost@example.org",
    "127.0.0.1.example.org",
    "a b",
    "localhost:80:80",
    "[::2]",
    "10.0.0.1",
  ];
  for (const host of others) assertEquals(await status(host), 403, host);
  // The target may name another host than the header; the header is what a browser sets.
  assertEquals(await status("example.org", "http://localhost/nothing"), 403);
});

Deno.test("a client of HTTP/1.0 without a Host is served", async () => {
  await using daemon = await startTestDaemon();
  const answer = await askByHand(
    daemon.httpSocketPath,
    `GET /readyz HTTP/1.0\r\nAuthorization: Bearer ${daemon.token}\r\n\r\n`,
  );
  assertMatch(answer, /^HTTP\/1\.0 200/);
});

Deno.test("what is no HTTP ends its connection and nothing else", async () => {
  await using daemon = await startTestDaemon();
  const before = daemon.http();
  assertEquals((await before.ask("/readyz")).status, 200);
  for (const text of ['{"cmd":"status"}\n\n', "\u0000\u0001\r\n\r\n", "GET\r\n\r\n"]) {
    assertMatch(await askByHand(daemon.httpSocketPath, text), /^(HTTP\/1\.1 400|$)/);
  }
  assertEquals((await before.ask("/readyz")).status, 200);
});

Deno.test("with http.enabled false there is no socket, and the other one works", async () => {
  await using daemon = await startTestDaemon({ config: { http: { enabled: false } } });
  const names = [...Deno.readDirSync(daemon.directory)].map(({ name }) => name);
  assertEquals(names.includes("http.sock"), false);
  const client = await daemon.v2();
  assertEquals((await client.ask({ cmd: "status" })).ok, true);
});

Deno.test("the socket is 0600, and named in the discovery file", async () => {
  await using daemon = await startTestDaemon();
  assertEquals((await Deno.stat(daemon.httpSocketPath)).mode! & 0o777, 0o600);
  const discovery = JSON.parse(await Deno.readTextFile(`${daemon.directory}/daemon.json`));
  assertEquals(discovery.sockets, { ndjson: "postern.sock", http: "http.sock" });
});
