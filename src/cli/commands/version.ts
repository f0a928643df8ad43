/** `postern version`: this program's and the daemon's, which may differ after an upgrade. */

import { ConnectionError } from "../../client/errors.ts";
import { VERSION } from "../../client/mod.ts";
import type { Command, Context } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { withClient } from "../session.ts";

export const command: Command = {
  name: "version",
  usage: [""],
  summary: "Show the versions of this program and of the running daemon.",
  details: [
    "An older daemon goes on serving after an upgrade until it is restarted. `postern --version`",
    "and `postern -V` do the same.",
  ],
  options: [],
  examples: ["version", "version --json"],
  arguments: [0, 0],
  async run(context) {
    const daemon = await daemonVersion(context);
    const versions = { client: VERSION, daemon, deno: Deno.version.deno };
    await context.out.result(versions, () => {
      const running = daemon ?? "not running";
      const hint = daemon === null || daemon === VERSION
        ? ""
        : '\nThey differ: "postern restart" starts this version.';
      return `postern ${VERSION} (Deno ${Deno.version.deno})\ndaemon  ${running}${hint}`;
    });
    return EXIT.ok;
  },
};

async function daemonVersion(context: Context): Promise<string | null> {
  try {
    return await withClient(context, async (client) => (await client.whoami()).version);
  } catch (error) {
    if (error instanceof ConnectionError && error.noDaemon) return null;
    throw error;
  }
}
