/** `postern path`: where things are, for scripts. Needs no daemon. */

import { join } from "@std/path/posix";
import type { Target } from "../../client/discovery.ts";
import { shown } from "../../client/errors.ts";
import type { Command } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { targetOf } from "../session.ts";

const PLACES = ["dir", "socket", "token", "config", "log"] as const;

export const command: Command = {
  name: "path",
  usage: [`[${PLACES.join("|")}]`],
  summary: "Print where the daemon's directory is, or a file in it.",
  details: ["It looks, and asks no daemon; what it names need not exist."],
  options: [],
  examples: ["path", "path socket", "path log"],
  arguments: [0, 1],
  choices: PLACES,
  async run({ args, values, out }) {
    const places = placesOf(targetOf(values));
    const wanted = args[0] ?? "dir";
    if (!Object.hasOwn(places, wanted)) {
      throw new UsageError(`a place is one of ${PLACES.join(", ")}, not ${shown(wanted)}`);
    }
    await out.result(places, () => places[wanted as keyof typeof places]);
    return EXIT.ok;
  },
};

function placesOf(target: Target): Record<typeof PLACES[number], string> {
  const { directory } = target;
  return {
    dir: directory,
    socket: target.socketPath,
    token: target.tokenPath,
    config: join(directory, "config.jsonc"),
    log: join(directory, "log", "daemon.log"),
  };
}
