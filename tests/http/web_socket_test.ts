/** `GET /ws` and an upgrade at `/`: JSON-RPC with a message a frame, events, bounds, and how it is closed. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { range } from "../support/expect.ts";
import {
  askByHand,
  guarded,
  sendUpgrade,
  textFrame,
  upgradeByHand,
} from "../support/http_client.ts";
import { startTestDaemon } from "../support/in_process.ts";

const EVENT = { kind: "notify", payload: 1 };

Deno.test("a frame is a message, at /ws and at /", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  for (const path of ["/ws", "/"]) {
    const socket = await http.socket(path);
    assertEquals((await socket.ask("system.ping")).result.pong, true);
    socket.write('\n{"jsonrpc":"2.0",\n"id":7,\r\n"method":"system.ping"}\n');
    assertEquals((await socket.next()).id, 7);
    await socket.send([{ jsonrpc: "2.0", id: 1, method: "system.ping" }, {
      jsonrpc: "2.0",
      id: 2,
      method: "no.such",
    }]);
    assertEquals((await socket.next()).map(({ id }: { id: number }) => id), [1, 2]);
    await socket.send({ id: "x", method: "system.ping" });
    assertEquals("jsonrpc" in await socket.next(), false);
  }
});

Deno.test("other dialects are not spoken on it", async () => {
  await using daemon = await startTestDaemon();
  const socket = await daemon.http().socket();
  for (const message of [{ cmd: "status" }, { hello: { version: "1.0" } }, 7]) {
    await socket.send(message);
    assertEquals((await socket.next()).error.data.code, "invalid_request");
  }
  socket.write("{");
  assertEquals((await socket.next()).error.data.code, "parse_error");
  assertEquals((await socket.ask("system.ping")).result.pong, true);
});

Deno.test("replies come in the order of the requests, with events of subscriptions among them", async () => {
  await using daemon = await startTestDaemon();
  const socket = await daemon.http().socket();
  await daemon.fill(2);
  const opened = await socket.ask("event.subscribe", { consumer: null });
  assertEquals(opened.result, { subscription_id: "sub-1", replayed: 2, replay_to_seq: 2 });
  const events = [await socket.next(), await socket.next()];
  assertEquals(events.map(({ method, params }) => [method, params.seq, params.replay]), [
    ["event", 1, true],
    ["event", 2, true],
  ]);
  const sent = await socket.ask("event.send", EVENT);
  assertEquals([sent.result.seq, (await socket.next()).params.seq], [3, 3]);
  await socket.ask("event.unsubscribe", { subscription_id: "sub-1" });
  await daemon.fill(1);
  assertEquals((await socket.ask("system.ping")).result.pong, true);
  await socket.send(...range(1, 200).map((id) => ({ jsonrpc: "2.0", id, method: "system.ping" })));
  for (const id of range(1, 200)) assertEquals((await socket.next()).id, id);
});

Deno.test("records are watched on it", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  await http.call("record.define", { name: "a" });
  const socket = await http.socket();
  await socket.ask("record.subscribe", { name: "a" });
  await http.call("record.set", { name: "a", value: { x: 1 } });
  const { method, params } = await socket.next();
  assertEquals([method, params.name, params.data], ["record.event", "a", { x: 1 }]);
});

Deno.test("it is authenticated by a header, and may show another token by auth.login", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const { token } = await http.call("token.create", { name: "few", scopes: ["read"] });
  const socket = await daemon.http(token).socket();
  assertEquals((await socket.ask("event.send", EVENT)).error.data.code, "permission_denied");
  assertEquals((await socket.ask("auth.login", { token: daemon.token })).result.scopes.length, 5);
  assertEquals((await socket.ask("event.send", EVENT)).result.seq, 1);
});

Deno.test("without a token in a header it shows one by auth.login", async () => {
  await using daemon = await startTestDaemon();
  const stranger = await daemon.http(null).socket();
  assertEquals((await stranger.ask("event.read")).error.data.code, "auth_required");
  assertEquals((await stranger.ask("system.status")).result.connections, 1);
  assertEquals((await stranger.ask("auth.login", { token: daemon.token })).result.scopes.length, 5);
  assertEquals((await stranger.ask("event.read")).result.events, []);
});

Deno.test("eight may wait for their token; one that has shown it makes room", async () => {
  await using daemon = await startTestDaemon();
  const sockets = [];
  for (const _ of range(1, 8)) sockets.push(await daemon.http(null).socket());
  const { conn, head } = await upgradeByHand(daemon.httpSocketPath, null);
  assertMatch(head, /^HTTP\/1.1 503 .*have not shown a token yet/is);
  conn.close();
  await daemon.http().socket();
  await sockets[0]!.ask("auth.login", { token: daemon.token });
  await daemon.http(null).socket();
});

Deno.test("one that shows no token in limits.hello_timeout_ms is closed", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { hello_timeout_ms: 100 } } });
  const silent = await daemon.http(null).socket();
  await silent.closed;
  const shown = await daemon.http(null).socket();
  await shown.ask("auth.login", { token: daemon.token });
  const next = await daemon.http(null).socket();
  await next.closed;
  assertEquals((await shown.ask("event.read")).result.events, []);
});

Deno.test("one that shows no token in time and stays is still counted, and keeps out none with a token", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { hello_timeout_ms: 100 } } });
  const stranger = () => upgradeByHand(daemon.httpSocketPath, null);
  const stuck = [];
  const goodbyes = [];
  for (const _ of range(1, 8)) {
    const { conn, head } = await stranger();
    // Half of a message; the goodbye stays unanswered.
    await conn.write(textFrame("x".repeat(100_000)).subarray(0, 50_000));
    stuck.push(conn);
    // It may have come with the head already.
    if (head.endsWith("\r\n\r\n")) goodbyes.push(conn.read(new Uint8Array(64)));
  }
  await guarded(Promise.all(goodbyes), "goodbye to each");
  const refused = await stranger();
  refused.conn.close();
  assertMatch(refused.head, /^HTTP\/1.1 503 .*have not shown a token yet/is);
  assertEquals((await (await daemon.http().socket()).ask("system.ping")).result.pong, true);
  stuck.shift()!.close();
  await guarded(untilUpgraded(stranger), "room for another");
  for (const conn of stuck) conn.close();
});

Deno.test("on a socket that a group reaches an upgrade without a token is 401, and counts for no connection", async () => {
  const config = { limits: { max_connections: 2 }, socket: { mode: "0660" } };
  await using daemon = await startTestDaemon({ config });
  for (const _ of range(1, 5)) {
    const { conn, head } = await upgradeByHand(daemon.httpSocketPath, null);
    assertMatch(head, /^HTTP\/1.1 401 .*www-authenticate: Bearer.*auth_required/is);
    conn.close();
  }
  const socket = await daemon.http().socket();
  assertEquals((await socket.ask("system.status")).result.connections, 1);
});

Deno.test("the third failed auth.login closes it", async () => {
  await using daemon = await startTestDaemon();
  const socket = await daemon.http().socket();
  for (let i = 0; i < 3; i++) {
    assertEquals((await socket.ask("auth.login", { token: "no" })).error.data.code, "auth_failed");
  }
  assertEquals((await socket.closed).code, 1000);
});

Deno.test("when the daemon stops it is answered what it asked, and closed with 1001", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const socket = await http.socket();
  const reader = await http.socket();
  await reader.ask("event.subscribe");
  await socket.send(
    ...range(1, 50).map((id) => (
      { jsonrpc: "2.0", id, method: "event.send", params: EVENT }
    )),
    { jsonrpc: "2.0", id: 51, method: "system.shutdown" },
  );
  for (const id of range(1, 50)) assertEquals((await socket.next()).result.seq, id);
  assertEquals((await socket.next()).result, {});
  assertEquals((await socket.closed).code, 1001);
  assertEquals((await reader.closed).code, 1001);
});

Deno.test("a binary frame closes it with 1003, and is not carried out", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const socket = await http.socket();
  const request = { jsonrpc: "2.0", id: 1, method: "event.send", params: EVENT };
  socket.write(new TextEncoder().encode(JSON.stringify(request)).buffer as ArrayBuffer);
  assertEquals(await socket.closed, { code: 1003, reason: "a frame must be text" });
  assertEquals((await http.call("event.read")).events, []);
});

Deno.test("a frame over limits.max_line_bytes is told too_large, then it is closed", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_line_bytes: 65536 } } });
  const socket = await daemon.http().socket();
  socket.write(`"${"x".repeat(70_000)}"`);
  assertEquals((await socket.next()).error.data.code, "too_large");
  await socket.closed;
});

Deno.test("whoever sends and does not read is closed with 1009, and others go on", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(20, { payload: "x".repeat(50_000) });
  const { conn } = await upgradeByHand(daemon.httpSocketPath, daemon.token);
  using flood = conn;
  // Answers of a megabyte, which nobody reads: then the requests are not read either.
  const frame = textFrame(JSON.stringify({
    jsonrpc: "2.0",
    id: "x".repeat(10_000),
    method: "event.read",
  }));
  const flooding = (async () => {
    for (;;) await flood.write(frame);
  })().catch(() => {});
  const other = await daemon.http().socket();
  const refused = async () => {
    while (!daemon.logged.some(({ message }) => message === "a WebSocket was closed")) {
      assertEquals((await other.ask("system.ping")).result.pong, true);
    }
  };
  await guarded(refused(), "refusal of the flood");
  const part = new Uint8Array(1024 * 1024);
  const reading = (async () => {
    while (await flood.read(part) !== null) { /* until the end */ }
  })().catch(() => {});
  await guarded(Promise.all([flooding, reading]), "end of the connection");
  while ((await other.ask("system.status")).result.connections !== 1) { /* until it is gone */ }
});

