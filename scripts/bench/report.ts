/**
 * Turns the figures of several rounds into a table for people and an object for programs.
 *
 * The list of rows is also the list of what is promised: a row with a floor fails the run that asks for
 * `--check` when its median misses it.
 */

import type { Figures } from "./steps.ts";
import { median } from "./statistics.ts";

interface Row {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  /** The median must be at least this. */
  readonly atLeast?: number;
  /** The median must be at most this. */
  readonly atMost?: number;
  /** The figure of the same round to show a ratio to. */
  readonly per?: string;
}

const ROWS: readonly Row[] = [
  { name: "fsync_p50_us", label: "baseline: append and fsync", unit: "us" },
  { name: "echo_p50_us", label: "baseline: echo, Unix socket", unit: "us" },
  {
    name: "publish_per_second",
    label: "durable publish, 1,000 outstanding",
    unit: "/s",
    atLeast: 100_000,
  },
  {
    name: "publish_single_p50_us",
    label: "durable publish, one at a time",
    unit: "us",
    per: "fsync_p50_us",
  },
  { name: "publish_single_p99_us", label: "  p99", unit: "us" },
  { name: "end_to_end_per_second", label: "end to end with acks", unit: "/s" },
  {
    name: "end_to_end_single_p50_us",
    label: "end to end, one at a time",
    unit: "us",
    per: "fsync_p50_us",
  },
  { name: "end_to_end_single_p99_us", label: "  p99", unit: "us" },
  { name: "fan_out_16_deliveries_per_second", label: "fan-out to 16, deliveries", unit: "/s" },
  { name: "replay_per_second", label: "replay of the whole log", unit: "/s" },
  { name: "replay_events", label: "  events in it", unit: "" },
  {
    name: "status_p50_us",
    label: "round trip of status",
    unit: "us",
    atMost: 150,
    per: "echo_p50_us",
  },
  { name: "status_p99_us", label: "  p99", unit: "us" },
  { name: "record_set_per_second", label: "durable record.set, 1,000 outstanding", unit: "/s" },
  {
    name: "record_set_single_p50_us",
    label: "durable record.set, one at a time",
    unit: "us",
    per: "fsync_p50_us",
  },
  { name: "record_set_single_p99_us", label: "  p99", unit: "us" },
  {
    name: "record_set_volatile_per_second",
    label: "volatile record.set, 1,000 outst.",
    unit: "/s",
    atLeast: 50_000,
  },
  {
    name: "record_get_p50_us",
    label: "round trip of record.get",
    unit: "us",
    per: "echo_p50_us",
  },
  { name: "record_get_p99_us", label: "  p99", unit: "us" },
  {
    name: "record_watch_100_deliveries_per_second",
    label: "one record watched by 100, deliveries",
    unit: "/s",
  },
  { name: "memory_idle_mib", label: "memory, idle", unit: "MiB", atMost: 90 },
  { name: "memory_200_mib", label: "memory, 200 connections", unit: "MiB" },
  { name: "start_ms", label: "start to first reply", unit: "ms" },
];

/** One figure over all rounds. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  /** The median of the ratios to a baseline of the same round, and the baseline's name. */
  readonly ratio?: number;
  readonly ratio_to?: string;
  readonly at_least?: number;
  readonly at_most?: number;
  /** Whether the floor holds; absent without one. */
  readonly holds?: boolean;
}

/** Every figure that the rounds have, in the order of the table. */
export function summarize(rounds: readonly Figures[]): Record<string, Summary> {
  const measured = ROWS.filter(({ name }) => rounds.every((round) => name in round));
  return Object.fromEntries(measured.map((row) => [row.name, summarizeRow(row, rounds)]));
}

function summarizeRow(row: Row, rounds: readonly Figures[]): Summary {
  const values = rounds.map((round) => round[row.name]!);
  const middle = median(values);
  const { atLeast, atMost, per } = row;
  return {
    median: rounded(middle),
    min: rounded(Math.min(...values)),
    max: rounded(Math.max(...values)),
    unit: row.unit,
    ...per === undefined ? {} : {
      ratio: rounded(median(rounds.map((round) => round[row.name]! / round[per]!))),
      ratio_to: per,
    },
    ...atLeast === undefined ? {} : { at_least: atLeast, holds: middle >= atLeast },
    ...atMost === undefined ? {} : { at_most: atMost, holds: middle <= atMost },
  };
}

/** Four significant digits, and no digit of a whole number lost. */
function rounded(value: number): number {
  return Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(4));
}

/** The table that people read. */
export function table(summaries: Readonly<Record<string, Summary>>): string {
  const lines = ROWS.flatMap(({ name, label }) => {
    const summary = summaries[name];
    return summary === undefined ? [] : [tableLine(label, summary)];
  });
  const head = "".padEnd(36) + "median".padStart(12) + "lowest".padStart(12) +
    "highest".padStart(12);
  return [head, ...lines].join("\n");
}

function tableLine(label: string, summary: Summary): string {
  const numbers = [summary.median, summary.min, summary.max];
  const cells = numbers.map((value) => value.toLocaleString("en-US").padStart(12)).join("");
  return `${label.padEnd(36)}${cells} ${summary.unit.padEnd(4)}${remark(summary)}`.trimEnd();
}

function remark(summary: Summary): string {
  const { ratio, ratio_to, at_least, at_most, holds } = summary;
  const parts: string[] = [];
  if (ratio !== undefined) parts.push(`${ratio} times ${ratio_to!.split("_")[0]}`);
  const floor = at_least === undefined ? ["at most", at_most] : ["at least", at_least];
  if (holds !== undefined) {
    parts.push(`${floor[0]} ${floor[1]!.toLocaleString("en-US")}: ${holds ? "holds" : "MISSED"}`);
  }
  return parts.length === 0 ? "" : ` (${parts.join("; ")})`;
}
