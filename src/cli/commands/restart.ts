/** `postern restart`: the way to a new version. Also starts what did not run. */

import { ConnectionError } from "../../client/errors.ts";
import type { Command } from "../command.ts";
import { start } from "./start.ts";
import { stop } from "./stop.ts";

export const command: Command = {
  name: "restart",
  usage: ["[--timeout SECS]"],
  summary: "Stop the daemon, if one runs, and start it again.",
  options: [{ name: "timeout", value: "SECS", help: "how long each of both may take" }],
  examples: ["restart"],
  arguments: [0, 0],
  async run(context) {
    try {
      await stop(context);
    } catch (error) {
      if (!(error instanceof ConnectionError) || !error.noDaemon) throw error;
    }
    return await start(context);
  },
};
