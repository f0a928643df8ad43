/** `postern clients`: who is connected to the daemon now. */

import type { Client, OperationResult } from "../../client/mod.ts";
import type { Command } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { columns, duration } from "../format.ts";
import { withClient } from "../session.ts";

type Connected = OperationResult<"client.list">;

export const command: Command = {
  name: "clients",
  usage: [""],
  summary: "List who is connected now, and how.",
  details: [
    "KIND is what a client says it is, ORIGINATOR its public name; a client that says neither has",
    "none. The last line is this command's own connection.",
  ],
  options: [],
  examples: [
    "clients",
    "clients --json | jq -r '.clients[] | select(.kind == \"editor\") | .originator'",
  ],
  arguments: [0, 0],
  run: (context) =>
    withClient(context, async (client: Client) => {
      await context.out.result(await client.call("client.list"), toText);
      return EXIT.ok;
    }),
};

function toText({ clients }: Connected): string {
  const rows = clients.map(({ kind, originator, dialect, transport, since, subscriptions }) => [
    kind ?? "-",
    originator ?? "-",
    dialect ?? "-",
    transport,
    `${subscriptions}`,
    `${duration(Math.max(0, Date.now() - since) / 1000)}`,
  ]);
  const head = ["KIND", "ORIGINATOR", "DIALECT", "TRANSPORT", "SUBSCRIPTIONS", "FOR"];
  return columns([head, ...rows]);
}
