/**
 * Options and arguments of one command line, strictly: what a command has not declared is an error.
 *
 * Every problem is a {@linkcode UsageError} that names the option and the value seen.
 */

import { parseArgs } from "@std/cli/parse-args";
import { type Command, COMMON_OPTIONS, type Option } from "./command.ts";
import { shown } from "../client/errors.ts";
import { UsageError } from "./exit_codes.ts";
import { suggestion } from "./suggestion.ts";

/** The options that were given. */
export class Values {
  readonly #given: Record<string, unknown>;

  constructor(given: Record<string, unknown>) {
    this.#given = given;
  }

  /** Whether an option was given. */
  has(name: string): boolean {
    return this.#given[name] !== undefined && this.#given[name] !== false;
  }

  /** Whether a switch is on. */
  flag(name: string): boolean {
    return this.#given[name] === true;
  }

  text(name: string): string | undefined {
    return this.#given[name] as string | undefined;
  }

  /** All values of an option that may be repeated; `undefined` when there is none. */
  list(name: string): string[] | undefined {
    const given = this.#given[name] as string[] | undefined;
    const values = given?.flatMap((value) => value.split(",")).filter((value) => value !== "");
    return values?.length ? values : undefined;
  }

  /** A whole number from `min` to `max`. */
  integer(name: string, [min, max]: readonly [number, number]): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : toInteger(`--${name}`, text, [min, max]);
  }

  /** A time such as 90s, 15m, 12h or 30d, in seconds. */
  seconds(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const [, count, unit] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
    if (unit !== undefined) return Number(count) * UNIT_SECS[unit]!;
    throw new UsageError(`--${name} is a time such as 90s, 15m, 12h or 30d, not ${shown(text)}`);
  }
}

const UNIT_SECS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** A whole number, or a usage error that says what `name` must be. */
export function toInteger(
  name: string,
  text: string,
  [min, max]: readonly [number, number],
): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new UsageError(`${name} is a whole number ${range}, not ${shown(text)}`);
}

/** Reads the command line behind the command's name. */
export function parseCommandLine(
  command: Command,
  argv: readonly string[],
): { args: string[]; values: Values } {
  const options = [...COMMON_OPTIONS, ...command.options];
  const names = (wanted: (option: Option) => boolean) =>
    options.filter(wanted).map((option) => option.name);
  const given = withDashValues(argv, options);
  const parsed = parseArgs(command.takesJson ? given.map(marked) : given, {
    string: ["_", ...names((option) => option.value !== undefined)],
    boolean: names((option) => option.value === undefined),
    collect: names((option) => option.many === true),
    alias: Object.fromEntries(options.map(({ name, short }) => [name, short ?? []])),
    unknown: (arg: string, key?: string) => {
      if (key === undefined) return true;
      const meant = suggestion(`--${key}`, options.map(({ name }) => `--${name}`));
      const negative = /^-\d/.test(arg) ? "; a negative number goes behind --" : "";
      throw new UsageError(`unknown option ${shown(arg)}${meant}${negative}`);
    },
  });
  const args = parsed._.map((arg) => unmarked(String(arg)));
  const values = checked(options, parsed);
  if (!values.flag("help")) requireCount(command, args);
  return { args, values };
}

/** A dash alone is a value: as in `--token-file -`, it says that stdin is meant. */
function withDashValues(argv: readonly string[], options: readonly Option[]): string[] {
  const valued = new Set(
    options.filter(({ value }) => value !== undefined).map(({ name }) => `--${name}`),
  );
  const end = argv.includes("--") ? argv.indexOf("--") : argv.length;
  const joined: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const isPair = at + 1 < end && argv[at + 1] === "-" && valued.has(argv[at]!);
    joined.push(isPair ? `${argv[at++]}=-` : argv[at]!);
  }
  return joined;
}

/** No argument of a process has this in it. */
const MARK = "\0";

/** A negative number is no option; marked, it does not look like one. */
function marked(arg: string): string {
  return /^-\d/.test(arg) ? MARK + arg : arg;
}

function unmarked<T>(arg: T): T | string {
  return typeof arg === "string" && arg.startsWith(MARK) ? arg.slice(MARK.length) : arg;
}

function checked(options: readonly Option[], parsed: Record<string, unknown>): Values {
  const given: Record<string, unknown> = {};
  for (const { name, value, many } of options) {
    const found = parsed[name];
    const seen = many ? (found as string[] | undefined)?.map(unmarked) : unmarked(found);
    const empty = seen === undefined || (many && (seen as unknown[]).length === 0);
    if (value !== undefined && !empty) {
      const values = many ? seen as string[] : [seen];
      if (values.includes("")) throw new UsageError(`--${name} needs a value: --${name} ${value}`);
    }
    if (!empty) given[name] = seen;
  }
  return new Values(given);
}

function requireCount({ arguments: [min, max] }: Command, args: readonly string[]): void {
  if (args.length < min) throw new UsageError("an argument is missing");
  if (args.length > max) throw new UsageError(`unexpected argument ${shown(args[max])}`);
}
