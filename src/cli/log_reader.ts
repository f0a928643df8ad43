/**
 * What `logs` and `audit` have in common: the end of a file of lines, and with --follow what comes.
 *
 * It goes on through rotation until it is interrupted, and needs no daemon.
 */

import { join } from "@std/path/posix";
import { PosternError } from "../client/errors.ts";
import { waitFor } from "../client/reconnect.ts";
import type { Context, Option } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import { interruptible } from "./interrupt.ts";
import { lastLines, type LogEnd, type LogFollower } from "./log_lines.ts";
import type { Output } from "./output.ts";
import { targetOf } from "./session.ts";

const LINES = 50;
const MAX_LINES = 10_000;
/** How often to look for more. */
const LOOK_MS = 200;

/** Which file it is, and how its lines are shown. */
export interface Shown {
  /** In the directory's `log`. */
  readonly file: string;
  /** A line for people. */
  readonly toText: (line: string) => string;
  /** A line for programs, as one JSON text. */
  readonly toJson: (line: string) => string;
}

/** The options of a command that shows lines. */
export const LINE_OPTIONS: readonly Option[] = [
  {
    name: "lines",
    short: "n",
    value: "N",
    help: `how many of the last lines, 0 to ${MAX_LINES} (${LINES})`,
  },
  { name: "follow", short: "f", help: "go on with what is written from now on" },
];

/** Shows the last lines, and with --follow what comes. */
export async function showLines(context: Context, shown: Shown): Promise<number> {
  const { values, out } = context;
  const count = values.integer("lines", [0, MAX_LINES]) ?? LINES;
  const path = join(targetOf(values).directory, "log", shown.file);
  const { lines, follower } = readEnd(path, count);
  await print(lines, shown, out);
  if (values.flag("follow")) await follow(follower, shown, out);
  return EXIT.ok;
}

function readEnd(path: string, count: number): LogEnd {
  try {
    return lastLines(path, count);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new PosternError(
      "not_found",
      `reading the log: there is none at ${path}; a daemon writes it when it starts`,
    );
  }
}

async function follow(follower: LogFollower, shown: Shown, out: Output): Promise<void> {
  const interrupted = new AbortController();
  await interruptible(() => interrupted.abort(), async () => {
    while (!interrupted.signal.aborted) {
      for (const lines of follower.news()) await print(lines, shown, out);
      if (follower.missed) await out.note("postern: the log was cut here, lines may be missing");
      follower.missed = false;
      await waitFor(LOOK_MS, interrupted.signal);
    }
  });
}

async function print(
  lines: readonly string[],
  { toText, toJson }: Shown,
  out: Output,
): Promise<void> {
  if (lines.length === 0) return;
  await out.line(lines.map(out.json ? toJson : toText).join("\n"));
}
