/**
 * The real program in a process of its own, as a person or a script runs it.
 *
 * Its environment is made here, so that nothing of the tester's own reaches it.
 */

import { fromFileUrl } from "@std/path/posix";

/** The program's entry. */
export const MAIN = fromFileUrl(new URL("../../main.ts", import.meta.url));

/** What a finished command left. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Options {
  /** What stdin brings; nothing by default. */
  readonly stdin?: string | Uint8Array;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

const KEPT = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME", "TMPDIR"];

/** What runs the program, behind the name of Deno. */
export const RUN: readonly string[] = [
  "run",
  "-A",
  "--no-prompt",
  "--no-remote",
  "--quiet",
  MAIN,
];

/** The environment of the program: what it needs to run, and what is given. */
export function environment(given: Record<string, string> = {}): Record<string, string> {
  const kept = KEPT.map((name) => [name, Deno.env.get(name)]).filter(([, value]) => value);
  return { ...Object.fromEntries(kept), ...given };
}

/** The command for `postern` with these arguments, for tests that need the process itself. */
export function posternCommand(
  args: readonly string[],
  options: Options & { piped?: boolean } = {},
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: [...RUN, ...args],
    clearEnv: true,
    env: environment(options.env),
    cwd: options.cwd,
    stdin: options.piped || options.stdin !== undefined ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs `postern` to its end. */
export async function postern(args: readonly string[], options: Options = {}): Promise<Finished> {
  const child = posternCommand(args, options).spawn();
  if (options.stdin !== undefined) {
    const bytes = typeof options.stdin === "string"
      ? new TextEncoder().encode(options.stdin)
      : options.stdin;
    // A command may end without reading all of it.
    feed(child, bytes).catch(() => {});
  }
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** The lines of a text that are not empty, each as JSON. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

async function feed(child: Deno.ChildProcess, bytes: Uint8Array): Promise<void> {
  const writer = child.stdin.getWriter();
  await writer.write(bytes as Uint8Array<ArrayBuffer>);
  await writer.close();
}

/** Reads a child's stdout line by line, waiting for each. */
export class LinesOf {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(child: Deno.ChildProcess) {
    this.#reader = child.stdout.getReader();
  }

  /** The next line, or `null` at the end. */
  async next(): Promise<string | null> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
  }

  /** Stops reading, as `head` does when it has enough. */
  async hangUp(): Promise<void> {
    await this.#reader.cancel();
  }
}
