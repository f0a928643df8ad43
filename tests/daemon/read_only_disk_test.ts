/**
 * A disk that turns read-only under a running daemon: reading goes on, sending is refused, health says so, and what
 * was answered is there after the repair.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path/posix";
import { HttpSocket } from "../support/http_socket.ts";
import { startProcess } from "../support/process.ts";
import { eventually } from "../support/eventually.ts";
import { missingForReadOnlyDisk, ReadOnlyDisk } from "../support/read_only_disk.ts";
import { missingForSwitchableDisk, SwitchableDisk } from "../support/switchable_disk.ts";

function testOn(missing: string | null, what: string, fn: () => Promise<void>): void {
  const name = missing === null ? what : `${what} [${missing}]`;
  if (missing !== null) console.log(`ignored: ${name}`);
  Deno.test({ name, ignore: missing !== null, fn });
}

function send(http: HttpSocket, payload: unknown) {
  return http.rpc("event.send", { kind: "notify", payload });
}

async function payloads(http: HttpSocket): Promise<unknown[]> {
  const { body } = await http.rpc("event.read", { after: 0 });
  return body.result.events.map((event: { envelope: { payload: unknown } }) => (
    event.envelope.payload
  ));
}

/** What holds on a disk that takes nothing, after three payloads and a blob were stored. */
async function expectReadingOnly(http: HttpSocket, blobUrl: string): Promise<void> {
  for (let tries = 0; tries < 5; tries++) {
    const { status, body } = await send(http, "lost");
    assertEquals([status, body.error?.data?.code], [507, "storage_full"], JSON.stringify(body));
  }
  assertEquals(await payloads(http), [1, 2, 3]);
  assertEquals(await http.text(blobUrl), "picture");
  const upload = await http.json("/blobs", { method: "POST", body: "another" });
  assertEquals([upload.status, upload.body.error.code], [507, "storage_full"]);
  await eventually(async () => {
    const { body } = await http.json("/healthz");
    return Object.values(body.components).every((state) => state === "failing");
  }, "health to say so");
  assertMatch(await http.text("/metrics"), /^postern_healthy 0$/m);
}

/** Stores what is to be there in the end. @returns the blob's url */
async function store(http: HttpSocket): Promise<string> {
  for (const payload of [1, 2, 3]) assertEquals((await send(http, payload)).status, 200);
  const { body } = await http.json("/blobs", { method: "POST", body: "picture" });
  return body.blob.url;
}

testOn(
  missingForReadOnlyDisk,
  "a disk that fails and turns read-only refuses sends, keeps the rest, and loses nothing",
  async () => {
    await using disk = ReadOnlyDisk.make();
    {
      await using daemon = await startProcess(disk.directory).ready();
      using http = new HttpSocket(disk.directory);
      const url = await store(http);
      disk.turnReadOnly();
      await expectReadingOnly(http, url);
      daemon.signal("SIGTERM");
      assertEquals(await daemon.end(), 0, daemon.stderr);
    }
    disk.repair();
    disk.mount();
    await using _again = await startProcess(disk.directory).ready();
    using http = new HttpSocket(disk.directory);
    assertEquals(await payloads(http), [1, 2, 3]);
    assertEquals((await send(http, 4)).status, 200);
    assertEquals(await payloads(http), [1, 2, 3, 4]);
  },
);

testOn(
  missingForSwitchableDisk,
  "when a read-only disk can be written again sends go on by themselves, and nothing is lost",
  async () => {
    await using disk = await SwitchableDisk.mount();
    {
      await using daemon = await startProcess(disk.directory).ready();
      using http = new HttpSocket(disk.directory);
      const url = await store(http);
      disk.turnReadOnly();
      await expectReadingOnly(http, url);
      disk.turnWritable();
      const isWell = async () => (await http.json("/healthz")).body.status === "healthy";
      await eventually(isWell, "health");
      assertEquals((await send(http, 4)).status, 200);
      assertEquals((await http.json("/blobs", { method: "POST", body: "another" })).status, 201);
      assertEquals(await payloads(http), [1, 2, 3, 4]);
      await daemon.crash();
    }
    await using _again = await startProcess(disk.directory).ready();
    using http = new HttpSocket(disk.directory);
    assertEquals(await payloads(http), [1, 2, 3, 4]);
    const log = Deno.readTextFileSync(join(disk.directory, "log", "daemon.log"));
    for (const component of ["store", "disk", "log_directory"]) {
      assertMatch(log, new RegExp(`can be written again component=${component} failed=`));
    }
  },
);