Deno.test("what was sent before the client closed is carried out", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const socket = await http.socket();
  for (let i = 0; i < 20; i++) {
    await socket.send({ jsonrpc: "2.0", method: "event.send", params: EVENT });
  }
  socket.close();
  await socket.closed;
  while ((await http.call("system.status")).connections > 0) { /* until it is over */ }
  assertEquals((await http.call("event.read")).events.length, 20);
});

Deno.test("what is no upgrade is 400 at /ws and 404 at /", async () => {
  await using daemon = await startTestDaemon();
  const shown = `Authorization: Bearer ${daemon.token}\r\n`;
  const head = `Host: localhost\r\nConnection: close\r\n${shown}`;
  const cases: [string, RegExp][] = [
    [`GET /ws HTTP/1.1\r\n${head}`, /^HTTP\/1.1 400 .*takes a WebSocket upgrade/s],
    [`GET / HTTP/1.1\r\n${head}`, /^HTTP\/1.1 404/],
    [`GET /ws HTTP/1.1\r\n${head}Upgrade: h2c\r\n`, /^HTTP\/1.1 400/],
    [
      `GET /ws HTTP/1.1\r\n${head}Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n`,
      /^HTTP\/1.1 400 .*no WebSocket upgrade/s,
    ],
  ];
  for (const [request, expected] of cases) {
    assertMatch(await askByHand(daemon.httpSocketPath, `${request}\r\n`), expected);
  }
  assertEquals(daemon.logged.filter(({ level }) => level === "error"), []);
});

