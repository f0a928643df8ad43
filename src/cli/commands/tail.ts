/**
 * `postern tail`: follow the log until interrupted.
 *
 * It reads for nobody: no consumer's cursor moves. What a slow pipe does not take waits in the daemon's log.
 */

import type { InboundEvent, Subscription } from "../../client/mod.ts";
import { type Command, type Context, FILTER_OPTIONS } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { eventLine, gapLine } from "../format.ts";
import type { Output } from "../output.ts";
import { withClient } from "../session.ts";

export const command: Command = {
  name: "tail",
  usage: ["[--since SEQ] [--kind KIND] [--topic PATTERN]"],
  summary: "Follow events as they come, from now on or from after a seq.",
  details: [
    "Each line: seq, time, kind, topic, payload; with --json one object a line.",
    "No consumer's cursor moves. Ctrl-C ends it with exit code 0, the loss of the daemon with 1.",
  ],
  options: [
    { name: "since", value: "SEQ", help: "first what came after this seq; 0 for all there is" },
    ...FILTER_OPTIONS,
  ],
  examples: ["tail", "tail --since 0 --json | jq .envelope.payload", "tail --topic 'build.*'"],
  arguments: [0, 0],
  run(context) {
    const { values } = context;
    const since = values.integer("since", [0, Number.MAX_SAFE_INTEGER]);
    const wanted = { kinds: values.list("kind"), topics: values.list("topic") };
    const reading = { ...wanted, consumer: null, since, replay: since !== undefined };
    return withClient(context, (client) => follow(client.subscribe(reading), context));
  },
};

async function follow(stream: Subscription, { out }: Context): Promise<number> {
  const interrupted = () => stream.close();
  Deno.addSignalListener("SIGINT", interrupted);
  Deno.addSignalListener("SIGTERM", interrupted);
  try {
    await stream.started;
    if (!out.json && out.isTerminal) await out.note("-- following; Ctrl-C ends");
    for await (const event of stream) await print(event, out);
    return EXIT.ok;
  } finally {
    Deno.removeSignalListener("SIGINT", interrupted);
    Deno.removeSignalListener("SIGTERM", interrupted);
  }
}

function print(event: InboundEvent, out: Output): Promise<void> {
  if (out.json) {
    const { seq, buffered_at_ms, replay, gap, envelope } = event;
    return out.object({ seq, buffered_at_ms, replay, gap, envelope });
  }
  const line = eventLine(event, out);
  return out.line(event.gap === undefined ? line : `${gapLine(event.gap)}\n${line}`);
}
