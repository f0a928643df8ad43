/** Watches over sockets in memory: what is dropped and counted, what comes twice, and what the daemon is asked. */

import { assertEquals, assertRejects } from "@std/assert";
import { Client } from "../../src/client/client.ts";
import { ConnectionError, findTarget, PosternError, type Watch } from "../../src/client/mod.ts";
import { toPolicy } from "../../src/client/reconnect.ts";
import { FakeSocket } from "../support/fake_axon.ts";
import { Stage } from "./stage.ts";
import { takeFrom } from "./steady.ts";

/** A client on these sockets, one connection after the other, and what lets it reconnect. */
async function open(...sockets: FakeSocket[]): Promise<{ client: Client; stage: Stage }> {
  const stage = new Stage(sockets);
  const link = await stage.open();
  const client = new Client({
    link,
    target: () => findTarget({ dir: "/nowhere", env: new Map() }),
    openStream: () => Promise.reject(new Error("no test opens one")),
    policy: toPolicy({ minDelayMs: 1, wait: () => Promise.resolve() }),
  });
  return { client, stage };
}

function reply(req_id: string, fields: Record<string, unknown> = {}) {
  return { ok: true, req_id, ...fields };
}

function accepts(req_id: string, subscription_id: string, queue_size = 100) {
  return reply(req_id, { subscription_id, queue_size });
}

interface Told {
  readonly id?: string;
  readonly name?: string;
  readonly at?: string;
  readonly data?: unknown;
  readonly dropped?: number;
}

function update(sequence: number, { id = "sub-1", name = "r", at, ...others }: Told = {}) {
  const timestamp = at ?? `${sequence}.000000000`;
  const data = others.data ?? sequence * 10;
  const dropped = others.dropped === undefined ? {} : { dropped: others.dropped };
  return { event: "record", subscription_id: id, name, sequence, data, timestamp, ...dropped };
}

/** Sequences and counts of the next updates. */
function take(watch: Watch, count: number): Promise<[number, number][]> {
  return takeFrom(watch, count, ({ sequence, dropped = 0 }) => [sequence, dropped]);
}

Deno.test("updates that come in the same read as the reply are told", async () => {
  const socket = new FakeSocket();
  const { client } = await open(socket);
  const watch = client.watch("r");
  await socket.hears(1);
  socket.say(
    [accepts("1", "sub-1"), update(1)].map((line) => `${JSON.stringify(line)}\n`).join(""),
  );
  assertEquals((await watch.next()).value, {
    name: "r",
    sequence: 1,
    value: 10,
    timestamp: "1.000000000",
  });
  assertEquals(await watch.started, { subscription_id: "sub-1", queue_size: 100 });
  await client.close();
});

Deno.test("what is left out of a watch's options is left to the daemon", async () => {
  const socket = new FakeSocket();
  const { client } = await open(socket);
  client.watch("a.>");
  client.watch("b", { queueSize: 7, sendInitial: false });
  await socket.hears(2);
  assertEquals(socket.heard, [
    { cmd: "record.subscribe", req_id: "1", name: "a.>" },
    { cmd: "record.subscribe", req_id: "2", name: "b", queue_size: 7, send_initial: false },
  ]);
  await client.close();
});

Deno.test("dropped is what the daemon and this side have dropped just before an update", async () => {
  const socket = new FakeSocket();
  const { client } = await open(socket);
  const watch = client.watch("r");
  await socket.hears(1);
  socket.say(accepts("1", "sub-1", 3));
  socket.say(update(1), update(4, { dropped: 2 }), update(5), update(8, { dropped: 2 }), update(9));
  const asked = client.call("system.ping");
  socket.say(reply("2"));
  await asked;
  // 1 and 4 were dropped here, 2 and 3 at the daemon.
  assertEquals(await take(watch, 3), [[5, 4], [8, 2], [9, 0]]);
  socket.say(update(10));
  assertEquals(await take(watch, 1), [[10, 0]]);
  await client.close();
});

