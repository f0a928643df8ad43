/** `postern start`: a daemon in the background. Succeeds as well when one runs already. */

import { startDaemonProcess } from "../../client/autostart.ts";
import { VERSION } from "../../client/mod.ts";
import type { Command, Context } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { printable } from "../output.ts";
import { targetOf } from "../session.ts";

const MAX_TIMEOUT_SECS = 3600;

export const command: Command = {
  name: "start",
  usage: ["[--timeout SECS]"],
  summary: "Start the daemon in the background and wait until it answers.",
  details: ["If one answers already, that is said and nothing else is done."],
  options: [{ name: "timeout", value: "SECS", help: "how long it may take (30)" }],
  examples: ["start", "start --dir ./state"],
  arguments: [0, 0],
  run: start,
};

/** Starts, and says what came of it. */
export async function start({ values, out }: Context): Promise<number> {
  const timeoutMs = (values.integer("timeout", [1, MAX_TIMEOUT_SECS]) ?? 30) * 1000;
  const { directory } = targetOf(values);
  const { started, pid, version, notices } = await startDaemonProcess({ directory, timeoutMs });
  for (const notice of notices) await out.note(`postern: ${printable(notice)}`);
  await out.result({ started, pid, version, directory }, () => {
    const what = started ? "started" : "already running";
    return `${what}: pid ${pid ?? "unknown"}, version ${version ?? "unknown"}, in ${directory}`;
  });
  if (!started && version !== null && version !== VERSION) {
    await out.note(`postern: this program is ${VERSION}; "postern restart" starts that version`);
  }
  return EXIT.ok;
}
