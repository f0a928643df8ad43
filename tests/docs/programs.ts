/**
 * The programs that docs/clients.md prints, cut out of it and run as they stand.
 *
 * A program is a fenced block with a comment `name.ext: what it does` in one of its first two lines. What a
 * program gets is its arguments, the directory in POSTERN_DIR, and nothing of the tester's environment that
 * could decide about it.
 */

import { fromFileUrl, join } from "@std/path/posix";

const PAGE = fromFileUrl(new URL("../../docs/clients.md", import.meta.url));
const MANIFEST = fromFileUrl(new URL("../../deno.json", import.meta.url));
/** A program that hangs is ended after this; none takes a tenth of it. */
const LIMIT_MS = 60_000;

/** A program of the page. */
export interface Program {
  readonly name: string;
  readonly source: string;
  readonly lines: number;
}

/** What a program left when it had ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a kind of program is run, and what that takes. */
interface Runner {
  readonly command: string;
  readonly args: readonly string[];
  readonly tools: readonly string[];
}

/** Fails where there is no Node: Deno then answers to its name, and would be tested instead. */
const NODE_ITSELF = "node -e process.exit(process.versions.deno?1:0)";

const RUNNERS: Record<string, Runner> = {
  py: { command: "python3", args: [], tools: ["python3 --version"] },
  mjs: { command: "node", args: [], tools: [NODE_ITSELF] },
  sh: { command: "sh", args: [], tools: ["socat -V", "jq --version"] },
  ts: {
    command: Deno.execPath(),
    args: ["run", "-A", "--no-prompt", "--no-remote", "--config", MANIFEST],
    tools: [],
  },
};

/** Every program of the page, in its order. */
export function readPrograms(page: string = Deno.readTextFileSync(PAGE)): Program[] {
  return [...page.matchAll(/^```\w+\n(.*?)^```$/gms)].flatMap(([, source = ""]) => {
    const head = source.split("\n", 2).join("\n");
    const name = /^(?:#|\/\/) (\w+\.\w+): /m.exec(head)?.[1];
    return name === undefined ? [] : [{ name, source, lines: source.split("\n").length - 1 }];
  });
}

/** The tools that a program needs and that are not installed here. */
export function missingTools(program: Program): string[] {
  return runnerOf(program).tools.filter((tool) => !runs(tool)).map((tool) => tool.split(" ")[0]!);
}

/** Runs a program to its end, with the daemon that `directory` tells of. */
export async function runProgram(
  program: Program,
  directory: string,
  args: readonly string[] = [],
): Promise<Ended> {
  const place = await Deno.makeTempDir({ prefix: "postern_program_" });
  try {
    const { code, stdout, stderr } = await commandOf(program, { place, directory, args }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  } finally {
    await Deno.remove(place, { recursive: true });
  }
}

/** A program that goes on until it is ended, and what it says. */
export class RunningProgram implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #place: string;
  readonly #lines: AsyncIterator<string>;

  constructor(child: Deno.ChildProcess, place: string) {
    this.#child = child;
    this.#place = place;
    this.#lines = linesOf(child.stdout);
  }

  /** Waits for a line on stdout that matches. */
  async says(pattern: RegExp): Promise<void> {
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done) throw new Error(`ended without saying ${pattern}`);
      if (pattern.test(value)) return;
    }
  }

  /** Waits for the end; the exit code. */
  async end(): Promise<number> {
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch { /* it has ended already */ }
    await this.#child.status;
    while (!(await this.#lines.next()).done);
    await Deno.remove(this.#place, { recursive: true });
  }
}

/** Starts a program that goes on, with the daemon that `directory` tells of. */
export async function startProgram(program: Program, directory: string): Promise<RunningProgram> {
  const place = await Deno.makeTempDir({ prefix: "postern_program_" });
  const command = commandOf(program, { place, directory, args: [] });
  return new RunningProgram(command.spawn(), place);
}

interface Run {
  /** Where the program's file is written, and where it runs. */
  readonly place: string;
  readonly directory: string;
  readonly args: readonly string[];
}

function commandOf(program: Program, { place, directory, args }: Run): Deno.Command {
  const file = join(place, program.name);
  Deno.writeTextFileSync(file, program.source);
  const { command, args: before } = runnerOf(program);
  return new Deno.Command(command, {
    args: [...before, file, ...args],
    clearEnv: true,
    env: { ...kept("PATH", "HOME", "DENO_DIR"), NO_COLOR: "1", POSTERN_DIR: directory },
    cwd: place,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(LIMIT_MS),
  });
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

function runnerOf({ name }: Program): Runner {
  const runner = RUNNERS[name.split(".")[1]!];
  if (runner === undefined) throw new Error(`no test knows how to run ${name}`);
  return runner;
}

function runs(tool: string): boolean {
  const [command = "", ...args] = tool.split(" ");
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function kept(...names: string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}
