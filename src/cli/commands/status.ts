/** `postern status`: is it there, which version, is it well, what does it hold. */

import { type Status, VERSION } from "../../client/mod.ts";
import type { Command, Context } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { duration, fieldTable } from "../format.ts";
import { withClient } from "../session.ts";

export const command: Command = {
  name: "status",
  usage: [""],
  summary: "Say whether the daemon runs, which one it is, and how it does.",
  details: [
    "Exits with 0 when it is well, and with 1 when it is degraded: then something cannot be",
    "written, such as a full disk; reading goes on. With --json it tells all there is.",
    "Where none runs, it is said if the last one did not stop in order, and which it was.",
  ],
  options: [],
  examples: ["status", "status --json", "status --json | jq .health.components"],
  arguments: [0, 0],
  run: (context) =>
    withClient(context, async (client) => {
      const [status, identity] = await Promise.all([client.status(), client.whoami()]);
      const { directory, socketPath, discovery } = client.target;
      const { agent_id, version, name } = identity;
      const { epoch } = client.welcome;
      const pid = discovery?.pid ?? null;
      const found = { pid, version, name, agent_id, epoch, directory, socket: socketPath };
      await context.out.result(
        { ...status, running: true, ...found },
        () => toText(found, status),
      );
      await warnOfSkew(context, version);
      return healthOf(status) === "degraded" ? EXIT.failed : EXIT.ok;
    }),
};

/** A daemon of an earlier version says nothing of it. */
function healthOf({ health }: Partial<Status>): string | undefined {
  return health?.status;
}

type Found = Readonly<Record<string, string | number | null>>;

function toText({ epoch: _epoch, ...facts }: Found, status: Partial<Status>): string {
  const { uptime_secs, connections, store, counters } = status;
  return fieldTable([
    ["daemon", "running"],
    ["health", healthOf(status)],
    ...failing(status).map((name): [string, string] => ["", `${name} cannot be written`]),
    ["up", uptime_secs === undefined ? undefined : duration(uptime_secs)],
    ...Object.entries(facts),
    ["connections", connections],
    ["log", store && `head ${store.head_seq}, ${bytesText(store.bytes)}`],
    ["consumers", counters?.consumers],
    ["records", counters?.records],
  ]);
}

function failing({ health }: Partial<Status>): string[] {
  return Object.entries(health?.components ?? {})
    .filter(([, state]) => state === "failing")
    .map(([name]) => name.replaceAll("_", " "));
}

function bytesText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

async function warnOfSkew({ out }: Context, version: string): Promise<void> {
  if (version === VERSION) return;
  await out.note(
    `postern: this program is ${VERSION}, the daemon ${version}; see: postern restart`,
  );
}
