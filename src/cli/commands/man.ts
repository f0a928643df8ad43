/** `postern man`: the manual page, made from the table of commands. */

import { VERSION } from "../../client/mod.ts";
import type { Command } from "../command.ts";
import { COMMAND_NAMES, loadCommand } from "../commands.ts";
import { EXIT } from "../exit_codes.ts";
import { manualPage } from "../manual.ts";

export const command: Command = {
  name: "man",
  usage: [""],
  summary: "Print the manual page, in roff.",
  options: [],
  examples: ["man | man -l -", "man > ~/.local/share/man/man1/postern.1"],
  arguments: [0, 0],
  async run({ out }) {
    const commands = await Promise.all(COMMAND_NAMES.map(loadCommand));
    const page = manualPage(commands, VERSION);
    await (out.json ? out.object({ page }) : out.raw(page));
    return EXIT.ok;
  },
};
