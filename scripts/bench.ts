/**
 * Measures the daemon over its socket, from another process, as a program would use it.
 *
 * Every round has a fresh daemon in a fresh directory and its own baselines of the machine. Prints a table
 * and then one line of JSON; `--json` prints the JSON alone. `--check` fails when a promised floor is
 * missed. `--rounds N` (5) and `--quick` (2 short rounds) say how long to measure.
 */

import { parseArgs } from "@std/cli/parse-args";
import { measureBaseline } from "./bench/baseline.ts";
import { runScenario, withConnections } from "./bench/load_process.ts";
import { settledMemory } from "./bench/memory.ts";
import { summarize, table } from "./bench/report.ts";
import type { Figures } from "./bench/steps.ts";
import { type DaemonProcess, makeRuntimeDirectory, startDaemonProcess } from "./daemon_process.ts";

const CONNECTIONS = 200;
/** How much each scenario does, in full and in a quick run. */
const COUNTS: Readonly<Record<string, { full: number; quick: number }>> = {
  status: { full: 5_000, quick: 1_000 },
  publish_single: { full: 2_000, quick: 500 },
  publish: { full: 300_000, quick: 50_000 },
  end_to_end: { full: 150_000, quick: 30_000 },
  fan_out: { full: 100_000, quick: 20_000 },
  replay: { full: 100_000, quick: 100_000 },
  record_set: { full: 300_000, quick: 50_000 },
  record_set_single: { full: 2_000, quick: 500 },
  record_set_volatile: { full: 300_000, quick: 50_000 },
  record_get: { full: 5_000, quick: 1_000 },
  record_watch: { full: 10_000, quick: 2_000 },
};
const BASELINE = { full: 1_000, quick: 300 };

interface BenchOptions {
  readonly rounds: number;
  readonly quick: boolean;
  readonly json: boolean;
  readonly check: boolean;
}

if (import.meta.main) Deno.exitCode = await main(readOptions(Deno.args));

function readOptions(args: readonly string[]): BenchOptions {
  const parsed = parseArgs(args, {
    boolean: ["quick", "json", "check"],
    string: ["rounds"],
    unknown: (name: string) => {
      throw new Error(`bench takes --rounds N, --quick, --json and --check, not "${name}"`);
    },
  });
  const rounds = Number(parsed.rounds ?? (parsed.quick ? 2 : 5));
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new Error(`--rounds must be a whole number from 1 on, and is "${parsed.rounds}"`);
  }
  return { rounds, quick: parsed.quick, json: parsed.json, check: parsed.check };
}

async function main(options: BenchOptions): Promise<number> {
  const rounds: Figures[] = [];
  for (let i = 0; i < options.rounds; i++) {
    console.error(`round ${i + 1} of ${options.rounds}`);
    rounds.push(await measureRound(options.quick));
  }
  const figures = summarize(rounds);
  if (!options.json) console.log(table(figures));
  console.log(
    JSON.stringify({ ...environment(), rounds: options.rounds, quick: options.quick, figures }),
  );
  const missed = Object.values(figures).some(({ holds }) => holds === false);
  return options.check && missed ? 1 : 0;
}

function environment() {
  const { os, arch } = Deno.build;
  return { deno: Deno.version.deno, os, arch, cores: navigator.hardwareConcurrency };
}

async function measureRound(quick: boolean): Promise<Figures> {
  const directory = makeRuntimeDirectory("postern-bench-");
  const baselineDirectory = makeRuntimeDirectory("postern-bench-base-");
  try {
    const baseline = await measureBaseline(
      baselineDirectory,
      quick ? BASELINE.quick : BASELINE.full,
    );
    const daemon = await startDaemonProcess(directory);
    try {
      return { ...baseline, ...await measureDaemon(daemon, quick) };
    } finally {
      await daemon.stop();
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
    Deno.removeSync(baselineDirectory, { recursive: true });
  }
}

/** Memory first, while the daemon has done nothing; then the scenarios in the order of their table. */
async function measureDaemon(
  { directory, pid, startMs }: DaemonProcess,
  quick: boolean,
): Promise<Figures> {
  const memory_idle_mib = await settledMemory(pid);
  const held = { directory, count: CONNECTIONS };
  const memory_200_mib = await withConnections(held, () => settledMemory(pid));
  let figures: Figures = { start_ms: startMs, memory_idle_mib, memory_200_mib };
  for (const [name, { full, quick: few }] of Object.entries(COUNTS)) {
    figures = { ...figures, ...await runScenario(name, { directory, count: quick ? few : full }) };
  }
  return figures;
}
