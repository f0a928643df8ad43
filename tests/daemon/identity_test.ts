/** The daemon's identity and its token: made once, kept, private, never half written. */

import { assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { loadOrCreateIdentity } from "../../src/daemon/identity.ts";
import { loadOrCreateToken } from "../../src/daemon/token.ts";
import { TestDirectory } from "../support/process.ts";

const uid = Deno.uid();

Deno.test("an identity stays the same, and its agent_id is made from its public key", async () => {
  await using directory = new TestDirectory();
  const first = await loadOrCreateIdentity(directory.path, uid);
  assertEquals(await loadOrCreateIdentity(directory.path, uid), first);
  const raw = Uint8Array.fromBase64(first.publicKey);
  assertEquals(raw.length, 32);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", raw));
  assertEquals(first.agentId, `ed25519.${digest.toHex().slice(0, 32)}`);
});

Deno.test("two directories have two identities", async () => {
  await using one = new TestDirectory();
  await using other = new TestDirectory();
  const identities = [one, other].map(({ path }) => loadOrCreateIdentity(path, uid));
  const [first, second] = await Promise.all(identities);
  assertNotEquals(first!.agentId, second!.agentId);
});

Deno.test("identity.pub is the key's public half, and is made anew when it differs", async () => {
  await using directory = new TestDirectory();
  const { publicKey } = await loadOrCreateIdentity(directory.path, uid);
  const written = directory.read("identity.pub");
  assertMatch(written, /^-----BEGIN PUBLIC KEY-----\n/);
  const spki = Uint8Array.fromBase64(written.split("\n")[1]!);
  assertEquals(spki.slice(-32).toBase64(), publicKey);
  Deno.writeTextFileSync(directory.at("identity.pub"), "stale\n");
  await loadOrCreateIdentity(directory.path, uid);
  assertEquals(directory.read("identity.pub"), written);
});

Deno.test("a broken identity.key is an error that shows nothing of it, and is kept", async () => {
  await using directory = new TestDirectory();
  Deno.writeTextFileSync(directory.at("identity.key"), "c2VjcmV0\n", { mode: 0o600 });
  const error = await assertRejects(
    () => loadOrCreateIdentity(directory.path, uid),
    PosternError,
    "must hold an Ed25519 private key",
  );
  assertEquals(error.message.includes("c2VjcmV0"), false);
  assertEquals(directory.read("identity.key"), "c2VjcmV0\n");
});

Deno.test("a token has 256 bits, stays the same, and its file is private", async () => {
  await using directory = new TestDirectory();
  const path = directory.at("ipc-token");
  const token = await loadOrCreateToken(path, uid);
  assertMatch(token, /^[0-9a-f]{64}$/);
  assertEquals(await loadOrCreateToken(path, uid), token);
  assertEquals((Deno.lstatSync(path).mode ?? 0) & 0o777, 0o600);
  assertEquals(directory.names(), ["ipc-token"], "no temporary file is left");
});

Deno.test("a token of a person's own is taken, whatever the case of its digits", async () => {
  await using directory = new TestDirectory();
  const path = directory.at("ipc-token");
  Deno.writeTextFileSync(path, `${"AB".repeat(32)}\r\n`, { mode: 0o600 });
  assertEquals(await loadOrCreateToken(path, uid), "ab".repeat(32));
});

Deno.test("a file that holds no token is an error that shows nothing of it, and is kept", async () => {
  await using directory = new TestDirectory();
  const path = directory.at("ipc-token");
  for (const text of ["", "hunter2hunter2", "ab".repeat(31), "ab".repeat(33)]) {
    Deno.writeTextFileSync(path, text, { mode: 0o600 });
    const error = await assertRejects(() => loadOrCreateToken(path, uid), PosternError);
    assertMatch(error.message, /must hold 64 hex digits/);
    if (text !== "") assertEquals(error.message.includes(text), false);
    assertEquals(directory.read("ipc-token"), text);
  }
});

Deno.test("what a crash left of a token half written does not become the token", async () => {
  await using directory = new TestDirectory();
  const path = directory.at("ipc-token");
  Deno.writeTextFileSync(`${path}.new`, "ab".repeat(20), { mode: 0o600 });
  assertMatch(await loadOrCreateToken(path, uid), /^[0-9a-f]{64}$/);
  assertEquals(directory.names(), ["ipc-token"]);
});

Deno.test("a link beside the token's file is not written through", async () => {
  await using directory = new TestDirectory();
  const target = directory.beside("target");
  Deno.writeTextFileSync(target, "precious\n", { mode: 0o600 });
  Deno.symlinkSync(target, directory.at("ipc-token.new"));
  await assertRejects(
    () => loadOrCreateToken(directory.at("ipc-token"), uid),
    PosternError,
    "it is a symbolic link",
  );
  assertEquals(Deno.readTextFileSync(target), "precious\n");
});
