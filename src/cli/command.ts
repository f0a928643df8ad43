/**
 * What a command is: one declarative entry, from which parsing, `--help` and the overview derive.
 *
 * A new command is one file in commands/ and one line in commands.ts.
 */

import { KINDS } from "../core/kinds.ts";
import type { Output } from "./output.ts";
import type { Values } from "./values.ts";

/** One option of a command. Its name is written `--name`, its short form `-s`. */
export interface Option {
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** What its value is called in the help; without it the option is a switch. */
  readonly value?: string;
  /** May be given more than once, or with commas. */
  readonly many?: boolean;
  /** The values it usually has; for completion, not a rule. */
  readonly choices?: readonly string[];
  readonly help: string;
}

/** A command as it stands in its file. */
export interface Command {
  readonly name: string;
  /** The arguments behind the name; one line for each form. */
  readonly usage: readonly string[];
  /** One line for the overview. */
  readonly summary: string;
  /** What else must be known, in lines of at most 78 characters. */
  readonly details?: readonly string[];
  readonly options: readonly Option[];
  /** Command lines without the program's name. */
  readonly examples: readonly string[];
  /** How many arguments it takes, at least and at most. */
  readonly arguments: readonly [number, number];
  /** Whether an argument may be JSON, and so a negative number. */
  readonly takesJson?: boolean;
  /** Whether a program with arguments of its own stands behind `--`; for completion, not a rule. */
  readonly runsProgram?: boolean;
  /** What the first argument may be, where that is a closed list; for completion, not a rule. */
  readonly choices?: readonly string[];
  /** @returns the exit code */
  run(context: Context): Promise<number>;
}

/** What a running command may use. */
export interface Context {
  readonly args: readonly string[];
  readonly values: Values;
  readonly out: Output;
}

/** Options that every command takes. */
export const COMMON_OPTIONS: readonly Option[] = [
  { name: "dir", value: "PATH", help: "the daemon's directory" },
  { name: "token-file", value: "PATH", help: "the token to show; - reads it from stdin" },
  { name: "json", help: "answer for programs: one JSON object, or one a line" },
  { name: "help", short: "h", help: "show this" },
];

/** The option of every command that reads as a consumer. */
export const CONSUMER_OPTION: Option = {
  name: "consumer",
  value: "NAME",
  help: 'whose cursor to go by ("default")',
};

/** The option of every command that has an identity. */
export const IDENTITY_OPTION: Option = {
  name: "as",
  value: "KIND",
  help: 'kind of client whose identity to have ("cli")',
};

/** The options of every command that chooses among events. */
export const FILTER_OPTIONS: readonly Option[] = [
  {
    name: "kind",
    value: "KIND",
    many: true,
    choices: KINDS,
    help: "only these kinds, such as notify",
  },
  { name: "topic", value: "PATTERN", many: true, help: "only these topics; build.* or agent.>" },
];
