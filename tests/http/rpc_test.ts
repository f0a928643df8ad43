/** `POST /rpc`: single requests, batches and notifications, the status of each refusal, and what a body may be. */

import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { HTTP_STATUS } from "../../src/codecs/http_status.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import { range } from "../support/expect.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line } from "../support/raw_client.ts";

const EVENT = { kind: "notify", payload: { text: "hello" } };

Deno.test("a request is answered as JSON-RPC, whatever its content type", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  for (const type of [undefined, "text/plain", "application/x-www-form-urlencoded", "no/such"]) {
    const headers: Record<string, string> = type === undefined ? {} : { "content-type": type };
    const body = new TextEncoder().encode('{"jsonrpc":"2.0","id":"a","method":"system.ping"}\r\n');
    const answer = await http.ask("/rpc", { method: "POST", headers, body });
    assertEquals(answer.status, 200);
    assertEquals(answer.headers.get("content-type"), "application/json");
    assertEquals([answer.body.jsonrpc, answer.body.id, answer.body.result.pong], [
      "2.0",
      "a",
      true,
    ]);
  }
});

Deno.test("the AI Assist form is answered without jsonrpc", async () => {
  await using daemon = await startTestDaemon();
  const { status, body } = await daemon.http().post({ id: 1, method: "system.ping" });
  assertEquals([status, body.result.pong, "jsonrpc" in body], [200, true, false]);
});

Deno.test("a batch is answered by an array with 200, refusals among it", async () => {
  await using daemon = await startTestDaemon();
  const { status, body } = await daemon.http().post([
    { jsonrpc: "2.0", id: 1, method: "event.send", params: EVENT },
    { jsonrpc: "2.0", method: "event.send", params: EVENT },
    { jsonrpc: "2.0", id: 2, method: "no.such" },
    { jsonrpc: "2.0", id: 3, method: "event.read" },
  ]);
  assertEquals(status, 200);
  assertEquals(body.map(({ id }: Line) => id), [1, 2, 3]);
  assertEquals(body[1].error.data.code, "unknown_operation");
  assertEquals(body[2].result.events.map(({ seq }: Line) => seq), [1, 2]);
});

Deno.test("notifications are carried out and answered by 204 without a body", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const one = { jsonrpc: "2.0", method: "event.send", params: EVENT };
  for (const sent of [one, [one, one], { ...one, method: "no.such" }]) {
    const { status, text } = await http.post(sent);
    assertEquals([status, text], [204, ""]);
  }
  assertEquals((await http.call("event.read")).events.length, 3);
});

Deno.test("echo.ping answers its parameters, and system.ping the time in milliseconds", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const echoed = await http.call("echo.ping", { a: [1, "é"], b: null });
  assertEquals([echoed.pong, echoed.echo], [true, { a: [1, "é"], b: null }]);
  const { timestamp } = await http.call("system.ping");
  assertGreater(timestamp, 1_600_000_000_000);
  assert(Math.abs(echoed.ts - timestamp / 1000) < 10);
});

/** What docs/protocol/http.md says, in its table of statuses. */
const PAGE = Deno.readTextFileSync(new URL("../../docs/protocol/http.md", import.meta.url));
const TABLE = PAGE.slice(
  PAGE.indexOf("### Statuses of errors"),
  PAGE.indexOf("Outside of JSON-RPC"),
);
const STATUSES: Record<string, number> = Object.fromEntries(
  [...TABLE.matchAll(/^\| (\d{3}) +\|(.*)\|$/gm)].flatMap(([, status, cell]) =>
    [...cell!.replace(/, with .*/, "").matchAll(/`(\w+)`/g)].map((
      [, code],
    ) => [code, Number(status)])
  ),
);

/** How to be refused with each code that a request can come to. */
const REFUSALS: Partial<
  Record<ErrorCode, (daemon: TestDaemon) => Promise<{ status: number; body: Line }>>
> = {
  parse_error: (daemon) => daemon.http().ask("/rpc", { method: "POST", body: "{" }),
  invalid_request: (daemon) => daemon.http().post({ jsonrpc: "2.0", id: 1 }),
  unknown_operation: (daemon) => daemon.http().rpc("no.such"),
  invalid_params: (daemon) => daemon.http().rpc("event.inbox", { limit: 0 }),
  auth_required: (daemon) => daemon.http(null).rpc("event.inbox"),
  auth_failed: (daemon) => daemon.http().rpc("auth.login", { token: "wrong" }),
  permission_denied: (daemon) =>
    daemon.http().rpc("event.send", { ...EVENT, topic: "turn.started" }),
  not_found: (daemon) => daemon.http().rpc("record.get", { name: "nothing" }),
  async no_value(daemon) {
    await daemon.http().call("record.define", { name: "empty" });
    return daemon.http().rpc("record.get", { name: "empty" });
  },
  async conflict(daemon) {
    await daemon.http().call("token.create", { name: "same", scopes: ["read"] });
    return daemon.http().rpc("token.create", { name: "same", scopes: ["read"] });
  },
  ack_out_of_range: (daemon) => daemon.http().rpc("event.ack", { up_to_seq: 9 }),
  too_large: (daemon) =>
    daemon.http().rpc("event.send", {
      events: range(1, 6).map(() => ({ kind: "notify", payload: "x".repeat(100_000) })),
    }),
  peer_not_found: (daemon) => daemon.http().rpc("event.send", { ...EVENT, to: "ed25519.0" }),
};

