/**
 * Regular expressions of JSON Schemas, matched in time that grows with the length of the text and nothing worse.
 *
 * The language's own engine goes back and tries again, and may do so for years. This one follows all ways at once,
 * step by step (Thompson), so a text costs at most its length times the size of the pattern. The syntax is the
 * language's with the flag `u`, less what cannot be matched so: back references, lookbehind, modifiers.
 */

import { shown } from "../core/errors.ts";

/** What is paid for each step, so that somebody can say when it is enough. */
export type Spend = (steps: number) => void;

/** Instructions of one pattern; counted repetitions are written out. */
const MAX_INSTRUCTIONS = 4000;
const MAX_DEPTH = 64;
/** Steps that every test costs. */
const SETTING_UP = 10;

type Node =
  | { readonly type: "all"; readonly parts: readonly Node[] }
  | { readonly type: "any"; readonly parts: readonly Node[] }
  | { readonly type: "one"; readonly matches: (point: string) => boolean }
  | { readonly type: "at"; readonly holds: Place }
  | { readonly type: "look"; readonly body: Node; readonly isNegative: boolean }
  | { readonly type: "repeat"; readonly body: Node; readonly min: number; readonly max: number };

type Place = (points: readonly string[], at: number) => boolean;

type Instruction =
  | { readonly op: "one"; readonly matches: (point: string) => boolean }
  | { readonly op: "split"; ways: readonly number[] }
  | { readonly op: "at"; readonly holds: Place }
  | { readonly op: "look"; readonly body: readonly Instruction[]; readonly isNegative: boolean }
  | { readonly op: "match" };

const START: Node = { type: "at", holds: (_points, at) => at === 0 };

/** A compiled pattern. */
export class Pattern {
  readonly #program: readonly Instruction[];
  readonly #isAnchored: boolean;
  /** Instructions, those of lookaheads included. */
  readonly size: number;

  /** @throws Error that says what is wrong with it. */
  constructor(source: string) {
    new RegExp(source, "u");
    const program: Instruction[] = [];
    const root = new Parser(source).parse();
    const size = { count: 0 };
    emit(root, program, size);
    this.size = size.count;
    program.push({ op: "match" });
    this.#program = program;
    this.#isAnchored = root === START || (root.type === "all" && root.parts[0] === START);
  }

  /** Whether it matches somewhere in the text. */
  test(text: string, spend: Spend): boolean {
    // Taking the text apart is work as well.
    spend(SETTING_UP + text.length + this.#program.length);
    return runs(this.#program, [...text], { from: 0, everywhere: !this.#isAnchored, spend });
  }
}

interface Run {
  readonly from: number;
  readonly everywhere: boolean;
  readonly spend: Spend;
}

function runs(program: readonly Instruction[], points: readonly string[], run: Run): boolean {
  const { from, everywhere, spend } = run;
  const seenAt = new Int32Array(program.length).fill(-1);
  let current: number[] = [];
  const follow = (start: number, at: number, into: number[]): boolean => {
    const open = [start];
    for (let pc = open.pop(); pc !== undefined; pc = open.pop()) {
      if (seenAt[pc] === at) continue;
      seenAt[pc] = at;
      spend(1);
      const step = program[pc]!;
      if (step.op === "match") return true;
      if (step.op === "one") into.push(pc);
      else if (step.op === "split") open.push(...step.ways);
      else if (step.op === "at" ? step.holds(points, at) : looks(step, points, at, spend)) {
        open.push(pc + 1);
      }
    }
    return false;
  };
  for (let at = from; at <= points.length; at++) {
    const next: number[] = [];
    if (at > from) {
      for (const pc of current) {
        spend(2);
        const step = program[pc]!;
        if (step.op !== "one" || !step.matches(points[at - 1]!)) continue;
        if (follow(pc + 1, at, next)) return true;
      }
    }
    if ((at === from || everywhere) && follow(0, at, next)) return true;
    if (next.length === 0 && !everywhere) return false;
    current = next;
  }
  return false;
}

function looks(
  { body, isNegative }: Instruction & { op: "look" },
  points: readonly string[],
  from: number,
  spend: Spend,
): boolean {
  spend(body.length);
  return runs(body, points, { from, everywhere: false, spend }) !== isNegative;
}

/** Writes a node's instructions, which go on at the one behind them. */
function emit(node: Node, into: Instruction[], size: { count: number }): void {
  const push = (step: Instruction) => {
    if (++size.count > MAX_INSTRUCTIONS) {
      throw new Error(`a pattern comes to at most ${MAX_INSTRUCTIONS} steps, this one to more`);
    }
    into.push(step);
  };
  if (node.type === "all") { for (const part of node.parts) emit(part, into, size); }
  else if (node.type === "any") emitAny(node.parts, { into, push, size });
  else if (node.type === "one") push({ op: "one", matches: node.matches });
  else if (node.type === "at") push({ op: "at", holds: node.holds });
  else if (node.type === "repeat") emitRepeat(node, { into, push, size });
  else {
    const body: Instruction[] = [];
    emit(node.body, body, size);
    body.push({ op: "match" });
    push({ op: "look", body, isNegative: node.isNegative });
  }
}

interface Emitting {
  readonly into: Instruction[];
  readonly push: (step: Instruction) => void;
  readonly size: { count: number };
}

function emitAny(parts: readonly Node[], { into, push, size }: Emitting): void {
  const fork = { op: "split" as const, ways: [] as number[] };
  push(fork);
  const ends: { ways: readonly number[] }[] = [];
  for (const part of parts) {
    fork.ways.push(into.length);
    emit(part, into, size);
    const end = { op: "split" as const, ways: [] as readonly number[] };
    push(end);
    ends.push(end);
  }
  for (const end of ends) end.ways = [into.length];
}

function emitRepeat(
  { body, min, max }: Node & { type: "repeat" },
  { into, push, size }: Emitting,
): void {
  // What comes to nothing is not written out a million times.
  const before = into.length;
  for (let i = 0; i < min; i++) {
    emit(body, into, size);
    if (into.length === before) break;
  }
  if (max === Infinity) {
    const loop = { op: "split" as const, ways: [] as readonly number[] };
    const start = into.length;
    push(loop);
    emit(body, into, size);
    push({ op: "split", ways: [start] });
    loop.ways = [start + 1, into.length];
    return;
  }
  const forks: { ways: readonly number[]; start: number }[] = [];
  for (let i = min; i < max; i++) {
    const fork = { op: "split" as const, ways: [] as readonly number[], start: into.length };
    push(fork);
    emit(body, into, size);
    forks.push(fork);
  }
  for (const fork of forks) fork.ways = [fork.start + 1, into.length];
}

/** One code point: an escape, a class, a dot, itself. */
const CLASS = /\[(?:\\[^]|[^\]\\])*\]/uy;
const ESCAPE =
  /\\(?:u\{[0-9a-fA-F]+\}|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|c[A-Za-z]|[pP]\{[^}]*\}|[^])/uy;
