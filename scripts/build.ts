/**
 * Builds what is given to others: a binary for each target, or with `--bundle` one JavaScript file.
 *
 * Writes to dist/. `DENORT_BIN` names the base binary of `deno compile`; without it deno fetches one.
 * `--check` compiles for this machine with deno itself in the base binary's place: everything runs to its
 * end and what is embedded is checked, but the result would not run and is not kept.
 */

import { parseArgs } from "@std/cli/parse-args";
import { join, resolve } from "@std/path/posix";
import { programCall } from "../src/client/spawn.ts";
import { bundle } from "./build/bundle.ts";
import { BuildError } from "./build/command.ts";
import { compile, TARGETS, tryOut } from "./build/compile.ts";
import { ROOT } from "./daemon_process.ts";

/** What to build. */
export interface BuildOptions {
  readonly targets: readonly string[];
  readonly bundle: boolean;
  readonly check: boolean;
  /** The base binary, absolute. */
  readonly base?: string;
}

const USAGE = "usage: deno task build [--target TARGET]... [--bundle] | --check";
const DIST = join(ROOT, "dist");

if (import.meta.main) Deno.exitCode = await main(Deno.args);

async function main(args: readonly string[]): Promise<number> {
  try {
    await build(readOptions(args, Deno.env.get("DENORT_BIN")));
    return 0;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`build: ${error.message}`);
    return 1;
  }
}

/**
 * Reads the command line.
 *
 * @param denort The value of `DENORT_BIN`
 * @throws {BuildError} when it asks for something that cannot be
 */
export function readOptions(args: readonly string[], denort?: string): BuildOptions {
  const parsed = parseArgs(args, {
    string: ["target"],
    boolean: ["bundle", "check"],
    collect: ["target"],
    unknown: (arg: string) => {
      throw new BuildError(`no such argument: ${arg}; ${USAGE}`);
    },
  });
  const chosen = (parsed.target as string[]).flatMap((it) => it.split(",")).filter(Boolean);
  for (const target of chosen) checkTarget(target);
  if (parsed.check && (chosen.length > 0 || parsed.bundle)) {
    throw new BuildError(`--check goes alone; ${USAGE}`);
  }
  if (denort && chosen.length > 1) {
    throw new BuildError(`DENORT_BIN is the base of one target, not of ${chosen.length}`);
  }
  return {
    targets: chosen.length > 0 || parsed.bundle ? chosen : [Deno.build.target],
    bundle: parsed.bundle,
    check: parsed.check,
    ...denort ? { base: baseBinary(denort) } : {},
  };
}

function checkTarget(target: string): void {
  if ((TARGETS as readonly string[]).includes(target)) return;
  throw new BuildError(`--target is one of ${TARGETS.join(", ")}, not ${JSON.stringify(target)}`);
}

function baseBinary(path: string): string {
  try {
    if (Deno.statSync(path).isFile) return resolve(path);
  } catch {
    // Told below.
  }
  throw new BuildError(`DENORT_BIN names no file: ${JSON.stringify(path)}`);
}

async function build(options: BuildOptions): Promise<void> {
  if (options.check) return await check();
  Deno.mkdirSync(DIST, { recursive: true });
  for (const target of options.targets) await buildBinary(target, options.base);
  if (options.bundle) await buildBundle();
}

async function buildBinary(target: string, base: string | undefined): Promise<void> {
  const output = join(DIST, `postern-${target}`);
  const { files } = await compile({ target, output, base });
  if (target === Deno.build.target) await tryOutOrRemove(output);
  console.log(`${output}: ${sizeOf(output)}, ${files.length} files and folders embedded`);
}

/** What does not run is not left where somebody would take it for the program. */
async function tryOutOrRemove(output: string): Promise<void> {
  try {
    await tryOut(output);
  } catch (error) {
    Deno.removeSync(output);
    throw error;
  }
}

async function buildBundle(): Promise<void> {
  const output = join(DIST, "postern.js");
  await bundle(output);
  const call = programCall({ standalone: false, execPath: "", root: DIST, bundle: output });
  console.log(`${output}: ${sizeOf(output)}; run it with\n  ${call}`);
}

async function check(): Promise<void> {
  const directory = Deno.makeTempDirSync({ prefix: "postern-build-" });
  try {
    const output = join(directory, "postern");
    const { target } = Deno.build;
    const { files } = await compile({ target, output, base: Deno.execPath() });
    for (const file of files) console.log(`  ${file}`);
    console.log(`compiled for ${target} with a stand-in as base: what is embedded is the program`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function sizeOf(path: string): string {
  return `${(Deno.statSync(path).size / 1024 ** 2).toFixed(1)} MiB`;
}
