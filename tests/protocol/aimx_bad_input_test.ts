/**
 * AimX against strangers, broken programs and accidents: whatever comes, others are served, and the daemon answers
 * the next connection.
 */

import { assert, assertEquals } from "@std/assert";
import { greet, localClient, OPEN_POLICY, openAimx } from "../support/aimx_client.ts";
import { eventually } from "../support/expect.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { Random } from "../support/random.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

const HELLO = '{"hello":{"version":"1.0","client":"fuzz"}}\n';
const CODES = [
  "PROTOCOL_ERROR",
  "VERSION_MISMATCH",
  "NOT_FOUND",
  "PERMISSION_DENIED",
  "QUEUE_FULL",
  "INTERNAL_ERROR",
  "TOO_MANY_SUBSCRIPTIONS",
  "NO_VALUE",
  "NO_BUFFER",
  "VALIDATION_ERROR",
  "AUTH_REQUIRED",
  "AUTH_FAILED",
];

/** Waits until nobody but whoever asks is connected, and nothing is subscribed. */
async function expectForgotten(daemon: TestDaemon): Promise<void> {
  const client = await openAimx(daemon);
  await eventually(async () => {
    const { value } = await client.call("record.get", { name: "aimx.metrics" });
    return value.connections === 1 && value.subscriptions === 0;
  });
  client.raw.close();
}

Deno.test("500 connections that say nothing, half a line, or hello and go are forgotten", async () => {
  await using daemon = await startTestDaemon();
  for (let i = 0; i < 500; i++) {
    using client = await daemon.connect();
    if (i % 5 === 1) await client.write(HELLO.slice(0, 20));
    if (i % 5 === 2) await client.write(HELLO);
    if (i % 5 === 3) await greet(client);
    if (i % 5 === 4) await client.write(`${HELLO}{"id":1,"method":"record.subscribe","params":`);
  }
  await expectForgotten(daemon);
});

Deno.test("connections that break off in the middle of requests are forgotten", async () => {
  await using daemon = await startTestDaemon({ config: OPEN_POLICY });
  const local = await localClient(daemon);
  await local("record.define", { name: "x" });
  for (let i = 0; i < 100; i++) {
    using client = await daemon.connect();
    await greet(client, { auth_token: daemon.token });
    const requests = [
      { id: 1, method: "record.subscribe", params: { name: "x" } },
      ...Array.from({ length: 20 }, (_, n) => (
        { id: n, method: "record.set", params: { name: "x", value: n } }
      )),
      { id: 2, method: "record.list" },
    ];
    await client.send(...requests);
    await client.write('{"id":3,"method":"record.set","params":{"name":"x","value":"half a li');
    // Some read their first answers, and none reads all.
    if (i % 2 === 0) assertEquals((await client.reply()).id, 1);
  }
  const { value } = await local("record.get", { name: "x" });
  assertEquals(typeof value, "number", "half a line sets nothing");
  const listed = async () => (await local("record.list") as unknown as Line[])[1]!;
  await eventually(async () => {
    const { consumer_count, producer_count } = await listed();
    return consumer_count === 0 && producer_count === 0;
  });
});

Deno.test("a last line without an end is not carried out", async () => {
  await using daemon = await startTestDaemon({ config: OPEN_POLICY });
  const local = await localClient(daemon);
  await local("record.define", { name: "x" });
  const client = await openAimx(daemon, { token: true });
  await client.raw.write('{"id":1,"method":"record.set","params":{"name":"x","value":1}}');
  await client.raw.endWriting();
  const [line] = await client.raw.untilClosed();
  assertEquals([line!.id, line!.error.code], [null, "PROTOCOL_ERROR"]);
  const [, x] = await local("record.list") as unknown as Line[];
  assertEquals(x!.sequence, 0);
});

Deno.test("a conversation byte by byte is the same conversation", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  const text =
    `${HELLO}{"id":1,"method":"record.list"}\n{broken\n{"id":2,"method":"system.ping"}\n`;
  for (const byte of new TextEncoder().encode(text)) await client.write(new Uint8Array([byte]));
  const lines = [];
  for (let i = 0; i < 4; i++) lines.push(await client.next());
  assertEquals(lines.map((line) => line.id), [undefined, 1, null, 2]);
});