Deno.test("of values that are large fewer wait, the newest always", async () => {
  const socket = new FakeSocket();
  const { client } = await open(socket);
  const watch = client.watch("r");
  await socket.hears(1);
  socket.say(accepts("1", "sub-1"));
  const large = "x".repeat(400_000);
  for (let n = 1; n <= 5; n++) socket.say(update(n, { data: large }));
  socket.say(update(6, { data: "y".repeat(1_500_000) }), reply("2"));
  await client.call("system.ping");
  assertEquals(await take(watch, 1), [[6, 5]]);
  await client.close();
});

Deno.test("each watch is told what its own subscription brings", async () => {
  const socket = new FakeSocket();
  const { client } = await open(socket);
  const [a, b] = [client.watch("a"), client.watch("b")];
  await socket.hears(2);
  socket.say(accepts("1", "sub-1"), accepts("2", "sub-2"));
  socket.say(update(7, { id: "sub-2" }), update(9, { id: "sub-9" }), update(8, { id: "sub-1" }));
  assertEquals(await Promise.all([take(a, 1), take(b, 1)]), [[[8, 0]], [[7, 0]]]);
  await client.close();
});

Deno.test("after a reconnect a watch subscribes again, and what was told last is not told twice", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const { client, stage } = await open(first, second);
  const watch = client.watch(">");
  await first.hears(1);
  first.say(accepts("1", "sub-1"), update(5, { name: "a" }), update(5, { name: "b" }));
  first.say(update(5, { name: "c" }));
  await take(watch, 3);
  first.end();
  await stage.goOn();
  await second.hears(1);
  assertEquals(second.heard[0], first.heard[0]);
  const again = [update(5, { name: "a", dropped: 3 }), update(6, { name: "b" })];
  second.say(accepts("1", "sub-1"), ...again, update(6, { name: "a" }));
  // What the daemon counted with the repeated one counts for the next.
  assertEquals(await take(watch, 2), [[6, 3], [6, 0]]);
  await client.close();
});

Deno.test("a record that began anew meanwhile is told, at a lower sequence and at the same", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const { client, stage } = await open(first, second);
  const watch = client.watch(">");
  await first.hears(1);
  first.say(accepts("1", "sub-1"), update(5, { name: "a" }), update(1, { name: "b" }));
  await take(watch, 2);
  // Removed and defined anew within the same connection, and the same moment.
  first.say(update(1, { name: "b" }));
  assertEquals(await take(watch, 1), [[1, 0]]);
  first.end();
  await stage.goOn();
  await second.hears(1);
  second.say(accepts("1", "sub-1"), update(2, { name: "a" }), update(1, { name: "b", at: "9.0" }));
  assertEquals(await take(watch, 2), [[2, 0], [1, 0]]);
  await client.close();
});

Deno.test("a watch that was not accepted yet when the connection was lost begins on the next, once", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const { client, stage } = await open(first, second);
  const watch = client.watch("r");
  await first.hears(1);
  first.end();
  await stage.isDown();
  const other = client.watch("s");
  await stage.goOn();
  await second.hears(2);
  second.say(accepts("1", "sub-1"), accepts("2", "sub-2"), update(1), update(2, { id: "sub-2" }));
  assertEquals(await Promise.all([take(watch, 1), take(other, 1)]), [[[1, 0]], [[2, 0]]]);
  assertEquals(second.heard.map(({ name }) => name), ["r", "s"]);
  await client.close();
});

Deno.test("a watch that is closed before the daemon has accepted it is unsubscribed then", async () => {
  const socket = new FakeSocket();
  const { client } = await open(socket);
  const watch = client.watch("r");
  await socket.hears(1);
  watch.close();
  socket.say(accepts("1", "sub-1"), update(1));
  await socket.hears(2);
  assertEquals(socket.heard[1], {
    cmd: "record.unsubscribe",
    req_id: "2",
    subscription_id: "sub-1",
  });
  assertEquals(await watch.next(), { done: true, value: undefined });
  await client.close();
});

Deno.test("a watch that is closed before it was asked for is never asked for", async () => {
  const socket = new FakeSocket();
  const { client } = await open(socket);
  const watch = client.watch("r");
  watch.close();
  client.call("system.ping").catch(() => {});
  await socket.hears(1);
  assertEquals(socket.heard.map(({ cmd }) => cmd), ["system.ping"]);
  await assertRejects(() => watch.started, DOMException);
  await client.close();
});

