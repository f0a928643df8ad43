/**
 * One binary for one target: `deno compile`, and the check that it holds the program and nothing else.
 *
 * The base binary comes from `DENORT_BIN` or is fetched by deno. The rights in the binary are those of the
 * launcher and the commands; the daemon itself gives them up as it starts.
 */

import { dirname } from "@std/path/posix";
import { HEAP_BOUND } from "../../src/client/spawn.ts";
import { shown } from "../../src/core/errors.ts";
import { VERSION } from "../../src/core/version.ts";
import { ROOT } from "../daemon_process.ts";
import { BuildError, failure, type RunDeno, runDeno, wantedNetwork } from "./command.ts";
import { embeddedFiles, problemsWith } from "./embedded.ts";
import { neededByProgram } from "./graph.ts";

/** Where Postern runs: it needs Unix sockets. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
] as const;

/** The two entries of the program; the second one is started as a Worker, so no import leads to it. */
export const ENTRIES = ["main.ts", "src/daemon/worker.ts"] as const;

/** What the commands and the launcher do: files, sockets, settings, uid and umask, starting the daemon. */
const RIGHTS = [
  "--allow-read",
  "--allow-write",
  "--allow-net",
  "--allow-env",
  "--allow-sys",
  "--allow-run",
];

/** What to compile. */
export interface CompileJob {
  readonly target: string;
  /** The binary to write. */
  readonly output: string;
  /** The base binary; without one deno fetches it. */
  readonly base?: string;
}

/** A binary and what is in it. */
export interface Compiled {
  readonly output: string;
  /** Embedded files, a folder that is in it whole as `folder/*`. */
  readonly files: readonly string[];
}

/** The arguments for deno. */
export function compileArguments({ target, output }: CompileJob): string[] {
  const [main, ...others] = ENTRIES;
  return [
    "compile",
    "--no-prompt",
    "--no-remote",
    "--cached-only",
    // Packages that only scripts and tests import stay out.
    "--exclude-unused-npm",
    HEAP_BOUND,
    ...RIGHTS,
    ...others.map((entry) => `--include=${entry}`),
    `--target=${target}`,
    `--output=${output}`,
    main,
  ];
}

/**
 * Compiles one binary and checks what was embedded.
 *
 * @throws {BuildError} when it cannot be made, or holds too little or too much
 */
export async function compile(job: CompileJob, run: RunDeno = runDeno): Promise<Compiled> {
  const { target, output, base } = job;
  const finished = await run(compileArguments(job), base === undefined ? {} : { DENORT_BIN: base });
  if (!finished.success) {
    throw failure(
      wantedNetwork(finished) && base === undefined
        ? `compiling for ${target}: its base binary is neither here nor can it be fetched; name a local denort ` +
          `${Deno.version.deno} for that target with DENORT_BIN`
        : `compiling for ${target} failed`,
      finished,
    );
  }
  const files = embeddedFiles(finished.stderr + finished.stdout);
  const problems = problemsWith(files, await neededByProgram(ENTRIES, run), ROOT);
  if (problems.length > 0) {
    throw new BuildError(`compiling for ${target}: ${problems.join("; ")}`);
  }
  return { output, files };
}

/**
 * Asks a binary for this machine for its version.
 *
 * @throws {BuildError} when it does not answer as this program would; the base binary was none, then
 */
export async function tryOut(output: string): Promise<void> {
  const said = await whatItSays(output);
  if (versionIn(said) === VERSION) return;
  throw new BuildError(
    `the binary does not answer with version ${VERSION}, but with ${shown(said)}; ` +
      "is DENORT_BIN a denort of this version of deno, and not deno itself?",
  );
}

async function whatItSays(binary: string): Promise<string> {
  // Beside itself, where no daemon runs.
  const args = ["version", "--json", "--dir", dirname(binary)];
  try {
    const { stdout } = await new Deno.Command(binary, { args, stdin: "null", stderr: "null" })
      .output();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    return (error as Error).message;
  }
}

function versionIn(text: string): unknown {
  try {
    return JSON.parse(text).client;
  } catch {
    return null;
  }
}
