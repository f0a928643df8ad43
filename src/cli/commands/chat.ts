/** `postern chat`: messages to a session, and what its runner answers, from a terminal or in a pipe. */

import { PosternError, shown } from "../../client/errors.ts";
import type { Client, LinkNotice } from "../../client/mod.ts";
import { Chat } from "../chat.ts";
import { type Command, IDENTITY_OPTION } from "../command.ts";
import { printable } from "../output.ts";
import { withIdentity } from "../session.ts";

export const command: Command = {
  name: "chat",
  usage: ["<session> [--runner NAME] [text]"],
  summary: "Talk to a session: each line is a turn, its output streams.",
  details: [
    "On a terminal Ctrl-C cancels the turn that runs; at the prompt it ends the conversation, as",
    "Ctrl-D does. In a pipe each line of stdin is a turn. With a text it is that one turn. Exit",
    "codes of the turn, or of the last in a pipe that did not complete: 0 completed, 1 failed, 130",
    "cancelled. SIGTERM cancels it and ends with 143, SIGHUP with 129; so does a reader that goes",
    "away, with 130. With --json each event of a turn is a line.",
  ],
  options: [
    { name: "runner", value: "NAME", help: "make the session with this runner, if there is none" },
    IDENTITY_OPTION,
  ],
  examples: [
    "chat notes --runner echo",
    "chat notes 'sum this up'",
    "chat notes --json < questions.txt | jq .envelope.payload",
  ],
  arguments: [1, 2],
  async run(context) {
    const { args: [session = "", text], values, out } = context;
    const onNotice = (notice: LinkNotice) => {
      if (notice.type === "lost") {
        out.note(`-- the connection is lost: ${printable(notice.reason)}`);
      }
      if (notice.type === "connected") out.note("-- connected again");
    };
    return await withIdentity(context, { onNotice }, async (client) => {
      const runner = values.text("runner");
      if (runner !== undefined) {
        await makeSession(client, session, runner);
      }
      const chat = new Chat(client, context, session);
      if (text !== undefined) return await chat.once(text);
      return await chat.lines(Deno.stdin.readable, Deno.stdin.isTerminal() && out.isTerminal);
    });
  },
};

/** One that is there will do if its runner is this one, whatever else it was made with. */
async function makeSession(client: Client, session_id: string, runner: string): Promise<void> {
  try {
    await client.call("session.create", { session_id, runner });
  } catch (error) {
    if (!(error instanceof PosternError) || error.code !== "conflict") throw error;
    const present = await client.call("session.get", { session_id });
    if (present.runner === runner) return;
    const its = present.runner === null ? "no runner" : `the runner ${shown(present.runner)}`;
    throw new PosternError(
      "conflict",
      `chat: the session ${shown(session_id)} is there with ${its}, not with ${shown(runner)}; ` +
        "name another session, or leave out --runner",
    );
  }
}
