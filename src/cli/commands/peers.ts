/** `postern peers`: other daemons that this one knows. */

import type { Command } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { printable } from "../output.ts";
import { withClient } from "../session.ts";

interface Peer {
  readonly id: string;
  readonly addr: string;
  readonly status: string;
  readonly rtt_ms?: number;
  readonly source: string;
}

export const command: Command = {
  name: "peers",
  usage: [""],
  summary: "List the other daemons that this one knows.",
  options: [],
  examples: ["peers", "peers --json"],
  arguments: [0, 0],
  run: (context) =>
    withClient(context, async (client) => {
      await context.out.result(await client.call<{ peers: Peer[] }>("peers"), toText);
      return EXIT.ok;
    }),
};

function toText({ peers }: { peers: Peer[] }): string {
  if (peers.length === 0) return "-- no peers";
  return peers.map(({ id, addr, status, rtt_ms, source }) =>
    printable(
      `${id}  ${addr}  ${status}  ${rtt_ms === undefined ? "-" : `${rtt_ms} ms`}  ${source}`,
    )
  ).join("\n");
}
