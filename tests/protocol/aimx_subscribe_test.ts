/** Subscriptions of AimX: what is told, in which order, and what becomes of a reader that does not read. */

import { assertEquals, assertGreater } from "@std/assert";
import { type AimxClient, localClient, openAimx } from "../support/aimx_client.ts";
import { eventually, range } from "../support/expect.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line } from "../support/raw_client.ts";

const FILLER = "x".repeat(1000);

/** Sets a record to `[n, filler]` for each n of a stretch, and waits until all of them are set. */
async function setAll(daemon: TestDaemon, first: number, last: number): Promise<void> {
  using client = await daemon.v2("setter");
  for (let at = first; at <= last; at += 500) {
    const part = range(at, Math.min(last, at + 499));
    const sets = part.map((n) => (
      { cmd: "record.set", req_id: `${n}`, name: "x", value: [n, FILLER] }
    ));
    await client.send(...sets);
    for (const n of part) assertEquals((await client.reply()).sequence, n);
  }
}

/** Reads updates up to a sequence. */
async function upTo(client: AimxClient, sequence: number): Promise<Line[]> {
  const events = [await client.event()];
  while (events.at(-1)!.sequence < sequence) events.push(await client.event());
  return events;
}

function totalDropped(events: Line[]): number {
  return events.reduce((sum, { dropped = 0 }) => sum + dropped, 0);
}

Deno.test("test_subscription_backpressure", async () => {
  await using daemon = await startTestDaemon();
  await (await localClient(daemon))("record.define", { name: "x", volatile: true });
  const [slow, quick] = [await openAimx(daemon), await openAimx(daemon)];
  await slow.call("record.subscribe", { name: "x", queue_size: 10 });
  await quick.call("record.subscribe", { name: "x", queue_size: 10_000 });
  const count = 3000;
  const reading = upTo(quick, count);
  await setAll(daemon, 1, count);
  const told = await reading;
  assertEquals(told.map(({ sequence }) => sequence), range(1, count), "who reads misses nothing");

  const late = await upTo(slow, count);
  assertEquals(late.length + totalDropped(late), count);
  assertGreater(totalDropped(late), 0);
  assertEquals(late.at(-1)!.data[0], count, "the newest is there");
  let before = 0;
  for (const { sequence, dropped = 0 } of late) {
    assertEquals(sequence, before + 1 + dropped, "dropped is what is missing before the event");
    before = sequence;
  }
  assertEquals(late.slice(-10).map(({ sequence }) => sequence), range(count - 9, count));
});

Deno.test("once a slow reader has caught up, nothing is dropped any more", async () => {
  await using daemon = await startTestDaemon();
  await (await localClient(daemon))("record.define", { name: "x", volatile: true });
  const slow = await openAimx(daemon);
  await slow.call("record.subscribe", { name: "x", queue_size: 1 });
  await setAll(daemon, 1, 2000);
  assertGreater(totalDropped(await upTo(slow, 2000)), 0);
  for (const n of range(2001, 2050)) {
    await setAll(daemon, n, n);
    const { sequence, dropped } = await slow.event();
    assertEquals([sequence, dropped], [n, undefined]);
  }
});

Deno.test("each subscription of a connection counts what it dropped itself", async () => {
  await using daemon = await startTestDaemon();
  await (await localClient(daemon))("record.define", { name: "x", volatile: true });
  const client = await openAimx(daemon);
  const sizes = new Map<string, number>();
  for (const queue_size of [1, 50]) {
    const opened = await client.call("record.subscribe", { name: "x", queue_size });
    assertEquals(opened.queue_size, queue_size);
    sizes.set(opened.subscription_id, queue_size);
  }
  const count = 3000;
  await setAll(daemon, 1, count);
  const seen: Record<string, { told: number; dropped: number; last: number }> = {};
  for (const id of sizes.keys()) seen[id] = { told: 0, dropped: 0, last: 0 };
  while (Object.values(seen).some(({ last }) => last < count)) {
    const { subscription_id, sequence, dropped = 0 } = await client.event();
    const one = seen[subscription_id]!;
    Object.assign(one, { told: one.told + 1, dropped: one.dropped + dropped, last: sequence });
  }
  const [small, large] = [...sizes.keys()].map((id) => seen[id]!);
  for (const { told, dropped } of [small!, large!]) assertEquals(told + dropped, count);
  assertGreater(small!.dropped, large!.dropped);
});

Deno.test("queue_size is the configured one if absent, and bounded", async () => {
  await using daemon = await startTestDaemon({ config: { records: { queue_size: 3 } } });
  const client = await openAimx(daemon);
  const name = "aimx.metrics";
  assertEquals((await client.call("record.subscribe", { name })).queue_size, 3);
  assertEquals(
    (await client.call("record.subscribe", { name, queue_size: 100_000 })).queue_size,
    100_000,
  );
  for (const queue_size of [0, -1, 100_001, 1.5, "5", null]) {
    const code = await client.codeOf("record.subscribe", { name, queue_size });
    assertEquals(code, "VALIDATION_ERROR");
  }
  for (const send_initial of [0, "yes", null]) {
    const code = await client.codeOf("record.subscribe", { name, send_initial });
    assertEquals(code, "VALIDATION_ERROR");
  }
});

