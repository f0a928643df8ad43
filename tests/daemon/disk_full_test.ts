/**
 * A disk that is full: what is acknowledged stays, reading goes on, sending is refused with `storage_full`, and
 * goes on by itself when there is room again. On a small file system of its own, which takes root to mount.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path/posix";
import { eventually } from "../support/eventually.ts";
import { startProcess, TestDirectory } from "../support/process.ts";
import { type Line, RawClient } from "../support/raw_client.ts";
import { canMount, SMALL_DISK_BYTES, SmallDisk } from "../support/small_disk.ts";

const needsRoot = canMount ? "" : " [needs root]";

Deno.test({
  name:
    `a full disk refuses sends with storage_full, keeps and reads the rest, and recovers${needsRoot}`,
  ignore: !canMount,
  async fn() {
    await using disk = await SmallDisk.mount();
    await using _daemon = await startProcess(disk.directory).ready();
    using client = await greeted(disk.directory);
    disk.fill();
    const accepted = await sendUntilRefused(client);
    disk.free();
    const seqs = await allSeqs(client);
    assert(seqs.length >= accepted, `${accepted} were accepted, ${seqs.length} are there`);
    const later = await client.ask({ cmd: "send", to: "self", kind: "notify", payload: "again" });
    assertEquals(later.ok, true, JSON.stringify(later));
    assertEquals(later.seq, seqs.at(-1)! + 1, "a refused event uses no seq");
  },
});

Deno.test({
  name: `a token that is revoked on a full disk is stored as such by itself later${needsRoot}`,
  ignore: !canMount,
  async fn() {
    await using disk = await SmallDisk.mount();
    await using _daemon = await startProcess(disk.directory).ready();
    using client = await greeted(disk.directory);
    const { token } = await client.ask({ cmd: "token.create", name: "ci", scopes: ["read"] });
    assertEquals(await isTaken(disk.directory, token), true);
    disk.fill();
    await sendUntilRefused(client);
    for (let tries = 0; tries < 2; tries++) {
      const refusal = await client.ask({ cmd: "token.revoke", id: "ci" });
      assertEquals(refusal.error, "storage_full", JSON.stringify(refusal));
      assertStringIncludes(refusal.message, "revoked until the next start, not stored yet");
      assertEquals(await isTaken(disk.directory, token), false);
      const { tokens } = await client.ask({ cmd: "token.list" });
      assertEquals(tokens.map(({ name, revoked }: Line) => [name, revoked]), [["ci", true]]);
    }
    disk.free();
    await eventually(async () => {
      // What a start would find now.
      await using copy = new TestDirectory();
      for (const { name } of Deno.readDirSync(disk.directory)) {
        const isKept = /^(events\.kv|ipc-token)/.test(name) && !name.endsWith("-shm");
        if (isKept) Deno.copyFileSync(join(disk.directory, name), copy.at(name));
      }
      await using _copied = await startProcess(copy.path).ready();
      return !await isTaken(copy.path, token);
    }, "the revocation to be stored");
    assertEquals((await client.ask({ cmd: "token.list" })).tokens, []);
    assertEquals((await client.ask({ cmd: "token.revoke", id: "ci" })).ok, true);
  },
});

async function isTaken(directory: string, token: string): Promise<boolean> {
  using client = await RawClient.connect(join(directory, "postern.sock"));
  await client.hello();
  return (await client.ask({ cmd: "auth", token })).ok;
}

async function greeted(directory: string): Promise<RawClient> {
  const client = await RawClient.connect(join(directory, "postern.sock"));
  await client.hello();
  const token = Deno.readTextFileSync(join(directory, "ipc-token"));
  assertEquals((await client.ask({ cmd: "auth", token })).ok, true);
  return client;
}

/** Sends until the first refusal, and shows that reading still works then. */
async function sendUntilRefused(client: RawClient): Promise<number> {
  const payload = "x".repeat(50_000);
  for (let accepted = 0; accepted < SMALL_DISK_BYTES / payload.length; accepted++) {
    const reply = await client.ask({ cmd: "send", to: "self", kind: "notify", payload });
    if (reply.ok) continue;
    assertEquals(reply.error, "storage_full", JSON.stringify(reply));
    assertEquals((await client.ask({ cmd: "inbox", limit: 1 })).messages.length, 1);
    return accepted;
  }
  throw new Error("the disk took more than it can hold");
}

async function allSeqs(client: RawClient): Promise<number[]> {
  const seqs: number[] = [];
  for (let more = true; more;) {
    const page = await client.ask({ cmd: "event.read", after: seqs.at(-1) ?? 0, limit: 1000 });
    seqs.push(...page.events.map(({ seq }: Line) => seq));
    more = page.has_more;
  }
  return seqs;
}
