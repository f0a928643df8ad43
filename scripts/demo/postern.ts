/** Runs the command line of Postern as a person would, and shows what it runs. */

import type { Program } from "../daemon_process.ts";

/** Lines of JSON that a command printed. */
export type Lines = AsyncIterable<Record<string, unknown>>;

/** A command with something on its stdin and its stdout read as it comes. */
export interface RunningCommand {
  readonly lines: Lines;
  /** Writes to its stdin; `false` when it no longer reads. */
  write(text: string): Promise<boolean>;
  /** Ends its stdin. */
  endInput(): Promise<void>;
  /** Asks it to end. */
  interrupt(): void;
  readonly code: Promise<number>;
}

/** The command line of one program, for one runtime directory. */
export class Postern {
  readonly #program: Program;
  readonly #directory: string;

  constructor(program: Program, directory: string) {
    this.#program = program;
    this.#directory = directory;
  }

  /**
   * Runs a command to its end and returns what it printed as JSON.
   *
   * @throws Error when it fails or prints something else
   */
  async ask(args: readonly string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await this.#command(args, "null").output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    if (code !== 0) {
      throw new Error(`postern ${args[0]} ended with ${code}: ${text(stderr).trim()}`);
    }
    return JSON.parse(text(stdout));
  }

  /** Starts a command that streams. */
  start(args: readonly string[]): RunningCommand {
    const child = this.#command(args, "piped").spawn();
    const writer = child.stdin.getWriter();
    return {
      lines: jsonLines(child.stdout),
      write: (text) => succeeds(writer.write(new TextEncoder().encode(text))),
      endInput: async () => void await succeeds(writer.close()),
      interrupt: () => signal(child),
      code: child.status.then(({ code }) => code),
    };
  }

  #command(args: readonly string[], stdin: "null" | "piped"): Deno.Command {
    const { path, args: before } = this.#program;
    return new Deno.Command(path, {
      args: [...before, ...args, "--dir", this.#directory, "--json"],
      stdin,
      stdout: "piped",
      stderr: stdin === "null" ? "piped" : "null",
    });
  }
}

function signal(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGTERM");
  } catch {
    // It has ended by itself.
  }
}

/** A pipe breaks when its reader has ended, which is an answer here and no error. */
async function succeeds(task: Promise<void>): Promise<boolean> {
  try {
    await task;
    return true;
  } catch {
    return false;
  }
}

async function* jsonLines(stream: ReadableStream<Uint8Array>): Lines {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line !== "") yield JSON.parse(line);
  }
}
