/** `postern inbox`: what a consumer has not acknowledged. Asking again gives the same again. */

import type { InboxPage } from "../../client/mod.ts";
import { type Command, CONSUMER_OPTION, FILTER_OPTIONS } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { eventLine, gapLine } from "../format.ts";
import type { Output } from "../output.ts";
import { withKinds } from "../kinds.ts";
import { withClient } from "../session.ts";

export const command: Command = {
  name: "inbox",
  usage: ["[--consumer NAME] [--limit N] [--kind KIND] [--topic PATTERN]"],
  summary: "Show what a consumer has not acknowledged yet, oldest first.",
  details: ["Each line: seq, time, kind, topic, payload. `ack` moves the consumer on."],
  options: [
    CONSUMER_OPTION,
    { name: "limit", short: "n", value: "N", help: "at most so many, 1 to 1000 (50)" },
    ...FILTER_OPTIONS,
  ],
  examples: ["inbox", "inbox --consumer builder --limit 10 --topic 'build.>'"],
  arguments: [0, 0],
  run(context) {
    const { values, out } = context;
    const wanted = {
      limit: values.integer("limit", [1, 1000]),
      kinds: values.list("kind"),
      topics: values.list("topic"),
    };
    return withClient(context, async (client) => {
      const page = await withKinds(wanted.kinds, () => client.inbox(wanted));
      await out.result(page, () => toText(page, out));
      return EXIT.ok;
    });
  },
};

function toText({ messages, has_more, gap, next_seq }: InboxPage, out: Output): string {
  const lines = messages.map((message) => eventLine(message, out));
  if (gap !== undefined) lines.unshift(gapLine(gap));
  if (has_more) lines.push(`-- there is more; after "postern ack ${next_seq}" it comes`);
  return lines.length === 0 ? "-- nothing is waiting" : lines.join("\n");
}
