/**
 * The list of `postern approvals` on a terminal: one row for each request, one of them chosen, or all of one.
 *
 * Nothing of what others wrote is obeyed by the terminal, and what is drawn fits its size. Only what was drawn as
 * chosen can be answered, in the list with as much of its tool's name as any screen shows there. When the chosen one is
 * decided elsewhere nothing is chosen, so that a key that was meant for it does not meet another.
 *
 * Bounds: what a reply of the daemon holds, and `MAX_ANSWERED` ids.
 */

import type { Pending, PendingList } from "./approval_list.ts";
import { fieldTable, timeOf } from "./format.ts";
import type { TerminalSize } from "./live_screen.ts";
import { printable } from "./output.ts";
import { columnsOf, cut, padded, wrapped } from "./text_width.ts";

/** No terminal is wider. */
const MAX_CELL = 1000;
/** Own answers whose requests may still be in a list that is on its way. */
const MAX_ANSWERED = 1000;
const LEFT_WIDTH = 8;
const TOOL_WIDTH = 16;
/** As much of a public name as tells two of them apart. */
const NAME_WIDTH = 10;

interface Row {
  readonly request: Pending;
  /** The input on one line. */
  readonly input: string;
}

/** Keeps what waits and what is chosen, and draws them. */
export class ApprovalRows {
  /** A line for the last thing that happened to a request; gone with the next request that comes or goes. */
  message = "";
  #isAway = false;
  readonly #mark: (text: string) => string;
  readonly #answered = new Set<string>();
  #rows: readonly Row[] = [];
  #hasMore = false;
  #chosen: string | null = null;
  /** Which was chosen where it was drawn last, if there was room for it. */
  #drawn: string | null = null;
  /** Whether one may be chosen without a person doing it. */
  #choosesItself = true;
  /** The first line that is shown of all lines of the chosen one; `null` for the list. */
  #detailTop: number | null = null;

  /** @param mark Makes text stand out. */
  constructor(mark: (text: string) => string) {
    this.#mark = mark;
  }

