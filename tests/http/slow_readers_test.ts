/** Whoever does not read over HTTP is paused: bounded, nobody else's concern, and nothing is lost. */

import { assertEquals, assertLess } from "@std/assert";
import { range } from "../support/expect.ts";
import { guarded, type HttpClient, textFrame, upgradeByHand } from "../support/http_client.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

/** 24 MB of events, far more than any outbox, and than sockets hold on their way. */
const COUNT = 240;
const PAYLOAD = "x".repeat(100_000);

async function fill(daemon: TestDaemon): Promise<void> {
  const http = daemon.http();
  for (const n of range(1, COUNT)) {
    await http.call("event.send", { kind: "notify", payload: [n, PAYLOAD] });
  }
}

async function metric(http: HttpClient, name: string): Promise<number> {
  const { text } = await http.ask("/metrics");
  return Number(new RegExp(`^postern_${name} (\\S+)$`, "m").exec(text)?.[1]);
}

Deno.test("a slow reader of events is paused, others are not, and it gets everything later", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const slow = await http.events();
  const quick = await http.events();
  const reading = quick.many(COUNT);
  await fill(daemon);
  assertEquals((await reading).map(({ data }) => data.seq), range(1, COUNT));
  assertEquals(await metric(http, "paused_readers"), 1);
  // The one has had all of it, the other no more than its outbox and the sockets hold.
  const sent = await metric(http, 'socket_bytes_total{direction="sent"}'.replace(/[{}]/g, "\\$&"));
  assertLess(sent, COUNT * 100_000 * 1.5);
  const frames = await slow.many(COUNT);
  assertEquals(frames.map(({ data }) => data.seq), range(1, COUNT));
  assertEquals(frames.every(({ data }) => data.envelope.payload[1] === PAYLOAD), true);
});

Deno.test("a hundred readers that read nothing cost the sender nothing", async () => {
  await using daemon = await startTestDaemon({ config: { http: { max_sse_clients: 100 } } });
  const http = daemon.http();
  await Promise.all(range(1, 100).map(() => http.events()));
  await fill(daemon);
  assertEquals((await http.call("system.status")).store.head_seq, COUNT);
  assertEquals(await metric(http, "paused_readers"), 100);
});

Deno.test("a slow reader is told of what retention dropped meanwhile as one gap", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 20 } } });
  const slow = await daemon.http().events();
  await fill(daemon);
  const frames = [];
  for (let last = 0; last < COUNT;) {
    const frame = await slow.next();
    frames.push(frame);
    last = Number(frame.id);
  }
  const gaps = frames.filter(({ event }) => event === "gap");
  assertEquals(gaps.length, 1);
  const { from_seq, to_seq } = gaps[0]!.data;
  const lost = new Set(range(from_seq, to_seq));
  const told = frames.filter(({ event }) => event === "message").map(({ data }) => data.seq);
  assertEquals(told, range(1, COUNT).filter((seq) => !lost.has(seq)));
});

Deno.test("a WebSocket that is not read is paused and gets everything later", async () => {
  await using daemon = await startTestDaemon();
  const { conn } = await upgradeByHand(daemon.httpSocketPath, daemon.token);
  using slow = conn;
  const subscribe = { jsonrpc: "2.0", id: 1, method: "event.subscribe" };
  await slow.write(textFrame(JSON.stringify(subscribe)));
  const http = daemon.http();
  const other = await http.socket();
  while ((await metric(http, "subscriptions")) === 0) { /* until it is there */ }
  await fill(daemon);
  assertEquals((await other.ask("system.ping")).result.pong, true);
  assertEquals(await metric(http, "paused_readers"), 1);
  const seqs: number[] = [];
  for await (const frame of framesOf(slow)) {
    const { method, params } = JSON.parse(frame);
    if (method === "event") seqs.push(params.seq);
    if (seqs.length === COUNT) break;
  }
  assertEquals(seqs, range(1, COUNT));
});

Deno.test("readers that do not read delay a stop by about a second, not by its grace", async () => {
  await using daemon = await startTestDaemon();
  await fill(daemon);
  const http = daemon.http();
  const events = await http.events();
  const { conn } = await upgradeByHand(daemon.httpSocketPath, daemon.token);
  using slow = conn;
  const subscribe = { jsonrpc: "2.0", id: 1, method: "event.subscribe" };
  await slow.write(textFrame(JSON.stringify(subscribe)));
  while ((await metric(http, "paused_readers")) === 0) { /* until they hold it up */ }
  const began = performance.now();
  await daemon.stop();
  assertLess(performance.now() - began, 10_000);
  events.close();
  await daemon.start();
});

Deno.test("answers that nobody reads are in progress, and those beyond the bound are cut off", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  for (const n of range(1, 9)) {
    await http.call("event.send", { kind: "notify", payload: [n, PAYLOAD] });
  }
  const asked = '{"jsonrpc":"2.0","id":1,"method":"event.read"}';
  const head = `POST /rpc HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${daemon.token}\r\n`;
  const request = new TextEncoder().encode(
    `${head}Content-Length: ${asked.length}\r\n\r\n${asked}`,
  );
  const conns = [];
  for (const _ of range(1, 150)) {
    const conn = await Deno.connect({ transport: "unix", path: daemon.httpSocketPath });
    await conn.write(request);
    conns.push(conn);
  }
  while (await metric(http, "http_requests") < 60) { /* until they are there */ }
  assertEquals((await http.call("event.read")).events.length, 9);
  // 64 MiB are 74 of these answers, the metrics' own request is one.
  assertLess(await metric(http, "http_requests"), 80);
  for (const conn of conns) conn.close();
  while (await metric(http, "http_requests") > 1) { /* until they are gone */ }
});

Deno.test("requests that never become whole do not hold up a stop", async () => {
  await using daemon = await startTestDaemon();
  const heads = [
    "GET /readyz HTTP/1.1\r\nHost: local",
    "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    "",
  ];
  const conns = await Promise.all(
    heads.map(() => Deno.connect({ transport: "unix", path: daemon.httpSocketPath })),
  );
  for (const [i, head] of heads.entries()) await conns[i]!.write(new TextEncoder().encode(head));
  assertEquals((await daemon.http().ask("/readyz")).status, 200);
  const began = performance.now();
  await daemon.stop();
  assertLess(performance.now() - began, 10_000);
  for (const conn of conns) conn.close();
  await daemon.start();
});

/** The text frames that a server sends, as they are asked for. */
async function* framesOf(conn: Deno.Conn): AsyncGenerator<string> {
  let held = new Uint8Array(0);
  const part = new Uint8Array(256 * 1024);
  for (;;) {
    for (;;) {
      const frame = firstFrame(held);
      if (frame === null) break;
      yield new TextDecoder().decode(held.subarray(frame.from, frame.to));
      held = held.slice(frame.to);
    }
    const count = await guarded(conn.read(part), "a frame");
    if (count === null) return;
    const joined = new Uint8Array(held.length + count);
    joined.set(held);
    joined.set(part.subarray(0, count), held.length);
    held = joined;
  }
}

function firstFrame(bytes: Uint8Array): { from: number; to: number } | null {
  if (bytes.length < 10) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const short = view.getUint8(1);
  const [length, from] = short < 126
    ? [short, 2]
    : short === 126
    ? [view.getUint16(2), 4]
    : [view.getUint32(6), 10];
  return from + length <= bytes.length ? { from, to: from + length } : null;
}