Deno.test("the answer to an upgrade names the version; a page, another version and a wrong token get none", async () => {
  await using daemon = await startTestDaemon();
  const upgrade = async (more: string, token = daemon.token) => {
    const { conn, head } = await upgradeByHand(daemon.httpSocketPath, token, more);
    conn.close();
    return head;
  };
  const accepted = await upgrade("");
  assertMatch(accepted, /^HTTP\/1.1 101 .*\r\npostern-api-version: 0\r\n/is);
  assertMatch(await upgrade("Origin: http://localhost\r\n"), /^HTTP\/1.1 403/);
  assertMatch(await upgrade("Postern-Api-Version: 1\r\n"), /^HTTP\/1.1 426/);
  assertMatch(await upgrade("", "wrong"), /^HTTP\/1.1 403/);
});

Deno.test("an upgrade to another version of WebSockets than 13, or to none, is 426 and told which", async () => {
  await using daemon = await startTestDaemon();
  for (const version of ["", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 13, 8\r\n"]) {
    const { conn, head } = await upgradeByHand(daemon.httpSocketPath, daemon.token, "", version);
    conn.close();
    assertMatch(head, /^HTTP\/1.1 426 .*\r\nsec-websocket-version: 13\r\n.*unsupported_version/is);
    assertMatch(head, /\r\nupgrade: websocket\r\n/i);
  }
});

Deno.test("WebSockets count among limits.max_connections; one more is closed with 1013", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_connections: 2 } } });
  const http = daemon.http();
  const first = await http.socket();
  await http.socket();
  const third = await http.socket();
  const { code, reason } = await third.closed;
  assertEquals(code, 1013);
  assert(reason.includes("at most 2 connections"), reason);
  first.close();
  await first.closed;
  for (;;) {
    const again = await http.socket();
    const said = await Promise.race([again.ask("system.ping").catch(() => null), again.closed]);
    if (said !== null && "result" in said) break;
  }
});

