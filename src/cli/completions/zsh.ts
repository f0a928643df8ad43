/** The completion script for zsh, sourced or as a file `_postern` in `$fpath`. */

import type { CommandWord, OptionWord } from "./table.ts";

/** The script. */
export function zshCompletion(table: readonly CommandWord[]): string {
  return `#compdef postern
# zsh completion for postern; load it with: source <(postern completions zsh)

_postern() {
  local context state state_descr line
  typeset -A opt_args
  local -a commands
  commands=(
${table.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`).join("\n")}
  )
  _arguments -C \\
    '--dir=[the daemon'\\''s directory]:PATH:_files -/' \\
    '--json[answer for programs]' \\
    '(-h --help)'{-h,--help}'[show the commands]' \\
    '(-V --version)'{-V,--version}'[show the version]' \\
    '1:command:->command' \\
    '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $words[1] in
${table.map(commandCase).join("\n")}
      esac
      ;;
  esac
}

if [[ $funcstack[1] == _postern ]]; then
  _postern "$@"
else
  compdef _postern postern
fi
`;
}

function commandCase({ name, options, choices, runsProgram }: CommandWord): string {
  const first = choices.length === 0 ? [] : [quoted(`1:argument:(${choices.join(" ")})`)];
  const rest = runsProgram ? [quoted("*:program:_files")] : [];
  const specs = [...options.map(optionSpec), ...first, ...rest].map((spec) =>
    ` \\\n            ${spec}`
  );
  return `        ${name})\n          _arguments${specs.join("")}\n          ;;`;
}

/** An option with a short form is two, of which one rules out the other unless it may be repeated. */
function optionSpec(option: OptionWord): string {
  const { name, short, many } = option;
  if (short === null) return quoted(`${many ? "*" : ""}--${name}${behindName(option, "=")}`);
  const either = quoted(many ? "*" : `(-${short} --${name})`);
  const spellings = option.value === null ? `-${short},--${name}` : `-${short}+,--${name}=`;
  return `${either}{${spellings}}${quoted(behindName(option, ""))}`;
}

function behindName({ help, value, kind }: OptionWord, join: string): string {
  const about = `[${help.replaceAll(/[[\]\\:]/g, "\\$&")}]`;
  if (value === null) return about;
  const action = typeof kind !== "string"
    ? `(${kind.join(" ")})`
    : { directory: "_files -/", file: "_files", free: " " }[kind];
  return `${join}${about}:${value}:${action}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
