/** `postern logs`: what the daemon itself has to say, from its log file. Needs no daemon. */

import type { Command } from "../command.ts";
import { LINE_OPTIONS, showLines } from "../log_reader.ts";
import { printable } from "../output.ts";

export const command: Command = {
  name: "logs",
  usage: ["[--lines N] [--follow]"],
  summary: "Show the end of the daemon's own log, and with --follow what comes.",
  details: [
    "This is what the daemon says about itself; `tail` shows the messages. Following goes on",
    "through rotation and restarts until Ctrl-C. With --json each line is {ts, level, text}.",
  ],
  options: LINE_OPTIONS,
  examples: ["logs", "logs -n 200 -f", "logs --follow --json | jq 'select(.level == \"error\")'"],
  arguments: [0, 0],
  run: (context) => showLines(context, { file: "daemon.log", toText: printable, toJson: asJson }),
};

/** A line of the daemon as fields; any other line is all text. */
function asJson(line: string): string {
  const [, ts = null, level = null, text = line] =
    /^(\S+Z) (DEBUG|INFO|WARN|ERROR) +(.*)$/.exec(line) ?? [];
  return JSON.stringify({ ts, level: level?.toLowerCase() ?? null, text });
}
