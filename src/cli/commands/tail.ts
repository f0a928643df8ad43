/**
 * `postern tail`: follow the log until interrupted.
 *
 * It reads for nobody: no consumer's cursor moves. What a slow pipe does not take waits in the daemon's log.
 */

import type { InboundEvent, Subscription } from "../../client/mod.ts";
import { type Command, type Context, FILTER_OPTIONS } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { eventLine, gapLine, prettyEvent } from "../format.ts";
import { interruptible } from "../interrupt.ts";
import type { Output } from "../output.ts";
import { withKinds } from "../kinds.ts";
import { withClient } from "../session.ts";

export const command: Command = {
  name: "tail",
  usage: ["[--since SEQ] [--kind KIND] [--topic PATTERN] [--pretty]"],
  summary: "Follow events as they come, from now on or from after a seq.",
  details: [
    "Each line: seq, time, kind, topic, payload; with --json one object a line.",
    "No consumer's cursor moves. Ctrl-C ends it with exit code 0, the loss of the daemon with 1.",
  ],
  options: [
    { name: "since", value: "SEQ", help: "first what came after this seq; 0 for all there is" },
    ...FILTER_OPTIONS,
    { name: "follow", short: "f", help: "what it does in any case" },
    { name: "pretty", help: "payloads indented, on lines of their own" },
  ],
  examples: [
    "tail",
    "tail --since 0 --json | jq .envelope.payload",
    "tail --topic 'build.*' --kind notify,result --pretty",
  ],
  arguments: [0, 0],
  run(context) {
    const { values, out } = context;
    if (values.flag("pretty") && out.json) {
      throw new UsageError("--pretty is for people, --json for programs; take one of them");
    }
    const since = values.integer("since", [0, Number.MAX_SAFE_INTEGER]);
    const wanted = { kinds: values.list("kind"), topics: values.list("topic") };
    const reading = { ...wanted, consumer: null, since, replay: since !== undefined };
    return withClient(context, (client) => {
      return withKinds(wanted.kinds, () => follow(client.subscribe(reading), context));
    });
  },
};

async function follow(stream: Subscription, { out, values }: Context): Promise<number> {
  const toText = values.flag("pretty") ? prettyEvent : eventLine;
  return await interruptible(() => stream.close(), async () => {
    await stream.started;
    if (!out.json && out.isTerminal) await out.note("-- following; Ctrl-C ends");
    for await (const event of stream) await print(event, { out, toText });
    return EXIT.ok;
  });
}

interface Printing {
  readonly out: Output;
  readonly toText: (event: InboundEvent, out: Output) => string;
}

function print(event: InboundEvent, { out, toText }: Printing): Promise<void> {
  if (out.json) {
    const { seq, buffered_at_ms, replay, gap, envelope } = event;
    return out.object({ seq, buffered_at_ms, replay, gap, envelope });
  }
  const line = toText(event, out);
  return out.line(event.gap === undefined ? line : `${gapLine(event.gap)}\n${line}`);
}
