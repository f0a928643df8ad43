/**
 * `postern ps`: the daemons of this person on this machine.
 *
 * A discovery file says where to look, and nothing more: its pid may be another program's by now. A daemon is
 * called running only when its socket answers, and one that is slow to answer is not called stopped.
 */

import { basename, dirname, join } from "@std/path/posix";
import { type Discovery, findTarget, readDiscovery } from "../../client/discovery.ts";
import { ConnectionError } from "../../client/errors.ts";
import { connect, type Environment, resolveDirectory } from "../../client/mod.ts";
import type { Command, Context } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { columns, duration } from "../format.ts";
import type { Values } from "../values.ts";

/** More instances than this are not looked at, and that is said. */
const MAX_INSTANCES = 1000;
/** So many are asked at a time. */
const AT_ONCE = 16;
/** How long one may take to answer. */
const ANSWER_MS = 3000;
/** Here each daemon is asked where its own directory says, whatever the environment names. */
const NO_ENVIRONMENT: Environment = { get: () => undefined };

/** What became of asking. */
type State = "running" | "not running" | "not answering" | "refused";

interface Found {
  readonly instance: string;
  readonly directory: string;
  readonly state: State;
  readonly pid: number | null;
  readonly version: string | null;
  readonly started_at: string | null;
  readonly socket: string | null;
}

export const command: Command = {
  name: "ps",
  usage: [""],
  summary: "List your daemons on this machine, and whether each one answers.",
  details: [
    "It looks at every instance where programs keep their state, at POSTERN_DIR and at --dir.",
    "One that left its files behind without an orderly stop is shown as not running.",
    "The exit code is 3 when none runs.",
  ],
  options: [],
  examples: ["ps", "ps --json | jq '.daemons[].directory'", "ps --dir ./state"],
  arguments: [0, 0],
  async run(context) {
    const directories = await candidates(context);
    const daemons: Found[] = [];
    for (let at = 0; at < directories.length; at += AT_ONCE) {
      const some = directories.slice(at, at + AT_ONCE);
      daemons.push(...(await Promise.all(some.map(ask))).filter((found) => found !== null));
    }
    await context.out.result({ daemons }, toText);
    return daemons.some(({ state }) => state === "running") ? EXIT.ok : EXIT.noDaemon;
  },
};

/** Every directory that may be a daemon's, each once. */
async function candidates({ values, out }: Context): Promise<string[]> {
  const all = [...new Set([...named(values), ...instances()])];
  if (all.length > MAX_INSTANCES) {
    await out.note(`postern: only ${MAX_INSTANCES} of ${all.length} directories are looked at`);
  }
  return all.slice(0, MAX_INSTANCES);
}

function named(values: Values): string[] {
  const dirs = [values.text("dir"), Deno.env.get("POSTERN_DIR")].filter((dir) => dir);
  return dirs.map((dir) => resolveDirectory({ dir, env: NO_ENVIRONMENT }));
}

function instances(): string[] {
  const env = {
    get: (name: string) => name === "POSTERN_DIR" ? undefined : Deno.env.get(name),
  };
  try {
    const home = dirname(resolveDirectory({ env }));
    const found = [...Deno.readDirSync(home)].filter(({ isDirectory }) => isDirectory);
    return found.map(({ name }) => join(home, name)).sort();
  } catch {
    // Without a place for state, or with nothing there, nothing was started there.
    return [];
  }
}

async function ask(directory: string): Promise<Found | null> {
  const target = findTarget({ dir: directory, env: NO_ENVIRONMENT });
  const discovery = readDiscovery(directory);
  if (discovery === null && !exists(target.socketPath)) return null;
  return describe(directory, {
    discovery,
    state: await stateOf(directory),
    socket: target.socketPath,
  });
}

function describe(
  directory: string,
  { discovery, state, socket }: { discovery: Discovery | null; state: State; socket: string },
): Found {
  const { pid = null, version = null, startedAt = null } = discovery ?? {};
  const alive = state === "running";
  return {
    instance: basename(directory),
    directory,
    state,
    pid: alive ? pid : null,
    version,
    started_at: alive ? startedAt : null,
    socket: alive ? socket : null,
  };
}

async function stateOf(directory: string): Promise<State> {
  try {
    await using _client = await connect({
      dir: directory,
      env: NO_ENVIRONMENT,
      timeoutMs: ANSWER_MS,
    });
    return "running";
  } catch (error) {
    if (!(error instanceof ConnectionError)) return "refused";
    if (error.noDaemon) return "not running";
    return error.code === "EACCES" ? "refused" : "not answering";
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function toText({ daemons }: { daemons: Found[] }): string {
  if (daemons.length === 0) return "-- no daemons";
  const rows = daemons.map(({ instance, state, pid, version, started_at, directory }) => [
    instance,
    state,
    String(pid ?? "-"),
    version ?? "-",
    started_at === null ? "-" : upSince(started_at),
    directory,
  ]);
  return columns([["INSTANCE", "STATE", "PID", "VERSION", "UP", "DIRECTORY"], ...rows]);
}

function upSince(startedAt: string): string {
  const ms = Date.now() - Date.parse(startedAt);
  return Number.isFinite(ms) ? duration(Math.max(0, ms) / 1000) : "-";
}
