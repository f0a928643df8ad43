/** What the completion scripts of all shells know, made from the commands' entries. */

import { type Command, COMMON_OPTIONS, type Option } from "../command.ts";

/** How the value of an option is completed. */
export type ValueKind = "directory" | "file" | "free" | readonly string[];

/** One option. */
export interface OptionWord {
  readonly name: string;
  /** One letter, where it has one. */
  readonly short: string | null;
  readonly help: string;
  readonly many: boolean;
  /** What its value is called; `null` for a switch. */
  readonly value: string | null;
  readonly kind: ValueKind;
}

/** One command. */
export interface CommandWord {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionWord[];
  /** Whether a program stands behind `--`. */
  readonly runsProgram: boolean;
  /** What may be its first argument. */
  readonly choices: readonly string[];
}

/** All commands, `help` included, which has no entry of its own. */
export function completionTable(commands: readonly Command[]): CommandWord[] {
  const words = commands.map((command) => ({
    name: command.name,
    summary: command.summary,
    options: [...command.options, ...COMMON_OPTIONS].map(optionWord),
    runsProgram: command.runsProgram === true,
    choices: command.choices ?? [],
  }));
  const help = {
    name: "help",
    summary: "Show the help of a command.",
    options: [],
    runsProgram: false,
  };
  return [...words, { ...help, choices: commands.map(({ name }) => name) }];
}

function optionWord({ name, short, value, many, choices, help }: Option): OptionWord {
  const path = name === "dir" ? "directory" : value?.startsWith("PATH") ? "file" : "free";
  const kind = choices ?? path;
  return { name, short: short ?? null, help, many: many === true, value: value ?? null, kind };
}
