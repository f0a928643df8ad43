/** `postern consumers`: who reads by a durable cursor and how far behind each is; `rm` forgets one. */

import { shown } from "../../client/errors.ts";
import type { Client, OperationResult } from "../../client/mod.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { columns, duration } from "../format.ts";
import { withClient } from "../session.ts";

type Consumers = OperationResult<"consumer.list">["consumers"];

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
    await context.out.result({ consumers: await allOf(client) }, toText);
    return EXIT.ok;
  });
}

/** As many replies as it takes. */
async function allOf(client: Client): Promise<Consumers> {
  const all: Consumers[number][] = [];
  let page;
  do {
    page = await client.call("consumer.list", { after: all.at(-1)?.name });
    all.push(...page.consumers);
  } while (page.has_more);
  return all;
}

function remove(context: Context, consumer: string): Promise<number> {
  return withClient(context, async (client) => {
    await client.call("consumer.remove", { consumer });
    await context.out.result({ removed: consumer }, () => `removed ${consumer}`);
    return EXIT.ok;
  });
}

function toText({ consumers }: { consumers: Consumers }): string {
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
