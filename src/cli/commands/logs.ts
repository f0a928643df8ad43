/** `postern logs`: what the daemon itself has to say, from its log file. Needs no daemon. */

import { join } from "@std/path";
import { PosternError } from "../../client/mod.ts";
import type { Command, Context } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { interruptible } from "../interrupt.ts";
import { lastLines, type LogEnd, type LogFollower } from "../log_lines.ts";
import { type Output, printable } from "../output.ts";
import { targetOf } from "../session.ts";

const LINES = 50;
const MAX_LINES = 10_000;
/** How often to look for more. */
const LOOK_MS = 200;

export const command: Command = {
  name: "logs",
  usage: ["[--lines N] [--follow]"],
  summary: "Show the end of the daemon's own log, and with --follow what comes.",
  details: [
    "This is what the daemon says about itself; `tail` shows the messages. Following goes on",
    "through rotation and restarts until Ctrl-C. With --json each line is {ts, level, text}.",
  ],
  options: [
    {
      name: "lines",
      short: "n",
      value: "N",
      help: `how many of the last lines, 0 to ${MAX_LINES} (${LINES})`,
    },
    { name: "follow", short: "f", help: "go on with what is written from now on" },
  ],
  examples: ["logs", "logs -n 200 -f", "logs --follow --json | jq 'select(.level == \"error\")'"],
  arguments: [0, 0],
  async run(context) {
    const count = context.values.integer("lines", [0, MAX_LINES]) ?? LINES;
    const path = join(targetOf(context.values).directory, "log", "daemon.log");
    const { lines, follower } = readEnd(path, count);
    await print(lines, context.out);
    if (context.values.flag("follow")) await follow(follower, context);
    return EXIT.ok;
  },
};

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

async function follow(follower: LogFollower, { out }: Context): Promise<void> {
  const interrupted = new AbortController();
  await interruptible(() => interrupted.abort(), async () => {
    while (!interrupted.signal.aborted) {
      for (const lines of follower.news()) await print(lines, out);
      if (follower.missed) await out.note("postern: the log was cut here, lines may be missing");
      follower.missed = false;
      await pause(LOOK_MS, interrupted.signal);
    }
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}

async function print(lines: readonly string[], out: Output): Promise<void> {
  if (lines.length === 0) return;
  const toText = out.json ? (line: string) => JSON.stringify(parsed(line)) : printable;
  await out.line(lines.map(toText).join("\n"));
}

/** A line of the daemon as fields; any other line is all text. */
function parsed(line: string): Record<string, string | null> {
  const [, ts = null, level = null, text = line] =
    /^(\S+Z) (DEBUG|INFO|WARN|ERROR) +(.*)$/.exec(line) ?? [];
  return { ts, level: level?.toLowerCase() ?? null, text };
}
