/**
 * The programs that docs/clients.md prints, cut out of it and run as they stand.
 *
 * A program is a fenced block with a comment `name.ext: what it does` in one of its first two lines. What a
 * program gets is its arguments, the directory in POSTERN_DIR, and nothing of the tester's environment that
 * could decide about it.
 */

import { fromFileUrl, join } from "@std/path";

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
    const file = join(place, program.name);
    await Deno.writeTextFile(file, program.source);
    const { command, args: before } = runnerOf(program);
    const { code, stdout, stderr } = await new Deno.Command(command, {
      args: [...before, file, ...args],
      clearEnv: true,
      env: { ...kept("PATH", "HOME", "DENO_DIR"), NO_COLOR: "1", POSTERN_DIR: directory },
      cwd: place,
      stdin: "null",
      signal: AbortSignal.timeout(LIMIT_MS),
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  } finally {
    await Deno.remove(place, { recursive: true });
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
