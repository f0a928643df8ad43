/** The daemon's own metrics as a record like any other. */

import { assert, assertEquals, assertGreater, assertGreaterOrEqual } from "@std/assert";
import { localClient, openAimx } from "../support/aimx_client.ts";
import { eventually } from "../support/expect.ts";
import { startTestDaemon } from "../support/in_process.ts";
import type { Line } from "../support/raw_client.ts";

const FIELDS = [
  "bytes",
  "connections",
  "dropped",
  "events_per_second",
  "requests_per_second",
  "subscriptions",
  "uptime_secs",
];

function expectMetrics(value: Line): void {
  assertEquals(Object.keys(value).sort(), FIELDS);
  for (const [name, number] of Object.entries(value)) {
    assert(Number.isFinite(number) && number >= 0, `${name} is ${number}`);
  }
}

Deno.test("aimx.metrics is listed, and read by anybody", async () => {
  await using daemon = await startTestDaemon();
  const client = await openAimx(daemon);
  const [record] = await client.call("record.list") as unknown as Line[];
  assertEquals([record!.name, record!.writable, record!.volatile], ["aimx.metrics", false, true]);
  const { value, sequence } = await client.call("record.get", { name: "aimx.metrics" });
  expectMetrics(value);
  assertGreater(sequence, 0);
  assertEquals((await client.call("record.get", { name: record!.type_id })).value.connections, 1);
});

Deno.test("aimx.metrics counts connections, subscriptions and bytes as they are now", async () => {
  await using daemon = await startTestDaemon();
  const client = await openAimx(daemon);
  const metrics = async () => (await client.call("record.get", { name: "aimx.metrics" })).value;
  const first = await metrics();
  assertEquals([first.connections, first.subscriptions, first.dropped], [1, 0, 0]);
  const other = await openAimx(daemon);
  await other.call("record.subscribe", { name: "nobody.>" });
  const { subscription_id } = await other.call("record.subscribe", { name: "nobody.>" });
  const second = await metrics();
  assertEquals([second.connections, second.subscriptions], [2, 2]);
  assertGreater(second.bytes, first.bytes);
  await other.call("record.unsubscribe", { subscription_id });
  assertEquals((await metrics()).subscriptions, 1);
  other.raw.close();
  await eventually(async () => {
    const { connections, subscriptions } = await metrics();
    return connections === 1 && subscriptions === 0;
  });
});

Deno.test("aimx.metrics counts what was dropped for readers that do not read", async () => {
  await using daemon = await startTestDaemon();
  const local = await localClient(daemon);
  await local("record.define", { name: "x", volatile: true });
  const slow = await openAimx(daemon);
  await slow.call("record.subscribe", { name: "x", queue_size: 1 });
  const value = "x".repeat(100_000);
  for (let i = 0; i < 30; i++) await local("record.set", { name: "x", value });
  const before = (await local("record.get", { name: "aimx.metrics" })).value.dropped;
  assertGreater(before, 0);
  let counted = 0;
  for (let last = 0; last < 30;) {
    const { sequence, dropped = 0 } = await slow.event();
    [last, counted] = [sequence, counted + dropped];
  }
  assertEquals(counted, before);
});

Deno.test("aimx.metrics is told once a second while it is watched, with rates", async () => {
  await using daemon = await startTestDaemon();
  const client = await openAimx(daemon);
  await client.call("record.subscribe", { name: "aimx.metrics" });
  const first = await client.event();
  expectMetrics(first.data);
  await daemon.fill(50);
  for (let i = 0; i < 50; i++) await client.call("system.ping");
  // The rate is of the whole second in which these came.
  let last = first;
  await eventually(async () => {
    const next = await client.event();
    assertEquals(next.name, "aimx.metrics");
    assertGreaterOrEqual(next.sequence, last.sequence + 1);
    last = next;
    return next.data.requests_per_second > 0 && next.data.events_per_second > 0;
  });
  expectMetrics(last.data);
  assertEquals(last.data.subscriptions, 1);
});

Deno.test("aimx.metrics goes on above its sequence after a restart", async () => {
  await using daemon = await startTestDaemon();
  const read = async () => {
    const client = await openAimx(daemon);
    return (await client.call("record.get", { name: "aimx.metrics" })).sequence;
  };
  const before = await read();
  await daemon.restart();
  assertGreater(await read(), before);
});
