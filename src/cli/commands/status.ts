/** `postern status`: is it there, which version, what does it hold. */

import { VERSION } from "../../client/mod.ts";
import type { Command, Context } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { duration, fieldTable } from "../format.ts";
import { withClient } from "../session.ts";

export const command: Command = {
  name: "status",
  usage: [""],
  summary: "Say whether the daemon runs, which one it is, and how it does.",
  options: [],
  examples: ["status", "status --json"],
  arguments: [0, 0],
  run: (context) =>
    withClient(context, async (client) => {
      const [status, identity] = await Promise.all([client.status(), client.whoami()]);
      const { directory, socketPath, discovery } = client.target;
      const { agent_id, version, name } = identity;
      const { epoch } = client.welcome;
      const pid = discovery?.pid ?? null;
      const found = {
        running: true,
        pid,
        version,
        name,
        agent_id,
        epoch,
        directory,
        socket: socketPath,
      };
      await context.out.result({ ...status, ...found }, () => toText(found, status));
      await warnOfSkew(context, version);
      return EXIT.ok;
    }),
};

function toText(found: Record<string, unknown>, status: Record<string, unknown>): string {
  const { running: _running, ...facts } = found;
  const { uptime_secs, uptime: _uptime, ...rest } = status;
  const uptime = typeof uptime_secs === "number" ? duration(uptime_secs) : undefined;
  return fieldTable([
    ["daemon", "running"],
    ["up", uptime],
    ...Object.entries(facts),
    ...Object.entries(rest).filter(([name]) => !(name in facts)),
  ]);
}

async function warnOfSkew({ out }: Context, version: string): Promise<void> {
  if (version === VERSION) return;
  await out.note(
    `postern: this program is ${VERSION}, the daemon ${version}; see: postern restart`,
  );
}
