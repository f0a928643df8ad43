/** `postern completions`: a script with which a shell completes commands, options and their values. */

import { shown } from "../../client/errors.ts";
import type { Command } from "../command.ts";
import { COMMAND_NAMES, loadCommand } from "../commands.ts";
import { bashCompletion } from "../completions/bash.ts";
import { fishCompletion } from "../completions/fish.ts";
import { completionTable } from "../completions/table.ts";
import { zshCompletion } from "../completions/zsh.ts";
import { EXIT, UsageError } from "../exit_codes.ts";

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;
const NAMES = Object.keys(SHELLS);

export const command: Command = {
  name: "completions",
  usage: [NAMES.join("|")],
  summary: "Print the completion script of a shell.",
  details: [
    "Source it where your shell starts: in ~/.bashrc or ~/.zshrc `source <(postern completions",
    "bash)` or zsh, in fish's configuration `postern completions fish | source`.",
  ],
  options: [],
  examples: ["completions bash > ~/.local/share/bash-completion/completions/postern"],
  arguments: [1, 1],
  choices: NAMES,
  async run({ args, out }) {
    const [shell = ""] = args;
    if (!Object.hasOwn(SHELLS, shell)) {
      throw new UsageError(`a shell is one of ${NAMES.join(", ")}, not ${shown(shell)}`);
    }
    const commands = await Promise.all(COMMAND_NAMES.map(loadCommand));
    const script = SHELLS[shell as keyof typeof SHELLS](completionTable(commands));
    await (out.json ? out.object({ shell, script }) : out.raw(script));
    return EXIT.ok;
  },
};
