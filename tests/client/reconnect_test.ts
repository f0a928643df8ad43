/** A client and a daemon that goes and comes: what goes on, with what token, in which log, and what is told. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type LinkNotice, PosternError, type Subscription } from "../../src/client/mod.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { connectTo, Gate, takeFrom } from "./steady.ts";

/** The seqs of the next events. */
function take(stream: Subscription, count: number): Promise<number[]> {
  return takeFrom(stream, count, ({ seq }) => seq);
}

/** Everything the daemon's log was made of. */
async function forget(daemon: TestDaemon): Promise<void> {
  for await (const { name } of Deno.readDir(daemon.directory)) {
    if (/^events|head/.test(name)) await Deno.remove(`${daemon.directory}/${name}`);
  }
}

Deno.test("a client goes on after a restart, and tells of the loss and of the return", async () => {
  await using daemon = await startTestDaemon();
  const told: LinkNotice["type"][] = [];
  const back = Promise.withResolvers<void>();
  const onNotice = (notice: LinkNotice) => {
    told.push(notice.type);
    if (notice.type === "connected") back.resolve();
  };
  await using client = await connectTo(daemon, { options: { onNotice } });
  await client.send({ kind: "notify", payload: 1 });
  await daemon.restart();
  await back.promise;
  assertEquals((await client.send({ kind: "notify", payload: 2 })).seq, 2);
  assertEquals([told[0], told.at(-1)], ["lost", "connected"]);
});

Deno.test("a stream goes on with what was stored while its client was away", async () => {
  await using daemon = await startTestDaemon();
  const gate = new Gate();
  await using client = await connectTo(daemon, { gate });
  await using all = client.subscribe({ consumer: null });
  await using builds = client.subscribe({ consumer: "b", topics: ["build.>"] });
  await Promise.all([all.started, builds.started]);
  await daemon.fill(3);
  assertEquals(await take(all, 3), [1, 2, 3]);
  await daemon.restart();
  await daemon.fill(2);
  await daemon.fill(1, { topic: "build.done" });
  gate.open();
  assertEquals(await take(all, 3), [4, 5, 6]);
  assertEquals(await take(builds, 1), [6]);
});

Deno.test("a stream of what comes from now on misses nothing from then on, though it had seen nothing", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const gate = new Gate();
  await using client = await connectTo(daemon, { gate });
  await using stream = client.subscribe({ consumer: null, replay: false });
  await stream.started;
  await daemon.restart();
  await daemon.fill(2);
  gate.open();
  assertEquals(await take(stream, 2), [4, 5]);
});

Deno.test("what a reader had not taken when the connection was lost comes once", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await using stream = client.subscribe({ consumer: null });
  await stream.started;
  await daemon.fill(3000);
  assertEquals(await take(stream, 1), [1]);
  await daemon.restart();
  await daemon.fill(10);
  assertEquals(await take(stream, 3009), Array.from({ length: 3009 }, (_, n) => n + 2));
});

Deno.test("a consumer acknowledges after the restart what it was given before", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon, { options: { consumer: "builder" } });
  await using stream = client.subscribe();
  await daemon.fill(3);
  await take(stream, 3);
  await daemon.restart();
  const reading = take(stream, 1);
  await daemon.fill(1);
  await reading;
  assertEquals(await client.ack(3, { timeoutMs: 10_000 }), { acked_seq: 3 });
});

for (const consumer of [null, "builder"]) {
  Deno.test(`another log is told with its first event, to ${consumer ?? "a reader without a consumer"}`, async () => {
    await using daemon = await startTestDaemon();
    const gate = new Gate();
    await using client = await connectTo(daemon, { gate });
    const before = daemon.epoch;
    await daemon.fill(5);
    await using stream = client.subscribe({ consumer, replay: consumer !== null });
    await stream.started;
    await daemon.fill(1);
    const seen = await take(stream, consumer === null ? 1 : 6);
    assertEquals(seen.at(-1), 6);
    await daemon.stop();
    await forget(daemon);
    await daemon.start();
    await daemon.fill(2);
    gate.open();
    const { value } = await stream.next();
    assertEquals(value?.seq, 1, "nothing of the new log is skipped");
    assertEquals(value?.reset, { epoch: daemon.epoch, previous_epoch: before, last_seq: 6 });
    const { value: next } = await stream.next();
    assertEquals([next?.seq, next?.reset], [2, undefined]);
    await client.status();
    assertEquals(client.welcome.epoch, daemon.epoch);
  });
}

