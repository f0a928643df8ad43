/**
 * A file system that turns read-only under whoever uses it, and back again: what no file system of the kernel does
 * while files are open for writing. See switchable_disk_main.ts, which answers the kernel's requests; it takes root.
 */

import { fromFileUrl, join } from "@std/path/posix";
import { READ_ONLY } from "./switchable_disk_main.ts";

const MAIN = fromFileUrl(new URL("./switchable_disk_main.ts", import.meta.url));

/** What is missing here for one; `null` when nothing is. */
export const missingForSwitchableDisk: string | null = missing();

/** The file system, mounted. */
export class SwitchableDisk implements AsyncDisposable {
  readonly #mountPoint: string;
  readonly #process: Deno.ChildProcess;

  private constructor(mountPoint: string, process: Deno.ChildProcess) {
    this.#mountPoint = mountPoint;
    this.#process = process;
  }

  static async mount(): Promise<SwitchableDisk> {
    const mountPoint = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "postern_", dir: "/tmp" }));
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", "--no-remote", "--cached-only", MAIN, mountPoint],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const said = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value } = await said.read();
    await said.cancel();
    if (value !== "mounted\n") throw new Error("the switchable disk could not be mounted");
    const disk = new SwitchableDisk(mountPoint, process);
    await Deno.mkdir(disk.directory, { mode: 0o700 });
    return disk;
  }

  get directory(): string {
    return join(this.#mountPoint, "d");
  }

  turnReadOnly(): void {
    Deno.openSync(join(this.#mountPoint, READ_ONLY), { write: true, createNew: true }).close();
  }

  turnWritable(): void {
    Deno.removeSync(join(this.#mountPoint, READ_ONLY));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // In a process of its own: this one waits for the other, which answers it.
    const { success, stderr } = await new Deno.Command("umount", { args: [this.#mountPoint] })
      .output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    await this.#process.status;
    await Deno.remove(this.#mountPoint);
  }
}

function missing(): string | null {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return "needs root on Linux";
  try {
    Deno.openSync("/dev/fuse", { read: true, write: true }).close();
    return null;
  } catch {
    return "needs /dev/fuse";
  }
}
