/** `/metrics` as a real parser reads it, after traffic in every dialect. */

import { assert, assertEquals } from "@std/assert";
import { connect } from "../../src/client/mod.ts";
import { eventually } from "../support/eventually.ts";
import { HttpSocket } from "../support/http_socket.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { type Metrics, parseMetrics, pythonWithParser } from "../support/prometheus_parser.ts";
import { type Line, RawClient } from "../support/raw_client.ts";

const FAMILIES: Record<string, string> = {
  build_info: "gauge",
  uptime_seconds: "gauge",
  healthy: "gauge",
  http_requests: "gauge",
  connections: "gauge",
  subscriptions: "gauge",
  paused_readers: "gauge",
  requests: "counter",
  request_seconds: "histogram",
  events_appended: "counter",
  messages_sent: "counter",
  socket_bytes: "counter",
  commits: "counter",
  commit_seconds: "histogram",
  gaps: "counter",
  record_updates_dropped: "counter",
  auth_failures: "counter",
  rate_limited: "counter",
  log_head_seq: "gauge",
  log_bytes: "gauge",
  consumers: "gauge",
  records: "gauge",
  memory_bytes: "gauge",
};

const needsParser = pythonWithParser === null ? " [needs python3-prometheus-client]" : "";

function testWithParser(name: string, fn: () => Promise<void>): void {
  const whole = `${name}${needsParser}`;
  if (needsParser !== "") console.log(`ignored: ${whole}`);
  Deno.test({ name: whole, ignore: needsParser !== "", fn });
}

async function metricsOf(http: HttpSocket): Promise<Metrics> {
  return await parseMetrics(await http.text("/metrics"));
}

/** Asks until it holds; what a connection's end or a paused reader shows, shows a little later. */
async function metricsWhen(
  http: HttpSocket,
  holds: (metrics: Metrics) => boolean,
): Promise<Metrics> {
  return await eventually(async () => {
    const metrics = await metricsOf(http);
    return holds(metrics) && metrics;
  }, "the metrics");
}

async function rawClient(daemon: TestDaemon, line: unknown): Promise<RawClient> {
  const client = await daemon.connect();
  await client.write(`${JSON.stringify(line)}\n`);
  await client.reply();
  return client;
}

testWithParser("a real parser reads every family, each with its type and a help", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const { families } = await metricsOf(http);
  assertEquals(
    Object.fromEntries(families.map(({ name, type }) => [name.replace("postern_", ""), type])),
    FAMILIES,
  );
  for (const { name, help } of families) assert(help.endsWith("."), `${name}: ${help}`);
});

testWithParser("requests of every dialect are counted by operation and outcome", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { rate: { write: 1 } } } });
  using http = new HttpSocket(daemon.directory);
  const axon = await daemon.v2("reader");
  for (let i = 0; i < 3; i++) await axon.ask({ cmd: "event.read", after: 0 });
  await axon.ask({ cmd: "event.read", after: -1 });
  await rawClient(daemon, { jsonrpc: "2.0", id: 1, method: "system.ping" });
  await rawClient(daemon, { hello: { version: "1.0", client: "t" } });
  await http.rpc("event.send", { kind: "notify", payload: 1 });
  await http.rpc("no.such.operation");
  for (const name of ["a", "b", "c"]) await http.rpc("record.set", { name, value: 1 });
  const denied = await http.json("/rpc", { method: "POST", body: "{}", token: "0".repeat(64) });
  assertEquals(denied.status, 403);
  const metrics = await metricsOf(http);
  const outcome = (operation: string, outcome: string) =>
    metrics.value("requests_total", { operation, outcome });
  assertEquals(outcome("event.read", "ok"), 3);
  assertEquals(outcome("event.read", "invalid_params"), 1);
  assertEquals(outcome("system.ping", "ok"), 1);
  assertEquals(outcome("event.send", "ok"), 1);
  assertEquals(outcome("record.set", "rate_limited"), 2);
  assertEquals(metrics.value("rate_limited_total"), 2);
  assertEquals(metrics.value("auth_failures_total"), 1);
  assertEquals(metrics.value("messages_sent_total"), 1);
  assertEquals(metrics.value("events_appended_total"), 1);
  assertEquals(metrics.value("log_head_seq"), 1);
  assertEquals(metrics.value("connections", { transport: "socket" }), 3);
  assertEquals(metrics.value("healthy"), 1);
  assert(metrics.value("commits_total", { outcome: "ok" }) >= 1);
  assertEquals(metrics.value("commits_total", { outcome: "failed" }), 0);
  assert(metrics.value("memory_bytes", { kind: "rss" }) > 10_000_000);
});

