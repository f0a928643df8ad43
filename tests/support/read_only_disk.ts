/**
 * A file system of its own that turns read-only while files on it are open for writing, as one does whose disk fails:
 * ext4 on a loop device, told by its own means for that to have found an error. It takes root, and no other file
 * system notices. The kernel lets nobody write to it again until it was unmounted.
 */

import { basename, join } from "@std/path/posix";

const IMAGE_BYTES = 64 * 1024 * 1024;
const TOOLS = ["mkfs.ext4", "losetup", "mount", "umount", "e2fsck"];

/** What is missing here for one; `null` when nothing is. */
export const missingForReadOnlyDisk: string | null = missing();

/** The file system, mounted. */
export class ReadOnlyDisk implements AsyncDisposable {
  readonly #base: string;
  readonly #device: string;
  #isMounted = false;

  private constructor(base: string, device: string) {
    this.#base = base;
    this.#device = device;
  }

  static make(): ReadOnlyDisk {
    const base = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "postern_", dir: "/tmp" }));
    const image = join(base, "image");
    Deno.writeFileSync(image, new Uint8Array());
    Deno.truncateSync(image, IMAGE_BYTES);
    run("mkfs.ext4", "-q", "-F", image);
    const device = run("losetup", "--find", "--show", image).trim();
    const disk = new ReadOnlyDisk(base, device);
    Deno.mkdirSync(disk.#mountPoint);
    disk.mount();
    Deno.mkdirSync(disk.directory, { mode: 0o700 });
    return disk;
  }

  get directory(): string {
    return join(this.#mountPoint, "d");
  }

  mount(): void {
    run("mount", "-t", "ext4", "-o", "errors=remount-ro", this.#device, this.#mountPoint);
    this.#isMounted = true;
  }

  /** From now on nothing on it can be written, by whomever. */
  turnReadOnly(): void {
    // What was written is on the disk, as it is on one that has worked until then.
    run("sync", "--file-system", this.#mountPoint);
    const trigger = `/sys/fs/ext4/${basename(this.#device)}/trigger_fs_error`;
    Deno.writeTextFileSync(trigger, "a test of a read-only disk", { create: false });
  }

  /** Unmounts it, and makes it good for another `mount`; nobody may have a file of it open. */
  repair(): void {
    this.#unmount();
    const { code } = new Deno.Command("e2fsck", { args: ["-p", "-f", this.#device] }).outputSync();
    // 1 is repaired.
    if (code > 1) throw new Error(`e2fsck: ${code}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isMounted) this.#unmount();
    run("losetup", "--detach", this.#device);
    await Deno.remove(this.#base, { recursive: true });
  }

  get #mountPoint(): string {
    return join(this.#base, "m");
  }

  #unmount(): void {
    run("umount", this.#mountPoint);
    this.#isMounted = false;
  }
}

function missing(): string | null {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return "needs root on Linux";
  for (const tool of TOOLS) {
    if (!["/usr/sbin", "/sbin", "/usr/bin", "/bin"].some((place) => isThere(join(place, tool)))) {
      return `needs ${tool}`;
    }
  }
  const isWhole = isThere("/dev/loop-control") && isThere("/sys/fs/ext4");
  return isWhole ? null : "needs loop devices and ext4";
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function run(command: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(command, { args, stdin: "null" })
    .outputSync();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
