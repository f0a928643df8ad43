/** What waits is shared: a token that is not the owner's has a part of it, on real sockets, and others go on. */

import { assertEquals } from "@std/assert";
import { eventually, expectError } from "../support/expect.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

/** Makes connections with a token of its own, which may do all but administer. */
async function newToken(daemon: TestDaemon, name: string): Promise<() => Promise<RawClient>> {
  using owner = await daemon.v2();
  const scopes = ["read", "send", "serve"];
  const { token } = await owner.ask({ cmd: "token.create", name, scopes });
  return async () => {
    const client = await daemon.connect();
    await client.hello();
    assertEquals((await client.ask({ cmd: "auth", token })).ok, true);
    return client;
  };
}

/** Sends the same request so often. */
async function repeat(client: RawClient, count: number, request: Line): Promise<void> {
  await client.send(...Array.from({ length: count }, (_, i) => ({ ...request, req_id: `${i}` })));
}

/** The next reply refuses the request of that number for what its token has. */
async function expectFull(client: RawClient, req_id: number, limit: number): Promise<void> {
  const reply = await client.reply();
  expectError(reply, "too_many");
  assertEquals([reply.req_id, reply.details ?? { limit: reply.limit }], [`${req_id}`, { limit }]);
}

Deno.test("calls that wait for a service are shared by tokens", async () => {
  await using daemon = await startTestDaemon();
  const provider = await daemon.v2();
  const service = { name: "slow", methods: [{ name: "do" }], max_concurrent: 1 };
  await provider.ask({ cmd: "service.register", ...service });
  const [one, other] = [await newToken(daemon, "one"), await newToken(daemon, "other")];
  const call = { cmd: "service.call", service: "slow", method: "do" };
  const greedy = await one();
  await repeat(greedy, 252, call);
  await expectFull(greedy, 251, 250);
  await repeat(await other(), 1, call);
  await eventually(async () => {
    const { services } = await provider.ask({ cmd: "service.list" });
    return services[0].waiting === 251;
  });
});

Deno.test("waits for a decision are shared by tokens", async () => {
  await using daemon = await startTestDaemon();
  const owner = await daemon.v2();
  await owner.ask({ cmd: "hello", version: 2, client_kind: "test" });
  const asked = { cmd: "permission.request", tool: "Bash", input: 1 };
  const { request_id } = await owner.ask(asked);
  const [one, other] = [await newToken(daemon, "one"), await newToken(daemon, "other")];
  const wait = { cmd: "permission.wait", request_id };
  const waits = async (client: RawClient, count: number) => {
    await repeat(client, count, wait);
    const { sessions } = await client.ask({ cmd: "session.list" });
    assertEquals(sessions, [], "what came before was not refused");
  };
  for (let n = 0; n < 10; n++) await waits(await one(), 250);
  const greedy = await one();
  await repeat(greedy, 1, wait);
  await expectFull(greedy, 0, 2500);
  const waiting = await other();
  await waits(waiting, 1);
  await owner.ask({ cmd: "permission.cancel", request_id });
  assertEquals((await waiting.reply()).result.decision, "cancelled");
});

Deno.test("the messages of open turns are shared by tokens", async () => {
  await using daemon = await startTestDaemon();
  const [one, other] = [await newToken(daemon, "one"), await newToken(daemon, "other")];
  const message = { cmd: "session.send", session_id: "s", text: "x".repeat(48 * 1024) };
  const greedy = await one();
  await repeat(greedy, 86, message);
  for (let i = 0; i < 85; i++) assertEquals((await greedy.reply()).ok, true);
  await expectFull(greedy, 85, 4 * 1024 * 1024);
  for (const client of [await other(), await daemon.v2()]) {
    assertEquals((await client.ask(message)).ok, true);
  }
});

Deno.test("attachments of runners are shared by tokens", async () => {
  await using daemon = await startTestDaemon();
  const [one, other] = [await newToken(daemon, "one"), await newToken(daemon, "other")];
  const attach = (name: string) => ({ cmd: "session.attach", runner: name });
  for (let n = 0; n < 25; n++) {
    const runner = await one();
    const places = Array.from({ length: 100 }, (_, i) => attach(`r${n}.${i}`));
    await runner.send(...places.map((place, i) => ({ ...place, req_id: `${i}` })));
    for (const _ of places) assertEquals((await runner.reply()).ok, true);
  }
  const greedy = await one();
  await repeat(greedy, 1, attach("more"));
  await expectFull(greedy, 0, 2500);
  for (const client of [await other(), await daemon.v2()]) {
    assertEquals((await client.ask(attach(crypto.randomUUID()))).ok, true);
  }
});
