/**
 * A disk that is full: what is acknowledged stays, reading goes on, sending is refused with `storage_full`, and
 * goes on by itself when there is room again. On a small file system of its own, which takes root to mount.
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { startProcess } from "../support/process.ts";
import { type Line, RawClient } from "../support/raw_client.ts";

const SIZE_BYTES = 24 * 1024 * 1024;
/** Left free, so that the directory and an empty store fit. */
const SPARE_BYTES = 6 * 1024 * 1024;

const isRoot = Deno.build.os === "linux" && Deno.uid() === 0;
const needsRoot = isRoot ? "" : " [needs root]";

Deno.test({
  name:
    `a full disk refuses sends with storage_full, keeps and reads the rest, and recovers${needsRoot}`,
  ignore: !isRoot,
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

/** A file system that is nearly too small. */
class SmallDisk implements AsyncDisposable {
  readonly #mountPoint: string;

  private constructor(mountPoint: string) {
    this.#mountPoint = mountPoint;
  }

  static async mount(): Promise<SmallDisk> {
    const mountPoint = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "postern_" }));
    await run("mount", "-t", "tmpfs", "-o", `size=${SIZE_BYTES},mode=0700`, "tmpfs", mountPoint);
    return new SmallDisk(mountPoint);
  }

  get directory(): string {
    return join(this.#mountPoint, "d");
  }

  fill(): void {
    Deno.writeFileSync(this.#filler, new Uint8Array(SIZE_BYTES - SPARE_BYTES));
  }

  free(): void {
    Deno.removeSync(this.#filler);
  }

  get #filler(): string {
    return join(this.#mountPoint, "filler");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("umount", this.#mountPoint);
    await Deno.remove(this.#mountPoint);
  }
}

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, stdin: "null" }).output();
  assert(success, new TextDecoder().decode(stderr));
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
  for (let accepted = 0; accepted < SIZE_BYTES / payload.length; accepted++) {
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