Deno.test("when limits.max_connections are connected an upgrade without a token is 503", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_connections: 1 } } });
  await daemon.http().socket();
  const { conn, head } = await upgradeByHand(daemon.httpSocketPath, null);
  conn.close();
  assertMatch(head, /^HTTP\/1.1 503 .*at most 1 connections/is);
});

Deno.test("eight may leave their 1013 unanswered; one that goes makes room", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_connections: 1 } } });
  await daemon.http().socket();
  const upgrade = () => upgradeByHand(daemon.httpSocketPath, daemon.token);
  const stuck = [];
  for (const _ of range(1, 8)) {
    const { conn, head } = await upgrade();
    assertMatch(head, /^HTTP\/1.1 101 /);
    stuck.push(conn);
  }
  const ninth = await upgrade();
  ninth.conn.close();
  assertMatch(ninth.head, /^HTTP\/1.1 503 .*at most 1 connections/is);
  stuck.shift()!.close();
  await guarded(untilUpgraded(upgrade), "room for another");
  for (const conn of stuck) conn.close();
});

Deno.test("a hundred that vanish before they are told 1013 leave nothing behind", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_connections: 1 } } });
  await daemon.http().socket();
  const upgrade = () => upgradeByHand(daemon.httpSocketPath, daemon.token);
  for (let i = 0; i < 100; i++) (await upgrade()).conn.close();
  await guarded(untilUpgraded(upgrade), "room for another");
  assertEquals(daemon.logged.filter(({ level }) => level === "error"), []);
});

Deno.test("those that vanish before their upgrade is answered leave nothing behind, with a token or without", async () => {
  const config = { limits: { max_connections: 9, hello_timeout_ms: 3_600_000 } };
  await using daemon = await startTestDaemon({ config });
  for (const token of [null, daemon.token]) {
    for (let i = 0; i < 100; i++) (await sendUpgrade(daemon.httpSocketPath, token)).close();
    await guarded(untilUpgraded(() => upgradeByHand(daemon.httpSocketPath, token)), "room");
  }
  const http = daemon.http();
  const gone = async () => {
    while ((await http.call("system.status")).connections > 0) { /* until they are forgotten */ }
  };
  await guarded(gone(), "end of all");
});

/** Asks until it is let in, and lets go of it. */
async function untilUpgraded(upgrade: () => ReturnType<typeof upgradeByHand>): Promise<void> {
  for (;;) {
    const { conn, head } = await upgrade();
    conn.close();
    if (head.startsWith("HTTP/1.1 101 ")) return;
  }
}

Deno.test("a hundred clients that vanish leave nothing behind", async () => {
  await using daemon = await startTestDaemon();
  for (let i = 0; i < 100; i++) {
    const { conn } = await upgradeByHand(daemon.httpSocketPath, daemon.token);
    conn.close();
  }
  const http = daemon.http();
  while ((await http.call("system.status")).connections > 0) { /* until they are forgotten */ }
  assertEquals(daemon.logged.filter(({ level }) => level === "error"), []);
});
