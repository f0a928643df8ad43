/** Who a client is: one kind in one directory is one originator, whatever happens to either side. */

import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "@std/path/posix";
import { PosternError } from "../../src/client/mod.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { connectTo } from "./steady.ts";

const AS_EDITOR = { options: { clientKind: "editor" } };

function idFile(daemon: TestDaemon, kind = "editor"): string {
  return join(daemon.directory, "clients", `${kind}.id`);
}

async function originatorOf(daemon: TestDaemon, kind: string): Promise<string | null> {
  await using client = await connectTo(daemon, { options: { clientKind: kind } });
  return client.originator;
}

Deno.test("a client without a kind has no identity, and leaves no file", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  assertEquals(client.originator, null);
  assertEquals([...Deno.readDirSync(join(daemon.directory, "clients"))], []);
});

Deno.test("clients of one kind are one originator, and those of another kind another", async () => {
  await using daemon = await startTestDaemon();
  await using first = await connectTo(daemon, AS_EDITOR);
  await using second = await connectTo(daemon, AS_EDITOR);
  assertMatch(first.originator!, /^o-[0-9a-f]{32}$/);
  assertEquals(second.originator, first.originator);
  assertNotEquals(await originatorOf(daemon, "runner"), first.originator);
});

Deno.test("the secret is kept in a file that only its owner may read", async () => {
  await using daemon = await startTestDaemon();
  await using _client = await connectTo(daemon, AS_EDITOR);
  const path = idFile(daemon);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  assertMatch(Deno.readTextFileSync(path), /^[0-9a-f]{64}\n$/);
});

Deno.test("the identity outlives the client and restarts of the daemon", async () => {
  await using daemon = await startTestDaemon();
  const before = await originatorOf(daemon, "editor");
  await using staying = await connectTo(daemon, AS_EDITOR);
  await daemon.restart();
  assertEquals((await staying.send({ kind: "notify", payload: 1 })).seq, 1);
  assertEquals(staying.originator, before);
  assertEquals(await originatorOf(daemon, "editor"), before);
});

Deno.test("subscriptions and watches have their client's identity", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon, AS_EDITOR);
  await using stream = client.subscribe();
  await stream.started;
  const { clients } = await client.call("client.list");
  assertEquals(clients.map(({ originator }) => originator), [client.originator, client.originator]);
});

Deno.test("of twenty that begin at once all become the same originator", async () => {
  await using daemon = await startTestDaemon();
  const all = await Promise.all(Array.from({ length: 20 }, () => connectTo(daemon, AS_EDITOR)));
  assertEquals(new Set(all.map(({ originator }) => originator)).size, 1);
  await Promise.all(all.map((client) => client.close()));
});

Deno.test("a secret that the daemon does not know is replaced by a new one", async () => {
  await using daemon = await startTestDaemon();
  const path = idFile(daemon);
  for (const text of ["", "not an id!", "0".repeat(64)]) {
    Deno.writeTextFileSync(path, text, { mode: 0o600 });
    const first = await originatorOf(daemon, "editor");
    assertMatch(Deno.readTextFileSync(path), /^[0-9a-f]{64}\n$/);
    assertEquals(await originatorOf(daemon, "editor"), first);
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  }
  assertEquals([...Deno.readDirSync(join(daemon.directory, "clients"))].length, 1);
});

Deno.test("where the file cannot be written the identity lasts as long as the client", async () => {
  await using daemon = await startTestDaemon();
  const clients = join(daemon.directory, "clients");
  Deno.removeSync(clients);
  await using client = await connectTo(daemon, AS_EDITOR);
  await using stream = client.subscribe();
  await stream.started;
  const { clients: connected } = await client.call("client.list");
  assertEquals(connected.map(({ originator }) => originator), Array(2).fill(client.originator));
  Deno.mkdirSync(clients, { mode: 0o700 });
  assertNotEquals(await originatorOf(daemon, "editor"), client.originator);
});

Deno.test("a kind that is no name is refused before anything is opened", async () => {
  await using daemon = await startTestDaemon();
  for (const clientKind of ["", "../ipc-token", "a b", "x".repeat(65)]) {
    const error = await assertRejects(
      () => connectTo(daemon, { options: { clientKind } }),
      PosternError,
    );
    assertEquals(error.code, "invalid_params");
    assert(error.message.includes("1 to 64 of [A-Za-z0-9_-]"), error.message);
  }
});
