/** `--help`, derived from the commands' entries. At most 40 lines each, and the overview 48. */

import { type Command, COMMON_OPTIONS, type Option } from "./command.ts";

const EXIT_LINE =
  "Exit codes: 0 ok, 1 failed, 2 usage, 3 no daemon, 4 not allowed, or not approved.";

/** The help of one command. */
export function commandHelp(command: Command): string {
  const lines = [
    `${command.summary}`,
    "",
    "Usage:",
    ...command.usage.map((form) => `  postern ${command.name} ${form}`.trimEnd()),
    "",
    ...(command.details ?? []),
    ...(command.details ? [""] : []),
    "Options:",
    ...table(
      [...command.options, ...COMMON_OPTIONS].map((option) => [spelling(option), option.help]),
    ),
    "",
    "Examples:",
    ...command.examples.map((example) => `  postern ${example}`),
    "",
    EXIT_LINE,
  ];
  return lines.join("\n");
}

/** The help of the whole program. */
export function overview(commands: readonly Command[]): string {
  return [
    "Postern: messages between the programs of one machine, kept until they are read.",
    "",
    "Usage: postern <command> [arguments] [options]",
    "",
    ...table(commands.map((command) => [command.name, command.summary])),
    "",
    "Every command takes --dir PATH, --token-file PATH (- for stdin), --json, --help (-h). Version: -V.",
    "The directory: --dir, else POSTERN_DIR, else postern/default where programs keep their state.",
    EXIT_LINE,
  ].join("\n");
}

function spelling({ name, short, value }: Option): string {
  const before = short === undefined ? "" : `-${short}, `;
  return `${before}--${name}${value === undefined ? "" : ` ${value}`}`;
}

function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
