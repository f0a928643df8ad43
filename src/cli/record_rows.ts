/**
 * The table of `record watch`: one row for each record that was heard of, with what it held last.
 *
 * Invariant: what is drawn fits the terminal's size, in lines and in columns.
 *
 * Bounds: `MAX_ROWS` rows, of which the one that changed longest ago goes, each with `MAX_VALUE` characters.
 */

import type { RecordUpdate } from "../client/mod.ts";
import type { TerminalSize } from "./live_screen.ts";
import { ageOf } from "./record_format.ts";
import { printable } from "./output.ts";
import { cut } from "./text_width.ts";

/** As many as a daemon keeps. */
const MAX_ROWS = 10_000;
/** No terminal is wider. */
const MAX_VALUE = 1000;
/** As long as `23 h 59 min`, so that the columns stand still while time passes. */
const AGE_WIDTH = 11;

interface Row {
  readonly name: string;
  readonly sequence: number;
  readonly timestamp: string;
  /** How many values before it were not told, since the first that was. */
  readonly missed: number;
  readonly value: string;
}

/** Collects updates and draws them. */
export class RecordRows {
  readonly #rows = new Map<string, Row>();
  #dropped = 0;

  /** Takes one update. */
  note({ name, sequence, timestamp, value, dropped = 0 }: RecordUpdate): void {
    this.#dropped += dropped;
    const before = this.#rows.get(name);
    this.#rows.delete(name);
    const text = printable((JSON.stringify(value) ?? "-").slice(0, MAX_VALUE));
    const missed = before === undefined ? 0 : before.missed + missedBetween(before, sequence);
    this.#rows.set(name, { name, sequence, timestamp, missed, value: text });
    if (this.#rows.size > MAX_ROWS) this.#rows.delete(this.#rows.keys().next().value!);
  }

  /**
   * The table as lines that fit.
   *
   * @param size Of the terminal.
   * @param now Milliseconds since 1970, from which ages are told.
   */
  draw({ columns, rows }: TerminalSize, now: number): string[] {
    const sorted = [...this.#rows.values()].sort((a, b) => a.name < b.name ? -1 : 1);
    const room = Math.max(1, rows - 2);
    const shown = sorted.length > room ? sorted.slice(0, Math.max(1, room - 1)) : sorted;
    const more = sorted.length - shown.length;
    const lines = [this.#head(), ...table(shown, { columns, now })];
    if (more > 0) lines.push(`-- and ${more} more; a narrower pattern shows them`);
    return lines.slice(0, rows).map((line) => cut(line, columns));
  }

  #head(): string {
    const count = this.#rows.size;
    const dropped = this.#dropped === 0 ? "" : `, ${this.#dropped} updates dropped`;
    return `-- ${count} ${count === 1 ? "record" : "records"}${dropped}; Ctrl-C ends`;
  }
}

/** Values of a record that came between two that were told; of one that was defined anew none. */
function missedBetween(before: Row, sequence: number): number {
  return Math.max(0, sequence - before.sequence - 1);
}

function table(
  rows: readonly Row[],
  { columns, now }: { readonly columns: number; readonly now: number },
): string[] {
  const widest = Math.max(4, ...rows.map(({ name }) => name.length));
  const nameWidth = Math.min(widest, Math.max(8, Math.floor(columns / 2)));
  const cells = [
    ["NAME", "SEQ", "AGE", "MISSED", "VALUE"],
    ...rows.map(({ name, sequence, timestamp, missed, value }) => [
      cut(name, nameWidth),
      String(sequence),
      ageOf(timestamp, now),
      String(missed),
      value,
    ]),
  ];
  const sequenceWidth = Math.max(...cells.map(([, sequence]) => sequence!.length));
  const widths = [nameWidth, sequenceWidth, AGE_WIDTH, 6, 0];
  return cells.map((row) => row.map((cell, at) => cell.padEnd(widths[at]!)).join("  "));
}
