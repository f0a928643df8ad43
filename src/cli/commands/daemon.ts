/** `postern daemon`: the daemon itself, in the foreground, until it is told to stop. */

import { shown } from "../../client/errors.ts";
import type { Command } from "../command.ts";
import { UsageError } from "../exit_codes.ts";
import { targetOf } from "../session.ts";

export const command: Command = {
  name: "daemon",
  usage: ["", "start|stop|status|restart"],
  summary: "Run the daemon in the foreground.",
  details: [
    "SIGTERM or SIGINT stop it, SIGHUP reads configuration and token again. It ends with",
    "0 when it was asked to stop, 1 when it could not start, 70 when it broke down.",
    "The second form is another way to write those commands.",
  ],
  options: [
    {
      name: "mode",
      value: "MODE",
      choices: ["foreground", "background"],
      help: "foreground, or background as `start` says it",
    },
  ],
  examples: ["daemon", "daemon --dir ./state", "daemon stop"],
  arguments: [0, 0],
  choices: ["start", "stop", "status", "restart"],
  async run({ values }) {
    const mode = values.text("mode") ?? "foreground";
    if (mode !== "foreground" && mode !== "background") {
      throw new UsageError(`--mode is foreground or background, not ${shown(mode)}`);
    }
    // The daemon is the larger part of the program, and only this command needs it.
    const { launch } = await import("../../daemon/launcher.ts");
    return await launch({ directory: targetOf(values).directory, mode });
  },
};
