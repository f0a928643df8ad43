/** `postern whoami`: the daemon's identity. */

import type { Command } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { fieldTable } from "../format.ts";
import { withClient } from "../session.ts";

export const command: Command = {
  name: "whoami",
  usage: [""],
  summary: "Show the daemon's identity: agent id, public key, name, version.",
  options: [],
  examples: ["whoami", "whoami --json"],
  arguments: [0, 0],
  run: (context) =>
    withClient(context, async (client) => {
      await context.out.result(await client.whoami(), (who) => fieldTable(Object.entries(who)));
      return EXIT.ok;
    }),
};
