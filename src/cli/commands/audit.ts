/** `postern audit`: who authenticated and who changed what, from the audit file. Needs no daemon. */

import type { Command } from "../command.ts";
import { LINE_OPTIONS, showLines } from "../log_reader.ts";
import { printable } from "../output.ts";

export const command: Command = {
  name: "audit",
  usage: ["[--lines N] [--follow]"],
  summary: "Show who authenticated and who changed what, and with --follow what comes.",
  details: [
    "Each line: time, outcome (ok or an error code), operation, token, transport, and where there",
    "are any the client's originator and the user on whose behalf a service asked. A token is",
    '"owner" or the id that `token list` shows. Following goes on through rotation and restarts',
    "until Ctrl-C. With --json the lines are as the daemon wrote them.",
  ],
  options: LINE_OPTIONS,
  examples: ["audit", "audit -f", "audit -n 1000 --json | jq 'select(.outcome != \"ok\")'"],
  arguments: [0, 0],
  run: (context) => showLines(context, { file: "audit.jsonl", toText, toJson }),
};

function toText(line: string): string {
  const entry = parsed(line);
  if (entry === null) return printable(line);
  const { ts, op, outcome, token_id, originator, transport, on_behalf_of, count } = entry;
  const parts = [
    ts,
    outcome,
    op,
    token_id ?? "-",
    transport,
    originator,
    on_behalf_of === undefined ? null : `for ${on_behalf_of}`,
    count === undefined ? null : counted(count, op === "audit.lost" ? "line" : "refusal"),
  ];
  return printable(parts.filter((part) => part !== null && part !== undefined).join("  "));
}

function counted(count: unknown, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** As it was written, unless somebody else wrote there. */
function toJson(line: string): string {
  return parsed(line) === null ? JSON.stringify({ text: line }) : line;
}

function parsed(line: string): Record<string, unknown> | null {
  try {
    const value = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
