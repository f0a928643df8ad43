/** The completion script for fish. */

import type { CommandWord, OptionWord } from "./table.ts";

/** The script; to be sourced, or a file in fish's `completions` folder. */
export function fishCompletion(table: readonly CommandWord[]): string {
  const lines = table.flatMap((command) => {
    const { name, summary, options, choices } = command;
    const within = `complete -c postern -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c postern -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
      ...(choices.length === 0 ? [] : [`${within} -a ${quoted(choices.join(" "))}`]),
      ...options.map((option) => `${within} ${optionText(option)}`),
    ];
  });
  return [
    "# fish completion for postern; load it with: postern completions fish | source",
    "complete -c postern -f",
    "complete -c postern -n __fish_use_subcommand -l version -s V -d 'show the version'",
    ...lines,
    "",
  ].join("\n");
}

function optionText({ name, short, help, value, kind }: OptionWord): string {
  const spelling = `-l ${name}${short === null ? "" : ` -s ${short}`}`;
  const about = `-d ${quoted(help)}`;
  if (value === null) return `${spelling} ${about}`;
  if (typeof kind !== "string") return `${spelling} -x -a ${quoted(kind.join(" "))} ${about}`;
  const takes = {
    directory: "-x -a '(__fish_complete_directories)'",
    file: "-r -F",
    free: "-x",
  }[kind];
  return `${spelling} ${takes} ${about}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
}
