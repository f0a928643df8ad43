/**
 * A disk that is full, over HTTP: refused with 507, told as degraded, nothing lost, nothing left behind, and well
 * again by itself when there is room. On a small file system of its own, which takes root to mount.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path/posix";
import { postern } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { HttpSocket } from "../support/http_socket.ts";
import { startProcess } from "../support/process.ts";
import { canMount, SMALL_DISK_BYTES, SmallDisk } from "../support/small_disk.ts";

const needsRoot = canMount ? "" : " [needs root]";
const PAYLOAD = "x".repeat(50_000);

Deno.test({
  name: `a full disk shows over HTTP, keeps what was answered, and mends by itself${needsRoot}`,
  ignore: !canMount,
  async fn(test) {
    await using disk = await SmallDisk.mount();
    await using _daemon = await startProcess(disk.directory).ready();
    using http = new HttpSocket(disk.directory);
    let accepted: number[] = [];
    await test.step("sends are refused with 507 and storage_full", async () => {
      disk.fill();
      accepted = await sendUntilRefused(http);
      assert(accepted.length > 0);
    });
    await test.step("reading goes on", async () => {
      const { status, body } = await http.rpc("event.read", { after: 0, limit: 1 });
      assertEquals([status, body.result.events.length], [200, 1]);
    });
    await test.step("health is degraded, ready stays, and the status says so", async () => {
      const { status, body } = await http.json("/healthz");
      assertEquals([status, body.status, body.components.store], [200, "degraded", "failing"]);
      assertEquals((await http.json("/readyz")).status, 200);
      assertMatch(await http.text("/metrics"), /^postern_healthy 0$/m);
      assertMatch(await http.text("/metrics"), /^postern_commits_total\{outcome="failed"\} [1-9]/m);
      const told = await postern(["status", "--dir", disk.directory]);
      assertEquals(told.code, 1, told.stderr);
      assertMatch(told.stdout, /^health +degraded\n +store cannot be written$/m);
    });
    await test.step("an upload is refused and leaves nothing", async () => {
      const body = new Uint8Array(SMALL_DISK_BYTES);
      const { status, body: reply } = await http.json("/blobs", { method: "POST", body });
      assertEquals([status, reply.error.code], [507, "storage_full"]);
      assertEquals([...Deno.readDirSync(join(disk.directory, "blobs"))], []);
      for (const place of [disk.directory, join(disk.directory, "log")]) {
        const names = [...Deno.readDirSync(place)].map(({ name }) => name);
        assertEquals(names.filter((name) => name.includes("probe")), []);
      }
    });
    await test.step("with room again it is healthy by itself, before anybody sends", async () => {
      disk.free();
      const isWell = async () => (await http.json("/healthz")).body.status === "healthy";
      await eventually(isWell, "health");
      const { code, stdout } = await postern(["status", "--dir", disk.directory]);
      assertEquals(code, 0, stdout);
    });
    await test.step("what was answered is there, and the next send follows it", async () => {
      const seqs = await allSeqs(http);
      for (const seq of accepted) assert(seqs.includes(seq), `${seq} was answered and is gone`);
      const { status, body } = await send(http);
      assertEquals([status, body.result?.seq], [200, seqs.at(-1)! + 1]);
      const blob = await http.json("/blobs", { method: "POST", body: new Uint8Array(1_000_000) });
      assertEquals(blob.status, 201);
    });
    await test.step("the log says what could not be written, and since when it can be again", () => {
      const log = Deno.readTextFileSync(join(disk.directory, "log", "daemon.log"));
      assertMatch(log, /INFO {2}can be written again component=store failed=".*disk is full/);
    });
  },
});

function send(http: HttpSocket) {
  return http.rpc("event.send", { kind: "notify", payload: PAYLOAD });
}

async function sendUntilRefused(http: HttpSocket): Promise<number[]> {
  const seqs: number[] = [];
  while (seqs.length < SMALL_DISK_BYTES / PAYLOAD.length) {
    const { status, body } = await send(http);
    if (status === 200) {
      seqs.push(body.result.seq);
      continue;
    }
    assertEquals([status, body.error.data.code], [507, "storage_full"]);
    return seqs;
  }
  throw new Error("the disk took more than it can hold");
}

async function allSeqs(http: HttpSocket): Promise<number[]> {
  const seqs: number[] = [];
  for (let more = true; more;) {
    const { body } = await http.rpc("event.read", { after: seqs.at(-1) ?? 0, limit: 1000 });
    seqs.push(...body.result.events.map(({ seq }: { seq: number }) => seq));
    more = body.result.has_more;
  }
  return seqs;
}
