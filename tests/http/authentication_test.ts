/** Who asks: tokens in headers, what a wrong one costs, on whose behalf, and a trusted socket. */

import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line } from "../support/raw_client.ts";

function asBase64(hex: string): string {
  return btoa(String.fromCharCode(...Uint8Array.fromHex(hex)));
}

async function status(daemon: TestDaemon, headers: Record<string, string>): Promise<number> {
  return (await daemon.http(null).rpc("event.read", {}, { headers })).status;
}

Deno.test("a token is taken from Authorization, or from X-RDV-Service-Token in hex or base64", async () => {
  await using daemon = await startTestDaemon();
  const { token } = daemon;
  const base64 = asBase64(token);
  const url = base64.replaceAll("+", "-").replaceAll("/", "_").replace("=", "");
  const accepted: Record<string, string>[] = [
    { authorization: `Bearer ${token}` },
    { authorization: `bearer   ${token.toUpperCase()}` },
    { "x-rdv-service-token": token },
    { "x-rdv-service-token": base64 },
    { "x-rdv-service-token": url },
    { "x-rdv-service-token": `Bearer ${base64}` },
  ];
  for (const headers of accepted) {
    assertEquals(await status(daemon, headers), 200, JSON.stringify(headers));
  }
});

Deno.test("a token that is not valid is 403, also where none is needed", async () => {
  await using daemon = await startTestDaemon();
  const wrong = "0".repeat(64);
  const refused: Record<string, string>[] = [
    { authorization: `Bearer ${wrong}` },
    { authorization: "Bearer" },
    { authorization: `Basic ${btoa("a:b")}` },
    { "x-rdv-service-token": asBase64(wrong) },
  ];
  const answers = await Promise.all(
    refused.map((headers) => daemon.http(null).rpc("system.ping", {}, { headers })),
  );
  for (const { status, body } of answers) {
    assertEquals([status, body.error.code], [403, "auth_failed"]);
  }
});

Deno.test("each further failure is held back longer, and a right token is not", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const took = async (token: string) => {
    const began = performance.now();
    await http.ask("/readyz", { token });
    return performance.now() - began;
  };
  assertGreaterOrEqual(await took("wrong"), 95);
  assertGreaterOrEqual(await took("wrong"), 195);
  // A wrong one waits for 400 ms, while right ones are answered.
  let waiting = true;
  const wrong = took("wrong").finally(() => waiting = false);
  for (let i = 0; i < 5; i++) assertEquals((await http.ask("/readyz")).status, 200);
  assert(waiting, "right tokens were answered only behind a wrong one");
  assertGreaterOrEqual(await wrong, 395);
});

Deno.test("failures beyond those that are held back are 429 at once", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http("wrong");
  const answers = await Promise.all(Array.from({ length: 80 }, () => http.ask("/readyz")));
  const limited = answers.filter(({ status }) => status === 429);
  assertEquals(limited.length, 80 - 64);
  for (const { headers, body } of limited) {
    assertEquals(body.error.code, "rate_limited");
    assertGreaterOrEqual(Number(headers.get("retry-after")), 1);
  }
  assertEquals((await http.ask("/readyz", { token: daemon.token })).status, 200);
});

Deno.test("a failed authentication is counted once, by header and by auth.login", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  await http.ask("/readyz", { token: "wrong" });
  await http.rpc("auth.login", { token: "wrong" });
  const { text } = await http.ask("/metrics");
  assert(text.includes("\npostern_auth_failures_total 2\n"), text);
});

Deno.test("the audit has each failure, and a token's success once for many requests", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  for (let i = 0; i < 5; i++) await http.ask("/readyz");
  await http.ask("/readyz", { token: "wrong" });
  const logins = daemon.audit().filter(({ op }) => op === "auth.login");
  assertEquals(
    logins.map(({ outcome, token_id, transport }) => [outcome, token_id, transport]),
    [["ok", "owner", "http"], ["auth_failed", null, "http"]],
  );
});

Deno.test("X-RDV-User-ID is on_behalf_of in the audit, for whoever has shown a token", async () => {
  await using daemon = await startTestDaemon();
  const headers = { "x-rdv-service-token": asBase64(daemon.token), "x-rdv-user-id": "user-17" };
  const params = { name: "one", scopes: ["read"] };
  const created = await daemon.http(null).rpc("token.create", params, { headers });
  assertEquals(created.status, 200);
  const long = { ...headers, "x-rdv-user-id": "x".repeat(5000) };
  await daemon.http(null).rpc("token.revoke", { id: "one" }, { headers: long });
  await daemon.http(null).rpc("token.list", {}, { headers: { "x-rdv-user-id": "stranger" } });
  const of = (name: string): Line => daemon.audit().find(({ op }) => op === name)!;
  assertEquals(of("token.create").on_behalf_of, "user-17");
  assertEquals(of("token.revoke").on_behalf_of.length, 128);
  assertEquals("on_behalf_of" in of("token.list"), false);
});

Deno.test("a token with few scopes may do what they say", async () => {
  await using daemon = await startTestDaemon();
  const { token } = await daemon.http().call("token.create", { name: "s", scopes: ["send"] });
  const http = daemon.http(token);
  assertEquals((await http.rpc("event.send", { kind: "notify", payload: 1 })).status, 200);
  for (const path of ["/healthz", "/readyz", "/metrics", "/events"]) {
    const { status, body } = await http.ask(path);
    assertEquals([status, body.error.code, body.error.scope], [403, "permission_denied", "read"]);
  }
  assertEquals((await http.rpc("event.read")).status, 403);
});

Deno.test("auth.login authenticates what stands behind it in the same batch, and no other request", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http(null);
  const { body } = await http.post([
    { jsonrpc: "2.0", id: 1, method: "auth.login", params: { token: daemon.token } },
    { jsonrpc: "2.0", id: 2, method: "event.read" },
  ]);
  assertEquals(body.map(({ result }: Line) => result !== undefined), [true, true]);
  assertEquals((await http.rpc("event.read")).status, 401);
});

Deno.test("with trust_socket nobody needs a token, and a wrong one is still refused", async () => {
  await using daemon = await startTestDaemon({ config: { trust_socket: true } });
  const http = daemon.http(null);
  assertEquals((await http.rpc("token.list")).status, 200);
  assertEquals((await http.ask("/metrics")).status, 200);
  const socket = await http.socket();
  assertEquals((await socket.ask("event.read")).result.events, []);
  assertEquals((await http.ask("/metrics", { token: "wrong" })).status, 403);
  const refused = daemon.audit().filter(({ outcome }) => outcome === "auth_failed");
  assertEquals(refused.map(({ token_id }) => token_id), [null]);
});

Deno.test("a revoked token's streams and WebSockets end, and it opens nothing any more", async () => {
  await using daemon = await startTestDaemon();
  const owner = daemon.http();
  const { token } = await owner.call("token.create", { name: "r", scopes: ["read"] });
  const http = daemon.http(token);
  const events = await http.events();
  const socket = await http.socket();
  await owner.call("token.revoke", { id: "r" });
  assertEquals(await events.nextOrEnd(), null);
  await socket.closed;
  assertEquals((await http.ask("/healthz")).status, 403);
});
