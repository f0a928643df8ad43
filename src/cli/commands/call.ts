/** `postern call`: any operation by name, so that nothing waits for a command of its own. */

import { PosternError, shown } from "../../client/errors.ts";
import type { Client } from "../../client/mod.ts";
import { type Command, IDENTITY_OPTION } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { readAllInput } from "../input.ts";
import { requireObject } from "../json_argument.ts";
import { withClient, withIdentity } from "../session.ts";

export const command: Command = {
  name: "call",
  usage: ["<operation> [json-object | -]"],
  summary: "Call any operation and print its result as JSON.",
  details: [
    "The object holds the operation's parameters; - reads it from stdin, where secrets",
    'belong. "call system.operations" lists what there is. What streams is for tail.',
    "What only a client with an identity may do, such as lease.acquire, needs --as.",
  ],
  options: [
    { ...IDENTITY_OPTION, help: "kind of client whose identity to have (none)" },
  ],
  examples: [
    "call system.operations",
    "call permission.list --as cli",
    `call event.read '{"after": 0, "limit": 10}'`,
    "call event.send - < message.json",
  ],
  arguments: [1, 2],
  async run(context) {
    const [operation = "", argument] = context.args;
    const params = await readParams(operation, argument);
    const call = async (client: Client) => {
      const result = await client.call<unknown>(operation, params);
      await context.out.result(result, (value) => JSON.stringify(value, null, 2));
      return EXIT.ok;
    };
    if (context.values.has("as")) return await withIdentity(context, {}, call);
    return await withClient(context, (client) => call(client).catch(hinted));
  },
};

/** What is missing has a name here. */
function hinted(error: unknown): never {
  const isIt = error instanceof PosternError && error.details?.field === "client_kind";
  if (!isIt || error.code !== "permission_denied") throw error;
  throw new PosternError(
    error.code,
    `${error.message}; here: --as KIND, such as --as cli`,
    error.details,
  );
}

async function readParams(operation: string, argument: string | undefined): Promise<string> {
  if (operation.endsWith("subscribe")) {
    throw new UsageError(`${shown(operation)} streams; "postern tail" follows events`);
  }
  if (argument === undefined) return "{}";
  const fromStdin = argument === "-";
  if (!fromStdin && /^auth(\.|$)/.test(operation)) {
    throw new UsageError(`${shown(operation)} takes its parameters from stdin only: use -`);
  }
  const text = fromStdin ? await readAllInput() : argument;
  requireObject(text, "the parameters");
  return text;
}
