/** The completion script for bash, from version 3.2 on. */

import type { CommandWord, OptionWord } from "./table.ts";

/** The script; to be sourced. */
export function bashCompletion(table: readonly CommandWord[]): string {
  return `# bash completion for postern; load it with: source <(postern completions bash)

__postern_words() {
  case "$1" in
${lines(table, ({ name, choices }) => choice(name, choices))}
  esac
}

__postern_options() {
  case "$1" in
${lines(table, ({ name, options }) => choice(name, options.flatMap(spellings)))}
    *) echo "--dir --json --help -h --version -V" ;;
  esac
}

__postern_value() {
  case "$1 $2" in
    *" --dir") echo "<directory>" ;;
${lines(table, ({ name, options }) => options.map((option) => valueOf(name, option)).join(""))}
    *) return 1 ;;
  esac
}

__postern_program() {
  case "$1" in
    ${table.filter(({ runsProgram }) => runsProgram).map(({ name }) => name).join(" | ")}) ;;
    *) return 1 ;;
  esac
}

_postern() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  local command="" arguments=0 at word values IFS=$' \\t\\n'
  COMPREPLY=()
  # bash makes --option=value three words.
  if [[ $cur == "=" ]]; then cur=""
  elif [[ $prev == "=" ]]; then prev="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="\${COMP_WORDS[at]}"
    if [[ $word == "--" ]] && __postern_program "$command"; then
      # The program, then what is its own.
      local sort=f
      ((COMP_CWORD == at + 1)) && sort=c
      IFS=$'\\n' COMPREPLY=($(compgen -$sort -- "$cur"))
      return
    fi
    if [[ $word == -* ]]; then
      if __postern_value "$command" "$word" >/dev/null; then
        [[ \${COMP_WORDS[at+1]} == "=" ]] && ((at++))
        ((at++))
      fi
    elif [[ -z $command ]]; then command="$word"
    else ((arguments++))
    fi
  done
  if values="$(__postern_value "$command" "$prev")"; then :
  elif [[ $cur == -* ]]; then values="$(__postern_options "$command")"
  elif [[ -z $command ]]; then values="${table.map(({ name }) => name).join(" ")}"
  elif ((arguments == 0)); then values="$(__postern_words "$command")"
  fi
  case "$values" in
    "<directory>")
      IFS=$'\\n' COMPREPLY=($(compgen -d -- "$cur"))
      compopt -o filenames 2>/dev/null
      ;;
    "<file>")
      IFS=$'\\n' COMPREPLY=($(compgen -f -- "$cur"))
      compopt -o filenames 2>/dev/null
      ;;
    *) COMPREPLY=($(compgen -W "$values" -- "$cur")) ;;
  esac
}

complete -F _postern postern
`;
}

function lines(
  table: readonly CommandWord[],
  toText: (command: CommandWord) => string,
): string {
  return table.map(toText).join("").trimEnd();
}

function choice(name: string, words: readonly string[]): string {
  return words.length === 0 ? "" : `    ${name}) echo "${words.join(" ")}" ;;\n`;
}

function spellings({ name, short }: OptionWord): string[] {
  return short === null ? [`--${name}`] : [`--${name}`, `-${short}`];
}

function valueOf(command: string, option: OptionWord): string {
  const { name, value, kind } = option;
  if (value === null || name === "dir") return "";
  const shown = typeof kind !== "string" ? kind.join(" ") : kind === "free" ? "" : `<${kind}>`;
  const patterns = spellings(option).map((spelling) => `"${command} ${spelling}"`).join(" | ");
  return `    ${patterns}) echo "${shown}" ;;\n`;
}
