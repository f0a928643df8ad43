/** `postern stop`: a graceful end, waited for. */

import { stopDaemonProcess } from "../../client/autostart.ts";
import type { Command, Context } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { withClient } from "../session.ts";

const MAX_TIMEOUT_SECS = 3600;
const TIMEOUT_SECS = 60;

export const command: Command = {
  name: "stop",
  usage: ["[--timeout SECS]"],
  summary: "Stop the daemon and wait until it is gone.",
  details: ["What has been acknowledged stays in its log. With no daemon the exit code is 3."],
  options: [{ name: "timeout", value: "SECS", help: `how long to wait (${TIMEOUT_SECS})` }],
  examples: ["stop"],
  arguments: [0, 0],
  async run(context) {
    await stop(context);
    await context.out.result({ stopped: true }, () => "stopped");
    return EXIT.ok;
  },
};

/** Stops the running daemon. */
export function stop(context: Context): Promise<void> {
  const timeoutSecs = context.values.integer("timeout", [1, MAX_TIMEOUT_SECS]) ?? TIMEOUT_SECS;
  return withClient(context, (client) => stopDaemonProcess(client, timeoutSecs * 1000));
}
