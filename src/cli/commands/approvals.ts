/** `postern approvals`: what waits for our decision, as it comes, and the decision. */

import { shown } from "../../client/errors.ts";
import { type Command, type Context, IDENTITY_OPTION } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { forEach } from "../for_each.ts";
import { printable } from "../output.ts";
import { withIdentity } from "../session.ts";
import { suggestion } from "../suggestion.ts";

const ACTIONS = ["approve", "deny"] as const;

export const command: Command = {
  name: "approvals",
  usage: ["[--as KIND]", "approve ID... [--reason TEXT]", "deny ID... [--reason TEXT]"],
  summary: "Show the requests for permission that wait for you, and approve or deny them.",
  details: [
    "On a terminal it is a list to choose from: arrow keys or j and k choose, y approves, n denies,",
    "d shows everything of one, q ends. In a pipe, or with --json, each request is a line, and so is",
    'what became of it: the field type is "pending", "decided" or "delegated". It goes on when the',
    "daemon comes back. It has what clients of this kind ask, and what is asked for turns that",
    "they have sent; --as has that of another kind.",
  ],
  options: [
    { name: "reason", value: "TEXT", help: "told to whoever asked" },
    IDENTITY_OPTION,
  ],
  examples: [
    "approvals",
    "approvals --json | jq .tool",
    "approvals deny 806aa667-5f0e-4b51-9d2a-3f1c0a7e6b42 --reason 'not today'",
  ],
  arguments: [0, Infinity],
  choices: ACTIONS,
  async run(context) {
    const { args: [action, ...ids], values } = context;
    if (action === "approve" || action === "deny") return await answer(context, action, ids);
    if (action !== undefined) {
      const meant = suggestion(action, ACTIONS);
      throw new UsageError(
        `one of ${ACTIONS.join(", ")}, or nothing; not ${shown(action)}${meant}`,
      );
    }
    if (values.has("reason")) throw new UsageError("--reason is for approve and deny");
    if (!isInteractive(context)) {
      return await (await import("../approval_lines.ts")).printApprovals(context);
    }
    return await (await import("../approval_screen.ts")).chooseApprovals(context);
  },
};

/** Whether there is somebody to choose, on a terminal that can move its cursor. */
function isInteractive({ out, values }: Context): boolean {
  const isOurs = values.text("token-file") !== "-" && Deno.stdin.isTerminal();
  return out.isTerminal && !out.json && isOurs && Deno.env.get("TERM") !== "dumb";
}

function answer(
  context: Context,
  action: (typeof ACTIONS)[number],
  ids: readonly string[],
): Promise<number> {
  if (ids.length === 0) throw new UsageError(`${action} needs an ID`);
  const reason = context.values.text("reason");
  const result = { approve: action === "approve", ...(reason === undefined ? {} : { reason }) };
  const done = action === "approve" ? "approved" : "denied";
  return withIdentity(context, {}, async (client) => {
    await forEach(ids, async (request_id) => {
      const answered = await client.call("permission.answer", { request_id, result });
      await context.out.result(answered, () => printable(`${done} ${request_id}`));
    });
    return EXIT.ok;
  });
}