Deno.test("subscription spam on many connections costs the others nothing", async () => {
  await using daemon = await startTestDaemon();
  const local = await localClient(daemon);
  await local("record.define", { name: "x" });
  for (let i = 0; i < 10; i++) {
    const client = await openAimx(daemon);
    const spam = Array.from({ length: 200 }, (_, id) => (
      { id, method: "record.subscribe", params: { name: ">", send_initial: false } }
    ));
    await client.raw.send(...spam);
    let refused = 0;
    for (const _ of spam) {
      const { error } = await client.raw.reply();
      if (error?.code === "TOO_MANY_SUBSCRIPTIONS") refused++;
    }
    assertEquals(refused, 200 - 32);
  }
  assertEquals((await local("record.set", { name: "x", value: 1 })).sequence, 1);
  const [, x] = await local("record.list") as unknown as Line[];
  assertEquals(x!.consumer_count, 320);
});

const PARTS = [
  '{"id":1,"method":"record.list"}',
  '{"id":2,"method":"record.get","params":{"name":"x"}}',
  '{"id":3,"method":"record.set","params":{"name":"x","value":{"a":[1,"b"]}}}',
  '{"id":4,"method":"record.subscribe","params":{"name":"x","queue_size":5}}',
  '{"id":5,"method":"record.unsubscribe","params":{"subscription_id":"sub-1"}}',
  '{"id":6,"method":"record.define","params":{"name":"y","schema":{"type":"object"}}}',
  '{"id":7,"method":"record.history","params":{"record":"x","limit":1}}',
  '{"hello":{"version":"1.0","client":"again"}}',
];
const PIECES = [
  ...'{}[]":,\\ \t\r0-9eE.+',
  "null",
  "true",
  '"id"',
  '"method"',
  '"params"',
  '"hello"',
  '"__proto__"',
  "1e999",
  "-0",
  "\u0000",
  "é",
  "\ud800",
  "🚪",
  "9007199254740993",
  '"record.set"',
  "\\u0000",
];

/** A request with some of it cut out, doubled, swapped or replaced. */
function mutated(random: Random): string {
  let text = random.pick(PARTS);
  for (let i = random.between(1, 4); i > 0; i--) {
    const [a, b] = [random.below(text.length + 1), random.below(text.length + 1)].sort((x, y) =>
      x - y
    );
    const part = text.slice(a!, b!);
    const into = random.pick([
      "",
      part + part,
      random.pick(PIECES),
      `${part}${random.pick(PIECES)}`,
    ]);
    text = text.slice(0, a!) + into + text.slice(b!);
  }
  return text.replaceAll("\n", " ");
}

/** Reads to the answer of a ping; every line before is an answer, an event or a proper error. */
async function drain(client: RawClient): Promise<void> {
  const barrier = 1_000_000_007;
  await client.write(`{"id":${barrier},"method":"system.ping"}\n`);
  for (;;) {
    const line = await client.next();
    if (line.id === barrier) return;
    assert("result" in line || "event" in line || "error" in line, JSON.stringify(line));
    if ("error" in line) {
      assert(CODES.includes(line.error.code), JSON.stringify(line));
      assert(line.error.details.code !== "internal", JSON.stringify(line));
      assert(typeof line.error.message === "string" && line.error.message.length < 1000);
    }
  }
}

for (const seed of [1, 2, 3, 4]) {
  Deno.test(`500 broken requests (seed ${seed}) leave the connection usable`, async () => {
    await using daemon = await startTestDaemon({ config: OPEN_POLICY });
    const random = new Random(seed);
    const client = await openAimx(daemon, { token: true });
    await client.call("record.define", { name: "x", buffer_type: "spmc_ring", capacity: 3 });
    for (let i = 0; i < 500; i++) {
      const text = mutated(random);
      await client.raw.write(text + "\n");
      if (i % 10 === 9) await drain(client.raw);
    }
    await drain(client.raw);
    const logged = daemon.logged.filter(({ level }) => level === "error");
    assertEquals(logged, [], "nothing unexpected went wrong");
  });

  Deno.test(`300 broken handshakes (seed ${seed}) leave the daemon usable`, async () => {
    await using daemon = await startTestDaemon();
    const random = new Random(seed);
    for (let i = 0; i < 300; i++) {
      using client = await daemon.connect();
      const [a, b] = [random.below(HELLO.length), random.below(HELLO.length)].sort((x, y) => x - y);
      await client.write(HELLO.slice(0, a!) + random.pick(PIECES) + HELLO.slice(b!) + "\n");
      await client.endWriting();
      for (const line of await client.untilClosed()) {
        const isAnswer = "welcome" in line || "error" in line || "result" in line || "ok" in line;
        assert(isAnswer, JSON.stringify(line));
      }
    }
    await expectForgotten(daemon);
    assertEquals(daemon.logged.filter(({ level }) => level === "error"), []);
  });
}
