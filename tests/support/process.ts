/**
 * Real daemon processes for tests: started as people start them, watched by what they say, ended for sure.
 *
 * Every process is ended and waited for when its handle is disposed. Waiting is for a line on stderr or for the
 * end of the process, so a daemon that dies fails its test at once, with what it said.
 */

import { fromFileUrl, join } from "@std/path/posix";
import { withinLimit } from "./within_limit.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const FLAGS = ["--no-prompt", "--no-remote", "--cached-only"];

/** What tests/support/launch_main.ts takes, as JSON. */
export interface LaunchArguments {
  readonly directory: string;
  /** A file of tests/support/workers, without `.ts`. */
  readonly worker?: string;
  readonly silenceMs?: number;
  /** Tries the launcher's own rights once the daemon is ready, and says what came of it. */
  readonly probeLauncher?: boolean;
}

/** What else decides about a process. */
export interface ProcessOptions {
  readonly env?: Record<string, string>;
  /** Permission flags. @default {["-A"]} */
  readonly permissions?: readonly string[];
}

/** A directory of its own for a daemon, which is removed in the end. */
export class TestDirectory implements AsyncDisposable {
  /** Absolute, without a link in it; private. */
  readonly path: string;
  readonly #base: string;

  constructor(name = "d") {
    // A socket's path is short; the place for temporary files that the system names may be deep.
    this.#base = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "postern_", dir: "/tmp" }));
    this.path = join(this.#base, name);
    Deno.mkdirSync(this.path, { mode: 0o700, recursive: true });
    Deno.chmodSync(this.path, 0o700);
  }

  /** A path beside the directory, outside of it. */
  beside(name: string): string {
    return join(this.#base, name);
  }

  /** A path in the directory. */
  at(...names: string[]): string {
    return join(this.path, ...names);
  }

  read(...names: string[]): string {
    return Deno.readTextFileSync(this.at(...names));
  }

  /** The names in the directory, sorted. */
  names(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name).sort();
  }

  get log(): string {
    return this.read("log", "daemon.log");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#base, { recursive: true });
  }
}

/** A running daemon process. */
export class DaemonProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #said: Promise<void>;
  readonly #waiting = new Set<() => void>();
  #stderr = "";
  #isOver = false;

  constructor(args: readonly string[], options: ProcessOptions) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", ...FLAGS, ...options.permissions ?? ["-A"], ...args],
      cwd: ROOT,
      env: { NO_COLOR: "1", ...options.env },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#said = this.#listen();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Everything on stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Waits for a line on stderr that matches. */
  async says(pattern: RegExp): Promise<string> {
    while (true) {
      const line = this.#stderr.split("\n").slice(0, -1).find((text) => pattern.test(text));
      if (line !== undefined) return line;
      if (this.#isOver) throw new Error(`ended without saying ${pattern}: ${this.#stderr}`);
      await this.#withinLimit(
        new Promise<void>((resolve) => this.#waiting.add(resolve)),
        `${pattern}`,
      );
    }
  }

  /** Waits until the daemon listens. */
  async ready(): Promise<this> {
    await this.says(/ready:/);
    return this;
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits for the end; the exit code, or the signal that ended it. */
  async end(): Promise<number | Deno.Signal> {
    const { code, signal } = await this.#withinLimit(this.#child.status, "its end");
    await this.#said;
    return signal ?? code;
  }

  #withinLimit<T>(awaited: Promise<T>, what: string): Promise<T> {
    return withinLimit(awaited, what, () => this.#stderr);
  }

  /** Ends it without a chance to do anything about it. */
  async crash(): Promise<void> {
    this.signal("SIGKILL");
    await this.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.end();
  }

  async #listen(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const part of this.#child.stderr) {
      this.#stderr += decoder.decode(part, { stream: true });
      this.#wake();
    }
    this.#isOver = true;
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** `postern daemon`, as a person types it. */
export function startProcess(directory: string, options: ProcessOptions = {}): DaemonProcess {
  return new DaemonProcess(["main.ts", "daemon", "--dir", directory], options);
}

/** The launcher alone, with a Worker of the test's choice. */
export function startLauncher(
  launch: LaunchArguments,
  options: ProcessOptions = {},
): DaemonProcess {
  return new DaemonProcess(["tests/support/launch_main.ts", JSON.stringify(launch)], options);
}
