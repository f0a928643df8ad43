/** Leases over sockets: who may hold one, what proves it, and what a disconnect and a restart do to them. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { eventually, expectError, payloadsOf } from "../support/expect.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

/** A connection of a client of its own. @returns With its originator and its client_id. */
async function known(daemon: TestDaemon): Promise<{ client: RawClient; own: Line }> {
  const client = await daemon.v2();
  const own = await client.ask({ cmd: "hello", version: 2, client_kind: "test" });
  assertEquals(typeof own.originator, "string");
  return { client, own };
}

function acquire(client: RawClient, more: Record<string, unknown> = {}): Promise<Line> {
  return client.ask({ cmd: "lease.acquire", name: "build", ttl_secs: 60, ...more });
}

async function names(client: RawClient): Promise<string[]> {
  const { leases } = await client.ask({ cmd: "lease.list" });
  return leases.map((lease: Line) => lease.name);
}

/** All that was told of leases, as `lease.acquired build 1`. */
async function told(client: RawClient): Promise<string[]> {
  const { events } = await client.ask({ cmd: "event.read", after: 0, topics: ["lease.*"] });
  return events.map(({ envelope: { topic, payload } }: Line) =>
    `${topic} ${payload.name} ${payload.fence}`
  );
}

Deno.test("a lease needs somebody to hold it", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const refused = await acquire(client);
  expectError(refused, "permission_denied");
  assertStringIncludes(refused.message, "hello with client_kind first");
  assertEquals(await told(client), []);
});

Deno.test("a conflict names the holder, and nothing that another sees releases a lease", async () => {
  await using daemon = await startTestDaemon();
  const [{ client: holder, own }, { client: other }] = [await known(daemon), await known(daemon)];
  const held = await acquire(holder);
  assert(held.ok && held.fence === 1 && held.expires_at > Date.now(), JSON.stringify(held));
  const refused = await acquire(other);
  expectError(refused, "conflict");
  assertStringIncludes(refused.message, own.originator);
  const { leases: [seen] } = await other.ask({ cmd: "lease.list" });
  assertEquals(seen, {
    name: "build",
    originator: own.originator,
    fence: 1,
    acquired_at: seen.acquired_at,
    expires_at: held.expires_at,
    token_id: "owner",
  });
  const { events } = await other.ask({ cmd: "event.read", after: 0 });
  assertEquals(payloadsOf(events), [{ name: "build", originator: own.originator, fence: 1 }]);
  for (const guess of [own.originator, "build", "1", events[0].envelope.id]) {
    for (const cmd of ["lease.renew", "lease.release"]) {
      const error = await other.ask({ cmd, lease_id: guess });
      // What AXON says for itself stands beside what it was asked for.
      assertEquals([error.ok, error.error], [false, "not_found"]);
    }
  }
  const { lease_id } = held;
  assertEquals((await other.ask({ cmd: "lease.renew", lease_id, ttl_secs: 90 })).fence, 1);
  assertEquals((await holder.ask({ cmd: "lease.release", lease_id })).ok, true);
  assertEquals((await acquire(other)).fence, 2);
});

Deno.test("a lease_id that is none is not repeated to anyone", async () => {
  await using daemon = await startTestDaemon();
  const { client } = await known(daemon);
  const tooLong = `secret-${"x".repeat(200)}`;
  const refused = await client.ask({ cmd: "lease.renew", lease_id: tooLong });
  expectError(refused, "invalid_command");
  assert(!refused.message.includes("secret-"), refused.message);
});

Deno.test("what is wrong with a lease's name or time is said", async () => {
  await using daemon = await startTestDaemon();
  const { client } = await known(daemon);
  const wrong: [Record<string, unknown>, string][] = [
    [{ name: "a b" }, "a lease's name must be"],
    [{ name: "" }, "a lease's name must be"],
    [{ ttl_secs: 0 }, "ttl_secs"],
    [{ ttl_secs: 86_401 }, "ttl_secs"],
    [{ release_on_disconnect: 1 }, "release_on_disconnect"],
  ];
  for (const [params, part] of wrong) {
    const refused = await acquire(client, params);
    expectError(refused, "invalid_command");
    assertStringIncludes(refused.message, part);
  }
});