const QUANTIFIER = /(?:[*+?]|\{(\d+)(?:(,)(\d*))?\})\??/uy;

/** Reads a source that the language itself has taken. */
class Parser {
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): Node {
    if (++this.#depth > MAX_DEPTH) throw new Error(`groups nest at most ${MAX_DEPTH} deep`);
    const ways: Node[] = [];
    do {
      const parts: Node[] = [];
      while (this.#at < this.#source.length && !"|)".includes(this.#source[this.#at]!)) {
        parts.push(this.#term());
      }
      ways.push(parts.length === 1 ? parts[0]! : { type: "all", parts });
    } while (this.#takes("|"));
    this.#depth--;
    return ways.length === 1 ? ways[0]! : { type: "any", parts: ways };
  }

  #term(): Node {
    const body = this.#atom();
    const found = this.#match(QUANTIFIER);
    if (found === null) return body;
    const [text, least, comma, most] = found;
    const min = least === undefined ? (text.startsWith("+") ? 1 : 0) : Number(least);
    if (least === undefined) {
      return { type: "repeat", body, min, max: text.startsWith("?") ? 1 : Infinity };
    }
    const max = comma === undefined ? min : most === "" ? Infinity : Number(most);
    return { type: "repeat", body, min, max };
  }

  #atom(): Node {
    if (this.#takes("^")) return START;
    if (this.#takes("$")) return { type: "at", holds: (points, at) => at === points.length };
    if (this.#takes("\\b")) return { type: "at", holds: isWordEdge };
    if (this.#takes("\\B")) {
      return { type: "at", holds: (points, at) => !isWordEdge(points, at) };
    }
    if (this.#takes("(")) return this.#group();
    const escape = this.#match(ESCAPE)?.[0];
    if (escape !== undefined && /^\\[1-9k]/.test(escape)) {
      throw new Error(`back references such as ${shown(escape)} are not taken`);
    }
    return one(escape ?? this.#match(CLASS)?.[0] ?? this.#point());
  }

  #group(): Node {
    const isNegative = this.#takes("?!");
    const isLook = isNegative || this.#takes("?=");
    if (!isLook && !this.#takes("?:") && this.#source[this.#at] === "?") {
      const name = this.#match(/\?<[^=!>][^>]*>/uy);
      if (name === null) throw new Error("lookbehind and modifiers are not taken");
    }
    const body = this.parse();
    this.#takes(")");
    return isLook ? { type: "look", body, isNegative } : body;
  }

  #point(): string {
    const point = String.fromCodePoint(this.#source.codePointAt(this.#at)!);
    this.#at += point.length;
    return point;
  }

  #takes(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (found !== null) this.#at += found[0].length;
    return found;
  }
}

function one(token: string): Node {
  if (!/^[\\[.]/.test(token)) return { type: "one", matches: (point) => point === token };
  const tester = new RegExp(`^${token}$`, "u");
  /** Of ASCII: 0 not asked yet, 1 yes, 2 no. */
  const known = new Uint8Array(128);
  const matches = (point: string) => {
    const code = point.charCodeAt(0);
    if (code > 127) return tester.test(point);
    if (known[code] === 0) known[code] = tester.test(point) ? 1 : 2;
    return known[code] === 1;
  };
  return { type: "one", matches };
}

function isWordEdge(points: readonly string[], at: number): boolean {
  const isWord = (point: string | undefined) => point !== undefined && /^\w$/.test(point);
  return isWord(points[at - 1]) !== isWord(points[at]);
}