  /** Whether there is no daemon now. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** What happened before the daemon went away is no news behind it; that a person has to choose still is. */
  set isAway(isAway: boolean) {
    if (isAway && !this.#isAway && this.#choosesItself) this.message = "";
    this.#isAway = isAway;
  }

  /** The request that an answer now would be for; `null` while none is seen to be chosen. */
  get answerable(): Pending | null {
    return this.#drawn === this.#chosen ? this.#rows[this.#at]?.request ?? null : null;
  }

  /** Takes what the daemon listed. */
  replace({ pending, has_more }: PendingList): void {
    this.#hasMore = has_more;
    const chosen = this.#chosen;
    const before = this.#rows;
    this.#rows = pending.filter(({ request_id }) => !this.#answered.has(request_id)).map(toRow);
    // That a person has to choose is true until one does.
    if (this.#choosesItself && !areSame(before, this.#rows)) this.message = "";
    if (chosen !== null && this.#at < 0) {
      this.#leave("what was chosen has been decided, or is no longer yours to decide");
    }
    if (this.#choosesItself && this.#chosen === null) this.#choose(0);
  }

  /** Takes away what we have answered; the next one is chosen. */
  answered(id: string, message: string): void {
    const at = this.#at;
    this.#takeAway(id);
    this.message = message;
    if (this.#chosen !== id) return;
    this.#detailTop = null;
    this.#choose(Math.min(at, this.#rows.length - 1));
  }

  /** Takes away what turned out to be no longer there to be answered. */
  missed(id: string, message: string): void {
    this.#takeAway(id);
    if (this.#chosen === id) this.#leave(message);
    else this.message = message;
  }

  /** Chooses another, or scrolls what is shown of one. */
  move(by: number): void {
    this.message = "";
    if (this.#detailTop !== null) this.#detailTop += by;
    else if (this.#at < 0) this.#choose(0);
    else this.#choose(Math.max(0, Math.min(this.#rows.length - 1, this.#at + by)));
    this.#choosesItself = true;
  }

  /** Shows all of the chosen one, or the list again. */
  toggleDetails(): void {
    this.#detailTop = this.#detailTop === null && this.#at >= 0 ? 0 : null;
  }

  /** Shows the list. */
  hideDetails(): void {
    this.#detailTop = null;
  }

  /**
   * The lines, which fit; where there is little room the chosen one goes first.
   *
   * @param now Milliseconds since 1970, from which the time left is told.
   */
  draw(size: TerminalSize, now: number): string[] {
    this.#drawn = null;
    const row = this.#rows[this.#at];
    const isDetail = this.#detailTop !== null && row !== undefined;
    const note = this.isAway ? "the daemon is away; waiting for it to come back" : this.message;
    const foot = note === "" ? [] : [cut(`-- ${safe(note)}`, size.columns)];
    const room = { ...size, rows: Math.max(1, size.rows - foot.length) };
    const body = isDetail ? this.#drawDetail(row, room, now) : this.#drawList(room, now);
    return [...body, ...foot].slice(0, size.rows);
  }

  #drawList({ columns, rows }: TerminalSize, now: number): string[] {
    const count = this.#rows.length;
    if (count === 0) return [cut("-- nothing waits for your approval; q ends", columns)];
    const keys = "arrows choose, y approves, n denies, d shows all, q ends";
    const heads = [
      cut(`-- ${count}${this.#hasMore ? " and more" : ""} waiting; ${keys}`, columns),
      cut(`  ${cells(["LEFT", "TOOL", "FROM", "INPUT", "RATIONALE"], columns - 2)}`, columns),
    ].slice(0, Math.max(0, rows - 1));
    const room = rows - heads.length;
    const first = Math.max(0, Math.min(this.#at - (room >> 1), count - room));
    const shown = this.#rows.slice(first, first + room);
    const chosen = shown.find(({ request }) => request.request_id === this.#chosen);
    if (chosen !== undefined && hasRoomForTool(chosen, columns)) this.#drawn = this.#chosen;
    return [...heads, ...shown.map((row) => this.#drawRow(row, columns, now))];
  }

  #drawRow({ request, input }: Row, columns: number, now: number): string {
    const { tool, requester, rationale, expires_at } = request;
    const why = safe((rationale ?? "").slice(0, MAX_CELL));
    const all = [timeLeft(expires_at - now), safe(tool), safe(requester), input, why];
    const isChosen = request.request_id === this.#chosen;
    const line = cut(`${isChosen ? ">" : " "} ${cells(all, columns - 2)}`, columns);
    return isChosen ? this.#mark(line) : line;
  }

  #drawDetail(row: Row, { columns, rows }: TerminalSize, now: number): string[] {
    const lines = detailText(row.request, now).split("\n")
      .flatMap((line) => wrapped(safe(line), columns));
    const room = Math.max(1, rows - 1);
    const top = Math.max(0, Math.min(this.#detailTop ?? 0, lines.length - room));
    this.#detailTop = top;
    const shown = lines.slice(top, top + room);
    const place = lines.length > room
      ? `; lines ${top + 1} to ${top + shown.length} of ${lines.length}, arrows scroll`
      : "";
    if (shown.length > 0) this.#drawn = row.request.request_id;
    if (rows === 1) return shown;
    return [cut(`-- y approves, n denies, d goes back${place}`, columns), ...shown];
  }

  /** Where the chosen one is; -1 for nowhere. */
  get #at(): number {
    return this.#rows.findIndex(({ request }) => request.request_id === this.#chosen);
  }

  #choose(at: number): void {
    this.#chosen = this.#rows[at]?.request.request_id ?? null;
  }

  /** Nothing is chosen any more, until a person does. */
  #leave(message: string): void {
    this.#chosen = null;
    this.#detailTop = null;
    this.#choosesItself = false;
    this.message = `${message}; choose with the arrow keys`;
  }

  #takeAway(id: string): void {
    this.#answered.add(id);
    if (this.#answered.size > MAX_ANSWERED) {
      this.#answered.delete(this.#answered.values().next().value!);
    }
    this.#rows = this.#rows.filter(({ request }) => request.request_id !== id);
  }
}

function areSame(some: readonly Row[], others: readonly Row[]): boolean {
  return some.length === others.length &&
    some.every(({ request }, at) => request.request_id === others[at]!.request.request_id);
}

function toRow(request: Pending): Row {
  return { request, input: safe((JSON.stringify(request.input) ?? "-").slice(0, MAX_CELL)) };
}

/** Whether the screen cuts nothing off the tool's name in the list, whose own columns are as wide on any screen. */
function hasRoomForTool({ request }: Row, columns: number): boolean {
  const before = 2 + LEFT_WIDTH + 2;
  return before + columnsOf(cut(safe(request.tool), TOOL_WIDTH)) < columns;
}

/** The cells side by side; input and rationale share what the others leave. */
function cells(texts: readonly string[], columns: number): string {
  const rest = Math.max(0, columns - LEFT_WIDTH - TOOL_WIDTH - NAME_WIDTH - 8);
  const input = Math.ceil(rest * 2 / 3);
  const widths = [LEFT_WIDTH, TOOL_WIDTH, NAME_WIDTH, input, rest - input];
  return texts.map((text, at) => padded(text, widths[at]!)).join("  ").trimEnd();
}

/** Minutes and seconds, or hours before them. */
function timeLeft(ms: number): string {
  const secs = Math.max(0, Math.ceil(ms / 1000));
  const hours = Math.floor(secs / 3600);
  const [minutes, rest] = [Math.floor(secs / 60) % 60, secs % 60]
    .map((part) => String(part).padStart(2, "0"));
  return hours > 0 ? `${hours}:${minutes}:${rest}` : `${minutes}:${rest}`;
}

function detailText(request: Pending, now: number): string {
  const { request_id, tool, input, rationale, requester, turn_id, requested_at } = request;
  const fields = fieldTable([
    ["tool", tool],
    ["rationale", rationale],
    ["from", requester],
    ["turn", turn_id],
    ["request", request_id],
    ["asked", timeOf(requested_at)],
    ["left", timeLeft(request.expires_at - now)],
  ]);
  return `${fields}\n\n${JSON.stringify(input, null, 2) ?? "-"}`;
}

/** Printable, also what a terminal would hide, or spread over columns. */
function safe(text: string): string {
  return printable(text).replaceAll(/[\t\p{Cf}\p{Cs}]/gu, (char) => {
    return `\\u${char.codePointAt(0)!.toString(16).padStart(4, "0")}`;
  });
}