testWithParser(
  "a histogram's buckets only grow, and its count is that of the requests",
  async () => {
    await using daemon = await startTestDaemon();
    using http = new HttpSocket(daemon.directory);
    await daemon.fill(20);
    await http.rpc("event.read", { after: -1 });
    const metrics = await metricsOf(http);
    const operations = new Set(
      metrics.samples("requests_total").map(({ labels }) => labels.operation!),
    );
    assert(operations.has("event.send"));
    for (const operation of operations) {
      const total = metrics.samples("requests_total")
        .filter(({ labels }) => labels.operation === operation)
        .reduce((sum, { value }) => sum + value, 0);
      const buckets = metrics.samples("request_seconds_bucket")
        .filter(({ labels }) => labels.operation === operation);
      const counts = buckets.map(({ value }) => value);
      assertEquals(counts, counts.toSorted((a, b) => a - b));
      assertEquals(buckets.at(-1)!.labels.le, "+Inf");
      assertEquals([counts.at(-1), metrics.value("request_seconds_count", { operation })], [
        total,
        total,
      ]);
      assert(metrics.value("request_seconds_sum", { operation }) > 0);
    }
    const commits = metrics.samples("commits_total").reduce((sum, { value }) => sum + value, 0);
    assertEquals(metrics.value("commit_seconds_count"), commits);
  },
);

testWithParser("bytes are counted on every socket", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const received = (metrics: Metrics) =>
    metrics.value("socket_bytes_total", { direction: "received" });
  const sent = (metrics: Metrics) => metrics.value("socket_bytes_total", { direction: "sent" });
  const payload = "x".repeat(100_000);
  let before = await metricsOf(http);
  const grown = async (what: string, in_: number, out: number) => {
    const now = await metricsWhen(
      http,
      (metrics) =>
        received(metrics) - received(before) >= in_ && sent(metrics) - sent(before) >= out,
    );
    const extra = [received(now) - received(before) - in_, sent(now) - sent(before) - out];
    assert(extra.every((bytes) => bytes < 5000), `${what}: ${extra} more`);
    before = now;
  };
  const axon = await daemon.v2("axon");
  await axon.ask({ cmd: "send", to: "self", kind: "notify", payload });
  await grown("AXON send", 100_000, 0);
  await axon.ask({ cmd: "event.read", after: 0 });
  await grown("AXON read", 0, 100_000);
  await http.rpc("event.send", { kind: "notify", payload });
  await grown("POST /rpc send", 100_000, 0);
  await http.rpc("event.read", { after: 1 });
  await grown("POST /rpc read", 0, 100_000);
  await http.text("/events?follow=0&since=1");
  await grown("GET /events", 0, 100_000);
  const { body } = await http.json("/blobs", { method: "POST", body: payload });
  await grown("POST /blobs", 100_000, 0);
  await http.text(body.blob.url);
  await grown("GET /blobs", 0, 100_000);
});

testWithParser(
  "subscriptions, paused readers and told gaps show, and the first two go again",
  async () => {
    await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 50 } } });
    using http = new HttpSocket(daemon.directory);
    const slow = await daemon.v2("slow");
    await slow.ask({ cmd: "subscribe" });
    assertEquals((await metricsOf(http)).value("subscriptions"), 1);
    const big = "x".repeat(100_000);
    let sends = 0;
    const isPaused = (metrics: Metrics) => metrics.value("paused_readers") === 1;
    do {
      await daemon.fill(50, { payload: big });
      sends += 50;
    } while (!isPaused(await metricsOf(http)) && sends < 1000);
    assert(isPaused(await metricsOf(http)), `not paused after ${sends} events`);
    await daemon.fill(100, { payload: big });
    assertEquals((await metricsOf(http)).value("gaps_total"), 0);
    let gaps = 0;
    for (let last = 0; last < sends + 100;) {
      const event = await slow.pushed();
      if (event.gap !== undefined) gaps++;
      last = event.seq;
    }
    const told = await metricsWhen(http, (metrics) => !isPaused(metrics));
    assertEquals([told.value("gaps_total"), gaps > 0], [gaps, true]);
    slow.close();
    await metricsWhen(http, (metrics) => metrics.value("subscriptions") === 0);
  },
);

