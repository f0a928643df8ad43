/** Records as text for people. */

import type { OperationResult } from "../client/mod.ts";
import { columns, duration, timeOf } from "./format.ts";
import { type Output, printable } from "./output.ts";

/** What `record.list` tells of one record. */
export type RecordEntry = OperationResult<"record.list">[number];

/** The table of `record list`. */
export function recordTable(records: readonly RecordEntry[]): string {
  if (records.length === 0) return "-- no records";
  const rows = records.map((record) => [
    record.name,
    bufferOf(record),
    String(record.sequence),
    String(record.producer_count),
    String(record.consumer_count),
    record.writable ? "yes" : "no",
    record.last_update === null ? "never" : `${ageOf(record.last_update)} ago`,
  ]);
  return columns([
    ["NAME", "TYPE", "SEQ", "PRODUCERS", "CONSUMERS", "WRITABLE", "UPDATED"],
    ...rows,
  ]);
}

/** What a record is, in one line. */
export function definitionLine(record: RecordEntry): string {
  const facts = [
    bufferOf(record),
    record.schema === undefined ? "" : "with a schema",
    record.writable ? "writable" : "",
    record.volatile ? "volatile" : "",
  ];
  return `${record.name} is defined: ${facts.filter(Boolean).join(", ")}`;
}

/** The values of `record history`, oldest first: `seq  time  value`. */
export function historyText(
  { values, has_more }: OperationResult<"record.history">,
  out: Output,
): string {
  if (values.length === 0) return "-- no values yet";
  const lines = values.map(({ sequence, timestamp, value }) =>
    `${sequence}  ${out.dim(timeOf(millisOf(timestamp)))}  ${printable(JSON.stringify(value))}`
  );
  return [...has_more ? ["-- there are older ones; see --limit"] : [], ...lines].join("\n");
}

/** A value: on lines of its own for a person who reads along, else on one. */
export function valueText(value: unknown, out: Output): string {
  const text = JSON.stringify(value, null, out.isTerminal ? 2 : undefined);
  return text.split("\n").map(printable).join("\n");
}

/** How long ago a timestamp was. */
export function ageOf(timestamp: string, now: number = Date.now()): string {
  return duration(Math.max(0, now - millisOf(timestamp)) / 1000);
}

function millisOf(timestamp: string): number {
  return Number(timestamp) * 1000;
}

function bufferOf({ buffer_type, buffer_capacity }: RecordEntry): string {
  return buffer_type === "spmc_ring" ? `${buffer_type} of ${buffer_capacity}` : buffer_type;
}
