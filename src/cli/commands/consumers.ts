/** `postern consumers`: who reads by a durable cursor and how far behind each is; `rm` forgets one. */

import { shown } from "../../client/errors.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { columns, duration } from "../format.ts";
import { withClient } from "../session.ts";

interface Consumer {
  readonly name: string;
  readonly acked_seq: number;
  readonly delivered_seq: number;
  readonly lag: number;
  readonly last_seen: number;
}

export const command: Command = {
  name: "consumers",
  usage: ["", "rm <name>"],
  summary: "List the consumers with their lag, or forget one.",
  details: [
    "LAG counts the events of the log behind what the consumer has acknowledged. A consumer",
    "that was removed begins again with the oldest event when its name is used again.",
  ],
  options: [],
  examples: [
    "consumers",
    "consumers --json | jq '.consumers[] | select(.lag > 0)'",
    "consumers rm ci",
  ],
  arguments: [0, 2],
  choices: ["rm"],
  async run(context) {
    const [action, name] = context.args;
    if (action === undefined) return await list(context);
    if (action !== "rm") throw new UsageError(`only "rm" can be done to one, not ${shown(action)}`);
    if (name === undefined) throw new UsageError("rm needs the name of a consumer");
    return await remove(context, name);
  },
};

function list(context: Context): Promise<number> {
  return withClient(context, async (client) => {
    const found = await client.call<{ consumers: Consumer[] }>("consumer.list");
    await context.out.result(found, toText);
    return EXIT.ok;
  });
}

function remove(context: Context, consumer: string): Promise<number> {
  return withClient(context, async (client) => {
    await client.call("consumer.remove", { consumer });
    await context.out.result({ removed: consumer }, () => `removed ${consumer}`);
    return EXIT.ok;
  });
}

function toText({ consumers }: { consumers: Consumer[] }): string {
  if (consumers.length === 0) return "-- no consumers";
  const rows = consumers.map(({ name, lag, acked_seq, delivered_seq, last_seen }) => [
    name,
    String(lag),
    String(acked_seq),
    String(delivered_seq),
    `${duration(Math.max(0, Date.now() - last_seen) / 1000)} ago`,
  ]);
  return columns([["NAME", "LAG", "ACKED", "DELIVERED", "LAST SEEN"], ...rows]);
}
