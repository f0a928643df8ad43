/**
 * A disk that turns read-only under a running daemon: reading goes on, sending is refused, health says so, and what
 * was answered is there after the repair.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { HttpSocket } from "../support/http_socket.ts";
import { startProcess } from "../support/process.ts";
import { eventually } from "../support/eventually.ts";
import { missingForReadOnlyDisk, ReadOnlyDisk } from "../support/read_only_disk.ts";

const reason = missingForReadOnlyDisk === null ? "" : ` [${missingForReadOnlyDisk}]`;
if (reason !== "") console.log(`ignored: a disk that turns read-only${reason}`);

function send(http: HttpSocket, payload: unknown) {
  return http.rpc("event.send", { kind: "notify", payload });
}

async function payloads(http: HttpSocket): Promise<unknown[]> {
  const { body } = await http.rpc("event.read", { after: 0 });
  return body.result.events.map((event: { envelope: { payload: unknown } }) => (
    event.envelope.payload
  ));
}

Deno.test({
  name: `a disk that turns read-only refuses sends, keeps the rest, and loses nothing${reason}`,
  ignore: reason !== "",
  async fn() {
    await using disk = ReadOnlyDisk.make();
    {
      await using daemon = await startProcess(disk.directory).ready();
      using http = new HttpSocket(disk.directory);
      for (const payload of [1, 2, 3]) assertEquals((await send(http, payload)).status, 200);
      const { body: { blob } } = await http.json("/blobs", { method: "POST", body: "picture" });
      disk.turnReadOnly();
      for (let tries = 0; tries < 5; tries++) {
        const { status, body } = await send(http, "lost");
        assertEquals([status, body.error?.data?.code], [507, "storage_full"], JSON.stringify(body));
      }
      assertEquals(await payloads(http), [1, 2, 3]);
      assertEquals(await http.text(blob.url), "picture");
      const upload = await http.json("/blobs", { method: "POST", body: "another" });
      assertEquals([upload.status, upload.body.error.code], [507, "storage_full"]);
      const isDegraded = async () => {
        const { body } = await http.json("/healthz");
        const { store, disk, log_directory } = body.components;
        return [store, disk, log_directory].every((state) => state === "failing");
      };
      await eventually(isDegraded, "health to say so");
      assertMatch(await http.text("/metrics"), /^postern_healthy 0$/m);
      daemon.signal("SIGTERM");
      await daemon.end();
    }
    disk.repair();
    disk.mount();
    await using _again = await startProcess(disk.directory).ready();
    using http = new HttpSocket(disk.directory);
    assertEquals(await payloads(http), [1, 2, 3]);
    assertEquals((await send(http, 4)).status, 200);
    assertEquals(await payloads(http), [1, 2, 3, 4]);
  },
});
