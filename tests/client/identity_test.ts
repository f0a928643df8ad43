/** Who a client is: one kind in one directory is one originator, whatever happens to either side. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path/posix";
import { PosternError } from "../../src/client/mod.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { connectTo } from "./steady.ts";

const isRoot = Deno.uid() === 0;
if (!isRoot) console.log("ignored: what needs another user's files needs root to make them");

const AS_EDITOR = { options: { clientKind: "editor" } };

function idFile(daemon: TestDaemon, kind = "editor"): string {
  return join(daemon.directory, "clients", `${kind}.id`);
}

async function originatorOf(daemon: TestDaemon, kind: string): Promise<string | null> {
  await using client = await connectTo(daemon, { options: { clientKind: kind } });
  return client.originator;
}

function entries(daemon: TestDaemon): string[] {
  return [...Deno.readDirSync(join(daemon.directory, "clients"))].map(({ name }) => name).sort();
}

/** Nobody becomes the editor, and the message says why. */
async function refuses(daemon: TestDaemon, why: string): Promise<void> {
  const error = await assertRejects(() => connectTo(daemon, AS_EDITOR), PosternError);
  assertEquals(error.code, "permission_denied");
  assertStringIncludes(error.message, why);
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
  assertEquals(entries(daemon), ["editor.id", "editor.id.refused"]);
});

Deno.test("the secret that was refused last is kept beside the new one, and is good again if put back", async () => {
  await using daemon = await startTestDaemon();
  const path = idFile(daemon);
  const first = await originatorOf(daemon, "editor");
  const secret = Deno.readTextFileSync(path);
  for (const refused of ["1".repeat(64), "2".repeat(64)]) {
    Deno.writeTextFileSync(path, refused);
    assertNotEquals(await originatorOf(daemon, "editor"), first);
    assertEquals(Deno.readTextFileSync(`${path}.refused`), `${refused}\n`);
    assertEquals(Deno.statSync(`${path}.refused`).mode! & 0o777, 0o600);
  }
  assertEquals(entries(daemon), ["editor.id", "editor.id.refused"]);
  Deno.writeTextFileSync(`${path}.refused`, secret);
  Deno.renameSync(`${path}.refused`, path);
  assertEquals(await originatorOf(daemon, "editor"), first);
});

Deno.test("a secret that cannot be replaced is told with its file, and leaves no copy", async () => {
  await using daemon = await startTestDaemon();
  const path = idFile(daemon);
  Deno.writeTextFileSync(path, "0".repeat(64), { mode: 0o600 });
  Deno.mkdirSync(`${path}.refused`);
  await refuses(daemon, `"${path}.refused" must be a file that can be replaced: `);
  assertEquals(entries(daemon), ["editor.id", "editor.id.refused"]);
  assertEquals(Deno.readTextFileSync(path), "0".repeat(64));
});

Deno.test("a secret that others may read, or could have put there, is refused and left as it is", async () => {
  await using daemon = await startTestDaemon();
  await originatorOf(daemon, "editor");
  const path = idFile(daemon);
  const kept = join(daemon.directory, "clients", "kept");
  Deno.renameSync(path, kept);
  Deno.symlinkSync(kept, path);
  await refuses(daemon, `"${path}" must be a file, and is a symbolic link`);
  Deno.removeSync(path);
  for (const mode of [0o644, 0o660, 0o602]) {
    Deno.copyFileSync(kept, path);
    Deno.chmodSync(path, mode);
    const rule = "must be for its owner only (mode 0600), and has mode";
    await refuses(daemon, `"${path}" ${rule} 0${mode.toString(8)}`);
    assertEquals(Deno.readTextFileSync(path), Deno.readTextFileSync(kept));
  }
  Deno.writeTextFileSync(path, " ".repeat(1025));
  Deno.chmodSync(path, 0o600);
  await refuses(daemon, `"${path}" must be at most 1024 bytes, and has 1025`);
  Deno.removeSync(path);
  Deno.mkdirSync(path, { mode: 0o700 });
  await refuses(daemon, `"${path}" must be a regular file`);
  Deno.removeSync(path);
  // Whoever opens it waits for ever.
  assert(new Deno.Command("mkfifo", { args: ["-m", "600", path] }).outputSync().success);
  await refuses(daemon, `"${path}" must be a regular file`);
});

Deno.test({
  name: "a secret of another user is refused",
  ignore: !isRoot,
  async fn() {
    await using daemon = await startTestDaemon();
    await originatorOf(daemon, "editor");
    Deno.chownSync(idFile(daemon), 4321, null);
    await refuses(daemon, "must belong to the user 0, and belongs to 4321");
  },
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
