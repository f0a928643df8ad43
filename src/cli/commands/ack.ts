/** `postern ack`: move a consumer's cursor. */

import { type Command, CONSUMER_OPTION } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { withClient } from "../session.ts";
import { toInteger } from "../values.ts";

export const command: Command = {
  name: "ack",
  usage: ["<seq> [--consumer NAME]"],
  summary: "Acknowledge everything up to a seq for a consumer.",
  details: [
    "Only what the consumer was given can be acknowledged. A seq before its cursor changes",
    "nothing; the answer names the cursor.",
  ],
  options: [CONSUMER_OPTION],
  examples: ["ack 102", "ack 102 --consumer builder"],
  arguments: [1, 1],
  run(context) {
    const seq = toInteger("<seq>", context.args[0]!, [0, Number.MAX_SAFE_INTEGER]);
    return withClient(context, async (client) => {
      await context.out.result(
        await client.ack(seq),
        ({ acked_seq }) => `acked up to ${acked_seq}`,
      );
      return EXIT.ok;
    });
  },
};