Deno.test("a disconnect releases what was asked to go with it, and a restart of the daemon nothing", async () => {
  await using daemon = await startTestDaemon();
  const watcher = await daemon.v2();
  const { client: leaving } = await known(daemon);
  await acquire(leaving, { name: "left", release_on_disconnect: true });
  await acquire(leaving, { name: "kept" });
  leaving.close();
  await eventually(async () => (await names(watcher)).join() === "kept");
  assertEquals((await told(watcher)).at(-1), "lease.released left 1");

  const { client: staying } = await known(daemon);
  const { lease_id } = await acquire(staying, { name: "going.on", release_on_disconnect: true });
  await staying.ask({ cmd: "lease.renew", lease_id, ttl_secs: 600 });
  await daemon.restart();
  const { client: back } = await known(daemon);
  assertEquals(await names(back), ["going.on", "kept"]);
  assertEquals((await back.ask({ cmd: "lease.release", lease_id })).ok, true);
  assertEquals((await acquire(back, { name: "left" })).fence, 4);
});

Deno.test("many names at once, in one commit, keep their fences over a restart", async () => {
  await using daemon = await startTestDaemon();
  const clients = await Promise.all(Array.from({ length: 20 }, () => known(daemon)));
  const fences = await Promise.all(
    clients.map(async ({ client }, i) => (await acquire(client, { name: `n${i}` })).fence),
  );
  assertEquals(fences.toSorted((a, b) => a - b), fences.map((_, i) => i + 1));
  await daemon.restart();
  const { client } = await known(daemon);
  assertEquals((await acquire(client)).fence, 21);
  assertEquals((await names(client)).length, 21);
});

Deno.test("nobody else can tell of leases", async () => {
  await using daemon = await startTestDaemon();
  const { client } = await known(daemon);
  const forged = { cmd: "send", to: "self", kind: "notify", topic: "lease.released", payload: {} };
  expectError(await client.ask(forged), "permission_denied");
  assertEquals(await told(client), []);
});

Deno.test("over HTTP a lease cannot go with a connection, and can be held without", async () => {
  await using daemon = await startTestDaemon();
  const path = `${daemon.directory}/http.sock`;
  using http = Deno.createHttpClient({ proxy: { transport: "unix", path } });
  const call = async (method: string, params: unknown): Promise<Line> => {
    const response = await fetch("http://localhost/rpc", {
      client: http,
      method: "POST",
      headers: { authorization: `Bearer ${daemon.token}`, "x-client-kind": "test" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    return await response.json();
  };
  const params = { name: "build", ttl_secs: 60 };
  const { error } = await call("lease.acquire", { ...params, release_on_disconnect: true });
  assertEquals(error.data.code, "invalid_request");
  assertStringIncludes(error.message, "release_on_disconnect");
  const { result: { lease_id, fence } } = await call("lease.acquire", params);
  assertEquals(fence, 1);
  assertEquals((await call("lease.release", { lease_id })).result, {});
});

/** A connection that has shown a token of these scopes, and is a client. */
async function tokenHolder(daemon: TestDaemon, scopes: string[]): Promise<RawClient> {
  const owner = await daemon.v2();
  const { token } = await owner.ask({ cmd: "token.create", name: scopes.join("-"), scopes });
  const client = await daemon.connect();
  await client.ask({ cmd: "hello", version: 2, client_kind: "test" });
  assertEquals((await client.ask({ cmd: "auth", token })).auth, "accepted");
  return client;
}

Deno.test("the owner releases a lease by its name, a sender does not, and the audit has both", async () => {
  await using daemon = await startTestDaemon();
  const sender = await tokenHolder(daemon, ["send"]);
  const held = await acquire(sender);
  const owner = await daemon.v2();
  const { leases: [seen] } = await owner.ask({ cmd: "lease.list" });
  assertMatch(seen.token_id, /^[0-9a-f]{16}$/);
  assertEquals((await sender.ask({ cmd: "lease.list" })).leases[0].token_id, undefined);
  const release = { cmd: "lease.release", name: "build" };
  const refused = await sender.ask(release);
  // What AXON says for itself stands beside what it was asked for.
  assertEquals([refused.ok, refused.error], [false, "permission_denied"]);
  for (const wrong of [{}, { name: "build", lease_id: held.lease_id }]) {
    assertEquals((await owner.ask({ cmd: "lease.release", ...wrong })).ok, false);
  }
  assertEquals(await names(owner), ["build"]);
  assertEquals((await owner.ask(release)).ok, true);
  assertEquals((await owner.ask(release)).error, "not_found");
  assertEquals(await names(owner), []);
  const audit = await Deno.readTextFile(`${daemon.directory}/log/audit.jsonl`);
  const releases = audit.trim().split("\n").map((line) => JSON.parse(line))
    .filter(({ op }) => op === "lease.release");
  assertEquals(releases.map(({ outcome }) => outcome), ["permission_denied", "ok", "not_found"]);
  assertEquals([releases[0].token_id, releases[1].token_id], [seen.token_id, "owner"]);
});