testWithParser("whatever names clients choose, no series and no label comes of it", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const mark = "zebra";
  const hostile = async (i: number) => {
    const name = `${mark}${i}`;
    const axon = await daemon.v2(`c-${name}`);
    await axon.ask({ cmd: name });
    await axon.ask({ cmd: "send", to: "self", kind: "notify", topic: name, payload: name });
    await axon.ask({ cmd: "event.read", after: 0 });
    await http.rpc(`${name}."}\n# evil{x="1"} 2`);
    await http.rpc("token.create", { name, scopes: ["read"] });
    await http.rpc("record.define", { name: `r.${name}` });
    await http.fetch(`/${name}`).then((answer) => answer.body?.cancel());
    await http.json("/healthz", { token: `${name}${"0".repeat(40)}` });
    await http.fetch("/healthz", { headers: { "x-client-kind": name } })
      .then((answer) => answer.body?.cancel());
    axon.close();
  };
  await hostile(0);
  const before = await metricsOf(http);
  for (let i = 1; i < 4; i++) await hostile(i);
  const after = await metricsOf(http);
  assertEquals(after.seriesCount, before.seriesCount);
  assertEquals(after.labelValues.filter((value) => value.includes(mark)), []);
  const text = await http.text("/metrics");
  assert(!text.includes(mark) && !text.includes(daemon.token));
});

Deno.test("no series, label or value of the metrics names a session, a turn, a text, a record, a service, a runner or a secret", async () => {
  const records = { policy: "read_write" as const, writable: [">"] };
  await using daemon = await startTestDaemon({ config: { records } });
  using http = new HttpSocket(daemon.directory);
  await using client = await connect({ dir: daemon.directory });
  const [runner, user] = [await daemon.v2("runner"), await daemon.v2("user")];
  const { client_id } = await user.ask({ cmd: "system.hello", client_kind: "markkind" });
  const session_id = crypto.randomUUID();
  const session = { session_id, title: "mark title", runner: "mark.runner" };
  const ask = async (one: RawClient, cmd: string, params: Line = {}) => {
    const reply = await one.ask({ cmd, ...params });
    assertEquals(reply.ok, true, `${cmd}: ${JSON.stringify(reply)}`);
    return reply;
  };
  await ask(user, "session.create", session);
  await ask(runner, "session.attach", { runner: session.runner });
  const { turn_id } = await ask(user, "session.send", { session_id, text: "mark text" });
  const delta = { turn_id, type: "delta", data: { text: "mark delta" } };
  await ask(runner, "turn.emit", delta);
  await ask(user, "record.define", { name: "mark.record", writable: true });
  await ask(user, "record.set", { name: "mark.record", value: "mark value" });
  const { lease_id } = await ask(user, "lease.acquire", { name: "mark.lease", ttl_secs: 60 });
  const asked = { request_id: "mark.request", tool: "mark.tool", input: { text: "mark input" } };
  await ask(user, "permission.request", asked);
  const { token, id } = await ask(user, "token.create", { name: "mark.token", scopes: ["read"] });
  await using _service = await client.provide("mark_service", {
    mark_method: { handler: (given) => given },
  });
  const params = { text: "mark params" };
  await client.call("service.call", { service: "mark_service", method: "mark_method", params });
  await client.call("session.get", { session_id: "mark.none" }).catch(() => {});
  const text = (await http.text("/metrics")).toLowerCase();
  assert(text.includes('operation="session.send",outcome="ok"'), "what was used is counted");
  assert(text.includes('operation="service.call",outcome="ok"'), "what was used is counted");
  const secrets = [session_id, turn_id, client_id, lease_id, token, id, daemon.token];
  for (const mark of ["mark", ...secrets]) {
    assert(typeof mark === "string" && mark.length > 3, `${mark} is no mark`);
    assert(!text.includes(mark.toLowerCase()), `the metrics hold ${mark}`);
  }
});