Deno.test("an unsubscribe that was not sent does not reach another watch of the next connection", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const { client, stage } = await open(first, second);
  const [a, b] = [client.watch("a"), client.watch("b")];
  await first.hears(2);
  first.say(accepts("1", "sub-1"), accepts("2", "sub-2"));
  await Promise.all([a.started, b.started]);
  // As many as may be at the daemon, so that what follows waits here.
  const waiting = Array.from({ length: 1024 }, () => client.call("system.ping").catch(() => {}));
  await first.hears(1026);
  a.close();
  first.end();
  await stage.goOn();
  await second.hears(1);
  second.say(accepts("1", "sub-1"));
  client.call("system.ping").catch(() => {});
  await second.hears(2);
  assertEquals(second.heard.map(({ cmd }) => cmd), ["record.subscribe", "system.ping"]);
  second.say(update(1));
  assertEquals(await take(b, 1), [[1, 0]]);
  await client.close();
  await Promise.all(waiting);
});

Deno.test("a refusal at the beginning is thrown; one that passes, after a reconnect, is not taken for an answer", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const { client, stage } = await open(first, second);
  const refused = client.watch("r");
  const kept = client.watch("s");
  await first.hears(2);
  const refuse = (req_id: string, error: string) => ({ ok: false, req_id, error, message: error });
  first.say(refuse("1", "too_many"), accepts("2", "sub-1"));
  assertEquals((await assertRejects(() => refused.next(), PosternError)).code, "too_many");
  await kept.started;
  first.end();
  await stage.goOn();
  await second.hears(1);
  second.say(refuse("1", "rate_limited"));
  await second.hears(2);
  second.say(accepts("2", "sub-1"), update(3));
  assertEquals(await take(kept, 1), [[3, 0]]);
  await client.close();
});

Deno.test("a record that is gone after a reconnect is thrown to whoever watches it by name", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const { client, stage } = await open(first, second);
  const watch = client.watch("r");
  await first.hears(1);
  first.say(accepts("1", "sub-1"), update(1));
  await watch.started;
  first.end();
  await stage.goOn();
  await second.hears(1);
  second.say({ ok: false, req_id: "1", error: "not_found", message: "gone" });
  const failed = assertRejects(async () => {
    assertEquals(await take(watch, 1), [[1, 0]]);
    await watch.next();
  }, PosternError);
  assertEquals((await failed).code, "not_found");
  await client.close();
});

Deno.test("without a next connection a watch throws, after what had come before", async () => {
  const socket = new FakeSocket();
  const stage = new Stage([socket]);
  const link = await stage.open(null);
  const target = () => findTarget({ dir: "/nowhere", env: new Map() });
  const openStream = () => Promise.reject(new Error("no test opens one"));
  const client = new Client({ link, target, openStream, policy: null });
  const watch = client.watch("r");
  const late = client.watch("s");
  await socket.hears(2);
  socket.say(accepts("1", "sub-1"), update(1));
  socket.end();
  await client.closed;
  assertEquals(await take(watch, 1), [[1, 0]]);
  assertEquals((await assertRejects(() => watch.next(), ConnectionError)).code, "ECONNRESET");
  await assertRejects(() => late.started, ConnectionError);
  assertEquals(await watch.next(), { done: true, value: undefined });
});

Deno.test("a set whose connection is lost fails, with a condition or without, and is not sent again", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const { client, stage } = await open(first, second);
  const sets = [client.set("r", 1), client.set("r", 2, { ifSequence: 1 })];
  await first.hears(2);
  assertEquals(first.heard, [
    { cmd: "record.set", req_id: "1", name: "r", value: 1 },
    { cmd: "record.set", req_id: "2", name: "r", value: 2, if_sequence: 1 },
  ]);
  first.end();
  for (const set of sets) {
    assertEquals((await assertRejects(() => set, ConnectionError)).code, "ECONNRESET");
  }
  await stage.goOn();
  client.call("system.ping").catch(() => {});
  await second.hears(1);
  assertEquals(second.heard.map(({ cmd }) => cmd), ["system.ping"]);
  await client.close();
});
