/** A file system of its own that is nearly too small for a daemon, which takes root to mount. */

import { assert } from "@std/assert";
import { join } from "@std/path/posix";

/** All that it holds. */
export const SMALL_DISK_BYTES = 24 * 1024 * 1024;
/** Left free by `fill`, so that the directory and an empty store fit. */
const SPARE_BYTES = 6 * 1024 * 1024;

/** Whether one can be mounted here. */
export const canMount: boolean = Deno.build.os === "linux" && Deno.uid() === 0;

/** The file system, mounted. */
export class SmallDisk implements AsyncDisposable {
  readonly #mountPoint: string;

  private constructor(mountPoint: string) {
    this.#mountPoint = mountPoint;
  }

  static async mount(): Promise<SmallDisk> {
    const mountPoint = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "postern_" }));
    const size = `size=${SMALL_DISK_BYTES},mode=0700`;
    await run("mount", "-t", "tmpfs", "-o", size, "tmpfs", mountPoint);
    return new SmallDisk(mountPoint);
  }

  get directory(): string {
    return join(this.#mountPoint, "d");
  }

  /** Takes all but a little of it. */
  fill(): void {
    Deno.writeFileSync(this.#filler, new Uint8Array(SMALL_DISK_BYTES - SPARE_BYTES));
  }

  /** Takes every byte that is left, until the function returned is called. */
  fillUp(): () => void {
    const path = join(this.#mountPoint, "rest");
    using file = Deno.openSync(path, { write: true, create: true });
    for (const size of [65_536, 4096]) {
      try {
        for (;;) file.writeSync(new Uint8Array(size));
      } catch (error) {
        if (!/No space/.test(String(error))) throw error;
      }
    }
    return () => Deno.removeSync(path);
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