Deno.test("the token file is read again, because it may have been replaced meanwhile", async () => {
  const gate = new Gate();
  await using daemon = await startTestDaemon({ config: { require_token: true } });
  await using client = await connectTo(daemon, { gate });
  await using stream = client.subscribe({ consumer: null });
  await stream.started;
  await daemon.stop();
  await Deno.writeTextFile(daemon.directory + "/ipc-token", `${"5a".repeat(32)}\n`);
  await daemon.start();
  assertEquals(daemon.token, "5a".repeat(32));
  gate.open();
  assertEquals((await client.send({ kind: "notify", payload: 1 })).seq, 1);
  assertEquals(await take(stream, 1), [1]);
});

Deno.test("a client that had a token does not go on without one", async () => {
  await using daemon = await startTestDaemon();
  const options = { timeoutMs: 200, reconnect: { minDelayMs: 1, maxDelayMs: 10, attempts: 20 } };
  const client = await connectTo(daemon, { options });
  const socket = daemon.socketPath;
  await daemon.stop();
  await using _stranger = strangerWithoutToken(socket);
  await Deno.remove(daemon.directory + "/ipc-token");
  const { by, error } = await client.closed;
  assertEquals([by, error.code], ["error", "auth_failed"]);
  await client.close();
});

/** Somebody who listens where the daemon did. */
function strangerWithoutToken(path: string): AsyncDisposable {
  const listener = Deno.listen({ transport: "unix", path });
  return {
    [Symbol.asyncDispose]() {
      listener.close();
      return Promise.resolve();
    },
  };
}

Deno.test("a subscription asked for while the daemon is away begins when it is back", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await daemon.stop();
  await using stream = client.subscribe({ consumer: null });
  await daemon.start();
  await daemon.fill(1);
  assertEquals(await take(stream, 1), [1]);
});

Deno.test("a subscription gives up on time and on its signal, and what came before is still given", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  const controller = new AbortController();
  const stream = client.subscribe({ consumer: null, signal: controller.signal });
  await stream.started;
  const first = stream.next();
  await daemon.fill(1);
  assertEquals((await first).value?.seq, 1);
  const next = assertRejects(() => stream.next(), Error, "that is all");
  controller.abort(new Error("that is all"));
  await next;
  assertEquals((await stream.next()).done, true);
  await daemon.stop();
  const late = client.subscribe({ timeoutMs: 1 });
  assertEquals((await assertRejects(() => late.started, PosternError)).code, "timeout");
  const aborted = client.subscribe({ signal: AbortSignal.abort(new Error("before")) });
  await assertRejects(() => aborted.next(), Error, "before");
  await daemon.start();
});

Deno.test("every call has its time-out and its signal, and the client's own where it names none", async () => {
  await using daemon = await startTestDaemon();
  const lost = Promise.withResolvers<void>();
  const options = { requestTimeoutMs: 1, onNotice: () => lost.resolve() };
  await using client = await connectTo(daemon, { options });
  await daemon.stop();
  await lost.promise;
  const signal = AbortSignal.abort(new Error("enough"));
  const message = { kind: "notify", payload: 1 } as const;
  const calls = [
    (options = {}) => client.call("system.ping", {}, options),
    (options = {}) => client.send(message, options),
    (options = {}) => client.sendAll([message], options),
    (options = {}) => client.inbox(options),
    (options = {}) => client.ack(0, options),
    (options = {}) => client.read(0, options),
    (options = {}) => client.whoami(options),
    (options = {}) => client.status(options),
  ];
  for (const call of calls) {
    assertEquals((await assertRejects(() => call(), PosternError)).code, "timeout");
    await assertRejects(() => call({ signal, timeoutMs: 60_000 }), Error, "enough");
  }
  await daemon.start();
});

Deno.test("a client that gives up says why, and so do its streams", async () => {
  await using daemon = await startTestDaemon();
  const reconnect = { minDelayMs: 1, attempts: 3 };
  const client = await connectTo(daemon, { options: { reconnect } });
  const stream = client.subscribe();
  await stream.started;
  await daemon.stop();
  const { by, reason, error } = await client.closed;
  assertEquals(by, "error");
  assert(reason.includes("gave up"));
  assert(["ENOENT", "ECONNREFUSED"].includes(error.code), error.code);
  await assertRejects(() => stream.next(), Error, "postern.sock");
  await daemon.start();
});
