/** `postern run`: any program as the runner of sessions, a process for each turn. */

import { type Command, type Context, IDENTITY_OPTION } from "../command.ts";
import { UsageError } from "../exit_codes.ts";
import { findProgram, noProgram } from "../runner/program.ts";
import { type RunnerOrder, supervise } from "../runner/supervisor.ts";
import { requireKind, targetOf, tokenFrom } from "../session.ts";

const MAX_CONCURRENCY = 100;
const MAX_GRACE_SECS = 3600;

export const command: Command = {
  name: "run",
  usage: ["--name RUNNER [--concurrency N] [--grace TIME] -- <program> [argument...]"],
  summary: "Make a program the runner of sessions: a process for each turn.",
  details: [
    "A turn's text comes on stdin; each line of stdout is told as a delta; exit code 0 completes",
    "the turn, any other fails it with the end of what stderr said. A cancelled turn's program",
    "gets SIGTERM, and SIGKILL after the grace. It finds POSTERN_SESSION_ID, POSTERN_TURN_ID and",
    "POSTERN_DIR in its environment. Ctrl-C ends the runner with exit code 0.",
  ],
  options: [
    { name: "name", value: "RUNNER", help: "the name by which sessions name their runner" },
    { name: "concurrency", value: "N", help: `programs at once, 1 to ${MAX_CONCURRENCY} (4)` },
    { name: "grace", value: "TIME", help: "from SIGTERM to SIGKILL (5s)" },
    { ...IDENTITY_OPTION, help: 'kind of client whose identity to have ("runner")' },
  ],
  examples: [
    "run --name echo -- cat",
    "run --name review --concurrency 1 --grace 30s -- ./review.sh --strict",
  ],
  arguments: [1, Infinity],
  runsProgram: true,
  async run(context) {
    const order = await orderOf(context);
    return await supervise(order, targetOf(context.values), context.out);
  },
};

async function orderOf(context: Context): Promise<RunnerOrder> {
  const { args: [program = "", ...args], values } = context;
  const name = values.text("name");
  if (name === undefined) throw new UsageError("--name RUNNER is missing");
  const found = findProgram(program, Deno.env.get("PATH") ?? "", Deno.cwd());
  if (found === null) throw new UsageError(noProgram(program));
  if (found.includes(",")) {
    throw new UsageError(
      "a program with a comma in its path cannot be named as the only one to run",
    );
  }
  const grace = values.seconds("grace") ?? 5;
  if (grace > MAX_GRACE_SECS) throw new UsageError("--grace is an hour at most");
  const kind = values.text("as") ?? "runner";
  requireKind(kind);
  const job = {
    name,
    program: found,
    args,
    concurrency: values.integer("concurrency", [1, MAX_CONCURRENCY]) ?? 4,
    graceMs: 1000 * grace,
  };
  return { job, kind, ...await tokenFrom(context) };
}