for (const [code, refuse] of Object.entries(REFUSALS)) {
  Deno.test(`${code} has its status, and stands in error.data`, async () => {
    await using daemon = await startTestDaemon();
    const { status, body } = await refuse(daemon);
    assertEquals([status, body.error.data.code], [STATUSES[code], code]);
  });
}

Deno.test("every code of ours has the status that the page says", () => {
  assertEquals({ ...HTTP_STATUS }, STATUSES);
});

Deno.test("an exceeded rate is 429 and says in the head when to come again", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { rate: { send: 1 } } } });
  const http = daemon.http();
  const { body } = await http.post([1, 2].map((id) => (
    { jsonrpc: "2.0", id, method: "event.send", params: EVENT }
  )));
  assertEquals(body[1].error.data.code, "rate_limited");
  const { status, headers } = await http.rpc("event.send", EVENT);
  assertEquals([status, headers.get("retry-after")], [429, "1"]);
});

Deno.test("what streams is invalid_request, and says where to go instead", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  await http.call("record.define", { name: "a" });
  const cases: [string, Line][] = [["event.subscribe", {}], ["record.subscribe", { name: "a" }]];
  for (const [method, params] of cases) {
    const { status, body } = await http.rpc(method, params);
    assertEquals([status, body.error.data.code], [400, "invalid_request"], method);
    assertMatch(body.error.message, /GET \/events/);
  }
  assertEquals((await http.rpc("event.unsubscribe", { subscription_id: "sub-1" })).status, 404);
});

Deno.test("a body over limits.max_line_bytes is 413, announced or not", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_line_bytes: 65536 } } });
  const http = daemon.http();
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "x", params: "x".repeat(65536) });
  const announced = await http.ask("/rpc", { method: "POST", body });
  const { id, error } = announced.body;
  assertEquals([announced.status, id, error.code], [413, null, -32600]);
  assertEquals([error.data.code, error.data.limit], ["too_large", 65536]);
  const inPieces = ReadableStream.from([body.slice(0, 60_000), body.slice(60_000)])
    .pipeThrough(new TextEncoderStream());
  assertEquals((await http.ask("/rpc", { method: "POST", body: inPieces })).status, 413);
  const ping = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "system.ping" });
  const longest = ping + " ".repeat(65536 - ping.length);
  assertEquals((await http.ask("/rpc", { method: "POST", body: longest })).status, 200);
});

Deno.test("a body that is not UTF-8, or empty, or no JSON is parse_error", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const bodies = [
    new Uint8Array([0x22, 0xff, 0x22]),
    new TextEncoder().encode('"é"').subarray(0, 2),
    "",
    " ",
    "{}{}",
    '{"a":1,}',
    "[".repeat(200),
  ];
  for (const body of bodies) {
    const { status, text } = await http.ask("/rpc", { method: "POST", body });
    assertEquals([status, text.includes('"parse_error"')], [400, true], text);
  }
});

Deno.test("numbers that JavaScript cannot hold come back as they were written", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const payload = '{"n":12345678901234567890,"e":1.50}';
  await http.ask("/rpc", {
    method: "POST",
    body:
      `{"jsonrpc":"2.0","id":1,"method":"event.send","params":{"kind":"notify","payload":${payload}}}`,
  });
  const { text } = await http.rpc("event.read");
  assert(text.includes('"n":12345678901234567890'), text);
});

Deno.test("a consumer is named in each request, and its cursor is the one of every dialect", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  await daemon.fill(3);
  const { messages } = await http.call("event.inbox", { consumer: "mine", limit: 2 });
  assertEquals(messages.map(({ seq }: Line) => seq), [1, 2]);
  await http.call("event.ack", { consumer: "mine", up_to_seq: 2 });
  const client = await daemon.v2("mine");
  const inbox = await client.ask({ cmd: "inbox" });
  assertEquals(inbox.messages.map(({ seq }: Line) => seq), [3]);
});

Deno.test("a hundred requests at once are each answered with their own", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const answers = await Promise.all(range(1, 100).map((n) => http.call("echo.ping", { n })));
  assertEquals(answers.map(({ echo }) => echo.n), range(1, 100));
});

Deno.test("a client that goes away before its answer costs nobody anything", async () => {
  await using daemon = await startTestDaemon();
  for (let i = 0; i < 20; i++) {
    using conn = await Deno.connect({ transport: "unix", path: daemon.httpSocketPath });
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "event.send", params: EVENT });
    const head =
      `POST /rpc HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${daemon.token}\r\n`;
    const cut = i % 2 === 0 ? body : body.slice(0, 20);
    await conn.write(
      new TextEncoder().encode(`${head}Content-Length: ${body.length}\r\n\r\n${cut}`),
    );
  }
  assertEquals((await daemon.http().rpc("system.ping")).status, 200);
  assertEquals(daemon.logged.filter(({ level }) => level === "error"), []);
});

Deno.test("a shutdown is answered, and the daemon ends", async () => {
  await using daemon = await startTestDaemon();
  const { closed } = daemon;
  const { status, body } = await daemon.http().post([
    { jsonrpc: "2.0", id: 1, method: "system.shutdown" },
    { jsonrpc: "2.0", id: 2, method: "event.send", params: EVENT },
  ]);
  assertEquals([status, body[0].result, body[1].error.data.code], [200, {}, "shutting_down"]);
  assertEquals(await closed, "system.shutdown");
});
