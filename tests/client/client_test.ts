/** The client against a real daemon: what a program does with it all day. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Client } from "../../src/client/client.ts";
import { Connection } from "../../src/client/connection.ts";
import { Link } from "../../src/client/link.ts";
import {
  connect,
  ConnectionError,
  findTarget,
  type Kind,
  PosternError,
} from "../../src/client/mod.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

const NO_ENV = new Map<string, string>();
/** What no type lets through, and a program without types may send. */
const NONSENSE = "nonsense" as Kind;

function connectTo(daemon: TestDaemon, consumer?: string): Promise<Client> {
  return connect({ dir: daemon.directory, env: NO_ENV, consumer });
}

Deno.test("a program sends, reads its inbox, acknowledges, and goes on from there", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon, "builder");
  const first = await client.send({ kind: "notify", topic: "build.done", payload: { ok: true } });
  await client.send({ kind: "query", payload: "?" });
  const page = await client.inbox({ kinds: ["notify"] });
  assertEquals(page.messages.map(({ seq }) => seq), [first.seq]);
  assertEquals(page.messages[0]?.envelope.payload, { ok: true });
  assertEquals(await client.ack(1), { acked_seq: 1 });
  await using later = await connectTo(daemon, "builder");
  assertEquals((await later.inbox()).messages.map(({ seq }) => seq), [2]);
});

Deno.test("thousands of sends without waiting are stored in the order of the calls", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  const receipts = await Promise.all(
    Array.from({ length: 5000 }, (_, n) => client.send({ kind: "notify", payload: n })),
  );
  assertEquals(receipts.map(({ seq }) => seq), Array.from({ length: 5000 }, (_, n) => n + 1));
});

Deno.test("what is asked for in one turn leaves in one write, without its caller's doing", async () => {
  const writes: number[] = [];
  const wrote = Promise.withResolvers<void>();
  const silence = Promise.withResolvers<null>();
  const connection = new Connection({
    read: () => silence.promise,
    write(bytes) {
      writes.push(new TextDecoder().decode(bytes).trim().split("\n").length);
      wrote.resolve();
      return Promise.resolve(bytes.length);
    },
    close: () => silence.resolve(null),
  });
  const welcome = { version: 2, agent_id: "x", epoch: "e", features: [], originator: null };
  const open = () => Promise.resolve({ connection, welcome, authenticated: true });
  const link = await Link.open({ open, policy: null });
  const target = () => findTarget({ dir: "/nowhere", env: NO_ENV });
  const client = new Client({ link, target, openStream: open, policy: null });
  const sends = Array.from({ length: 100 }, (_, n) => client.send({ kind: "notify", payload: n }));
  const outcomes = Promise.allSettled([...sends, client.ack(100)]);
  await wrote.promise;
  assertEquals(writes, [101]);
  await client.close();
  await outcomes;
});

Deno.test("a batch is stored as one, and its receipt names each", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  const payloads = [1, 2, 3].map((payload) => ({ kind: "notify" as const, payload }));
  const receipt = await client.sendAll(payloads);
  assertEquals(receipt.events.map(({ seq }) => seq), [1, 2, 3]);
  assertEquals(receipt.seq, 3);
  await assertRejects(
    () => client.sendAll([...payloads, { kind: NONSENSE, payload: 4 }]),
    PosternError,
  );
  assertEquals((await client.read(0)).events.length, 3);
});

Deno.test("a subscription brings what was there, then what comes, while its client acknowledges", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  for (let n = 1; n <= 3; n++) await client.send({ kind: "notify", payload: n });
  const seen: [number, boolean][] = [];
  for await (const { seq, replay } of client.subscribe()) {
    seen.push([seq, replay]);
    await client.ack(seq);
    if (seq === 3) await client.send({ kind: "notify", payload: "live" });
    if (seq === 4) break;
  }
  assertEquals(seen, [[1, true], [2, true], [3, true], [4, false]]);
  assertEquals((await client.inbox()).messages, []);
});

Deno.test("a subscriber who rests holds up neither its client nor loses an event", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  const stream = client.subscribe();
  await stream.started;
  const total = 20_000;
  await daemon.fill(total);
  assertEquals((await client.whoami()).agent_id, daemon.agentId);
  let last = 0;
  for await (const { seq } of stream) {
    assertEquals(seq, last + 1);
    last = seq;
    if (seq === total) break;
  }
});

