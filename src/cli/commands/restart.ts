/** `postern restart`: the way to a new version. Also starts what did not run. */

import { ConnectionError, PosternError } from "../../client/errors.ts";
import type { Command, Context } from "../command.ts";
import { effectiveConfig } from "./config.ts";
import { start } from "./start.ts";
import { stop } from "./stop.ts";

export const command: Command = {
  name: "restart",
  usage: ["[--timeout SECS]"],
  summary: "Stop the daemon, if one runs, and start it again.",
  details: ["A configuration that cannot be read is told before anything is stopped."],
  options: [{ name: "timeout", value: "SECS", help: "how long each of both may take" }],
  examples: ["restart"],
  arguments: [0, 0],
  async run(context) {
    await requireConfig(context);
    try {
      await stop(context);
    } catch (error) {
      if (!(error instanceof ConnectionError) || !error.noDaemon) throw error;
    }
    return await start(context);
  },
};

/** What would keep the new daemon from starting must not end the old one. */
async function requireConfig(context: Context): Promise<void> {
  try {
    await effectiveConfig(context);
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    throw new PosternError(error.code, `nothing is stopped: ${error.message}`, error.details);
  }
}
