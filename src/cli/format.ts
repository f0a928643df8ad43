/** Events, times and fields as text for people. One event is one line, whatever is in it. */

import type { Gap, StoredEvent } from "../client/mod.ts";
import { type Output, printable } from "./output.ts";

/** `seq  time  kind  topic  payload`; a missing topic is a dash. */
export function eventLine(event: StoredEvent, out: Output): string {
  return `${eventHead(event, out)}  ${printable(JSON.stringify(event.envelope.payload) ?? "-")}`;
}

/** The same with the payload on lines of its own, indented; what it answers is told as well. */
export function prettyEvent(event: StoredEvent, out: Output): string {
  const { ref, from, to, payload } = event.envelope;
  const told = [
    ref === null || ref === undefined ? "" : `  answers ${printable(ref)}`,
    from === to ? "" : `  from ${printable(from)} to ${printable(to)}`,
  ];
  const lines = (JSON.stringify(payload, null, 2) ?? "-").split("\n");
  return [
    `${eventHead(event, out)}${told.join("")}`,
    ...lines.map((line) => `    ${printable(line)}`),
  ].join("\n");
}

/** A loss, so that nobody takes what follows for all there was. */
export function gapLine({ from_seq, to_seq }: Gap): string {
  const which = from_seq === to_seq
    ? `event ${from_seq} is`
    : `events ${from_seq} to ${to_seq} are`;
  return `-- ${which} gone: older than what is kept`;
}

/** `name  value` in two columns. What is empty is left out. */
export function fieldTable(rows: readonly (readonly [string, unknown])[]): string {
  const kept = rows.filter(([, value]) => value !== undefined && value !== null && value !== "");
  const width = Math.max(0, ...kept.map(([name]) => name.length));
  return kept.map(([name, value]) => `${name.padEnd(width)}  ${printable(shownValue(value))}`).join(
    "\n",
  );
}

/** Rows under a head, each column as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(printable));
  const widths = (cells[0] ?? []).map((_, at) =>
    Math.max(...cells.map((row) => row[at]?.length ?? 0))
  );
  return cells.map((row) => row.map((cell, at) => cell.padEnd(widths[at]!)).join("  ").trimEnd())
    .join("\n");
}

/** A time since something, in its two largest units. */
export function duration(seconds: number): string {
  const units: [string, number][] = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = Math.floor(seconds);
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

function eventHead({ seq, buffered_at_ms, envelope }: StoredEvent, out: Output): string {
  return `${seq}  ${out.dim(timeOf(buffered_at_ms))}  ${envelope.kind}  ${envelope.topic ?? "-"}`;
}

/** A time to the second, in UTC. */
export function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

function shownValue(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