Deno.test("several subscriptions of one client go their own ways", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await using builds = client.subscribe({ topics: ["build.>"] });
  await using queries = client.subscribe({ kinds: ["query"] });
  await Promise.all([builds.started, queries.started]);
  await client.send({ kind: "query", topic: "other", payload: 1 });
  await client.send({ kind: "notify", topic: "build.done", payload: 2 });
  assertEquals((await builds.next()).value?.envelope.payload, 2);
  assertEquals((await queries.next()).value?.envelope.payload, 1);
});

Deno.test("a client has at most 32 subscriptions, and one that ended makes room", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  const streams = Array.from({ length: 32 }, () => client.subscribe());
  let code = "";
  try {
    client.subscribe();
  } catch (error) {
    code = (error as PosternError).code;
  }
  assertEquals(code, "too_many");
  streams[0]!.close();
  await client.subscribe().started;
});

Deno.test("subscriptions that were refused do not count among a client's 32", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  for (let i = 0; i < 33; i++) {
    await assertRejects(() => client.subscribe({ kinds: ["nonsense"] }).started, PosternError);
  }
  await client.subscribe().started;
});

Deno.test("since replays from there, whatever the consumer has acknowledged", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(5);
  await using client = await connectTo(daemon);
  await client.inbox();
  await client.ack(5);
  await using stream = client.subscribe({ since: 3 });
  assertEquals([(await stream.next()).value?.seq, (await stream.next()).value?.seq], [4, 5]);
});

Deno.test("what the daemon refuses has its code, and the client stays usable", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  for (
    const [code, refused] of [
      ["ack_out_of_range", () => client.ack(99)],
      ["invalid_params", () => client.send({ kind: NONSENSE, payload: 1 })],
      ["unknown_operation", () => client.call("no.such")],
      ["permission_denied", () => client.send({ kind: "notify", topic: "turn.x", payload: 1 })],
      ["peer_not_found", () => client.send({ kind: "notify", to: "ed25519.ff", payload: 1 })],
      ["too_large", () => client.send({ kind: "notify", payload: "x".repeat(1_100_000) })],
    ] as [string, () => Promise<unknown>][]
  ) {
    const error = await assertRejects(refused, PosternError);
    assertEquals(error.code, code);
  }
  assert(await client.status());
});

Deno.test("a payload nested deeper than a message may be is refused, and the client stays usable", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  const deep = `{"to":"self","kind":"notify","payload":${"[".repeat(200)}${"]".repeat(200)}}`;
  const asked = [
    client.send({ kind: "notify", payload: 1 }),
    client.call("send", deep),
    client.send({ kind: "notify", payload: 2 }),
  ];
  const error = await assertRejects(() => asked[1]!, PosternError, "128 levels");
  assertEquals(error.code, "invalid_request");
  assertEquals((await asked[0] as { seq: number }).seq, 1);
  assertEquals((await asked[2] as { seq: number }).seq, 2);
});

Deno.test("when the daemon stops, closed tells why and streams throw", async () => {
  await using daemon = await startTestDaemon();
  const client = await connect({ dir: daemon.directory, env: NO_ENV, reconnect: false });
  const stream = client.subscribe();
  await stream.started;
  const next = assertRejects(() => stream.next());
  await daemon.stop();
  const closed = await client.closed;
  assertEquals(closed.by, "daemon");
  assert(closed.reason !== "");
  await next;
  await assertRejects(() => client.whoami());
  await daemon.start();
});

Deno.test("closing the client ends its streams quietly and its requests loudly", async () => {
  await using daemon = await startTestDaemon();
  const client = await connectTo(daemon);
  const stream = client.subscribe();
  const asked = assertRejects(() => client.whoami(), ConnectionError);
  await client.close();
  assertEquals(await stream.next(), { done: true, value: undefined });
  await asked;
  assertEquals((await client.closed).by, "client");
});

Deno.test("numbers that JavaScript cannot hold pass through as they were written", async () => {
  await using daemon = await startTestDaemon();
  const written = '{"big":12345678901234567890,"exp":1e999,"tail":0.10}';
  await using client = await connect({ dir: daemon.directory, env: NO_ENV, exactNumbers: true });
  await client.call("send", `{"to":"self","kind":"notify","payload":${written}}`);
  const { messages } = await client.inbox();
  assertEquals(JSON.stringify(messages[0]?.envelope.payload).slice(0, 40), written.slice(0, 40));
});

Deno.test("with require_token and no token file every call is auth_required", async () => {
  await using daemon = await startTestDaemon({ config: { require_token: true } });
  await using client = await connect({
    dir: daemon.directory,
    env: NO_ENV,
    tokenPath: `${daemon.directory}/none`,
  });
  const error = await assertRejects(() => client.inbox(), PosternError);
  assertEquals(error.code, "auth_required");
});
