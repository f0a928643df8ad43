/**
 * A disk that is full: what is acknowledged stays, reading goes on, sending is refused with `storage_full`, and
 * goes on by itself when there is room again. On a small file system of its own, which takes root to mount.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path/posix";
import { startDaemonProcess, stopDaemonProcess } from "../../src/client/autostart.ts";
import { connect } from "../../src/client/mod.ts";
import { eventually } from "../support/eventually.ts";
import { startProcess, TestDirectory } from "../support/process.ts";
import { type Line, RawClient } from "../support/raw_client.ts";
import { canMount, SMALL_DISK_BYTES, SmallDisk } from "../support/small_disk.ts";

function testOnSmallDisk(what: string, fn: () => Promise<void>): void {
  const name = canMount ? what : `${what} [needs root]`;
  if (!canMount) console.log(`ignored: ${name}`);
  Deno.test({ name, ignore: !canMount, fn });
}

testOnSmallDisk(
  "a full disk refuses sends with storage_full, keeps and reads the rest, and recovers",
  async () => {
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
);

testOnSmallDisk(
  "a token that is revoked on a full disk is stored as such by itself later",
  async () => {
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
);

testOnSmallDisk(
  "after a crash a daemon starts on a full disk, can be found and read, and writes daemon.json and daemon.pid when there is room",
  async () => {
    await using disk = await SmallDisk.mount();
    const seqs = await leaveEvents(disk.directory, "crash");
    const free = disk.fillUp();
    await using daemon = await startProcess(disk.directory).ready();
    assertMatch(daemon.stderr, /the disk takes nothing; starting without a file.*daemon\.json/);
    const names = () => [...Deno.readDirSync(disk.directory)].map(({ name }) => name);
    for (const name of ["daemon.json", "daemon.json.new"]) assert(!names().includes(name), name);
    {
      await using client = await connect({ dir: disk.directory });
      const { events } = await client.call("event.read", { after: 0 });
      assertEquals(events.map(({ seq }) => seq), seqs);
      const refusal = await client.send({ kind: "notify", payload: "x".repeat(50_000) })
        .catch((error) => error);
      assertEquals(refusal.code, "storage_full");
    }
    free();
    const isThere = () => ["daemon.json", "daemon.pid"].every((name) => names().includes(name));
    await eventually(isThere, "the files");
    const { pid } = JSON.parse(Deno.readTextFileSync(join(disk.directory, "daemon.json")));
    const told = Deno.readTextFileSync(join(disk.directory, "daemon.pid"));
    assertEquals([pid, told], [daemon.pid, `${daemon.pid}\n`]);
    daemon.signal("SIGTERM");
    assertEquals(await daemon.end(), 0);
    assert(!isThere());
  },
);

testOnSmallDisk(
  "after an orderly stop a full disk keeps a daemon from starting, it says why, and starts when there is room",
  async () => {
    await using disk = await SmallDisk.mount();
    const seqs = await leaveEvents(disk.directory, "stop");
    const free = disk.fillUp();
    await using daemon = startProcess(disk.directory);
    assertEquals(await daemon.end(), 1);
    assertMatch(daemon.stderr, /cannot start: opening the store, which needs 65536 bytes of room/);
    free();
    await using _again = await startProcess(disk.directory).ready();
    using client = await greeted(disk.directory);
    assertEquals(await allSeqs(client), seqs);
  },
);

testOnSmallDisk("a daemon that a client starts on a full disk counts as started", async () => {
  await using disk = await SmallDisk.mount();
  await leaveEvents(disk.directory, "crash");
  const free = disk.fillUp();
  const { started, notices } = await startDaemonProcess({ directory: disk.directory });
  assert(
    started && notices.some((line) => line.includes("starting without a file")),
    `${notices}`,
  );
  free();
  const client = await connect({ dir: disk.directory });
  await stopDaemonProcess(client, 20_000);
  await client.close();
});

/** Runs a daemon for a while. @returns the seqs of what it stored */
async function leaveEvents(directory: string, end: "crash" | "stop"): Promise<number[]> {
  await using daemon = await startProcess(directory).ready();
  using client = await greeted(directory);
  for (const payload of [1, 2]) {
    await client.ask({ cmd: "send", to: "self", kind: "notify", payload });
  }
  const seqs = await allSeqs(client);
  if (end === "crash") await daemon.crash();
  else {
    daemon.signal("SIGTERM");
    assertEquals(await daemon.end(), 0);
  }
  return seqs;
}

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