Deno.test("the reply comes before the first event, and a record may be watched twice", async () => {
  await using daemon = await startTestDaemon();
  const local = await localClient(daemon);
  await local("record.define", { name: "x" });
  await local("record.set", { name: "x", value: 1 });
  const { raw } = await openAimx(daemon);
  const subscribe = { method: "record.subscribe", params: { name: "x" } };
  await raw.send({ id: 1, ...subscribe }, { id: 2, ...subscribe }, {
    id: 3,
    method: "system.ping",
  });
  const lines = [];
  for (let i = 0; i < 5; i++) lines.push(JSON.parse(await raw.text()));
  assertEquals(lines.map(({ id, event }) => id ?? event.subscription_id), [
    1,
    "sub-1",
    2,
    "sub-2",
    3,
  ]);
});

Deno.test("subscribing and unsubscribing in one write leaves nothing behind", async () => {
  await using daemon = await startTestDaemon();
  const local = await localClient(daemon);
  await local("record.define", { name: "x" });
  await local("record.set", { name: "x", value: 1 });
  const client = await openAimx(daemon);
  for (let i = 1; i <= 200; i++) {
    await client.raw.send(
      { id: 1, method: "record.subscribe", params: { name: "x", send_initial: false } },
      { id: 2, method: "record.unsubscribe", params: { subscription_id: `sub-${i}` } },
    );
    assertEquals((await client.raw.reply()).result.subscription_id, `sub-${i}`);
    assertEquals((await client.raw.reply()).result, {});
  }
  await local("record.set", { name: "x", value: 2 });
  await client.expectNothingPushed();
  const { value } = await client.call("record.get", { name: "aimx.metrics" });
  assertEquals(value.subscriptions, 0);
});

Deno.test("a subscription ends with its connection", async () => {
  await using daemon = await startTestDaemon();
  const local = await localClient(daemon);
  await local("record.define", { name: "x" });
  const clients: AimxClient[] = [];
  for (let i = 0; i < 5; i++) clients.push(await openAimx(daemon));
  for (const client of clients) await client.call("record.subscribe", { name: "x" });
  const watchers = async () => {
    const [, x] = await local("record.list") as unknown as Line[];
    return x!.consumer_count;
  };
  assertEquals(await watchers(), 5);
  for (const client of clients) client.raw.close();
  await eventually(async () => await watchers() === 0);
});

Deno.test("who sets a record counts as its producer until the connection ends", async () => {
  const config = { records: { policy: "read_write", writable: ["x"] } };
  await using daemon = await startTestDaemon({ config });
  const observer = await openAimx(daemon);
  const producers = async () => {
    const [, x] = await observer.call("record.list") as unknown as Line[];
    return x!.producer_count;
  };
  const setters = [
    await openAimx(daemon, { token: true }),
    await openAimx(daemon, { token: true }),
  ];
  await setters[0]!.call("record.define", { name: "x", schema: { type: "number" } });
  assertEquals(await producers(), 0);
  assertEquals(
    await setters[0]!.codeOf("record.set", { name: "x", value: "no" }),
    "VALIDATION_ERROR",
  );
  assertEquals(await producers(), 0, "who was refused has produced nothing");
  for (const setter of [...setters, ...setters]) {
    await setter.call("record.set", { name: "x", value: 1 });
  }
  assertEquals(await producers(), 2);
  setters[0]!.raw.close();
  await eventually(async () => await producers() === 1);
});

Deno.test("events of the log are told in AimX, too", async () => {
  await using daemon = await startTestDaemon();
  const client = await openAimx(daemon, { token: true });
  const { subscription_id } = await client.call("event.subscribe", { topics: ["build.>"] });
  await daemon.fill(1, { topic: "build.done" });
  const { envelope, buffered_at_ms: _at, ...event } = await client.event();
  assertEquals(event, { subscription_id, seq: 1, replay: false });
  assertEquals(envelope.topic, "build.done");
  assertEquals(await client.call("event.unsubscribe", { subscription_id }), {});
  await daemon.fill(1, { topic: "build.done" });
  await client.expectNothingPushed();
});

Deno.test("who watches many records is told what each of them holds, however short its queue", async () => {
  await using daemon = await startTestDaemon();
  using setter = await daemon.v2("setter");
  const names = range(1000, 2999).map((n) => `s.r${n}`);
  for (const cmd of ["record.define", "record.set"]) {
    await setter.send(...names.map((name) => (
      { cmd, req_id: name, name, volatile: true, value: `${name} ${FILLER}` }
    )));
    for (const _ of names) assertEquals((await setter.reply()).ok, true);
  }
  const client = await openAimx(daemon);
  await client.call("record.subscribe", { name: "s.>", queue_size: 1 });
  const told = [];
  for (const _ of names) told.push(await client.event());
  assertEquals(told.map(({ name }) => name), names);
  assertEquals([totalDropped(told), told.at(-1)!.sequence], [0, 1]);
  await client.expectNothingPushed();
});
