/**
 * A command's way to the daemon that its options name.
 *
 * A token comes from a file or from stdin, and never from the command line, which everyone can read.
 */

import { readToken } from "../client/discovery.ts";
import { type Client, connect, findTarget, PosternError, type Target } from "../client/mod.ts";
import type { Context } from "./command.ts";
import { UsageError } from "./exit_codes.ts";
import { readAllInput } from "./input.ts";
import type { Values } from "./values.ts";

/** Runs `use` with a connected client, which is closed whatever happens. */
export async function withClient<T>(
  { values }: Context,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const dir = values.text("dir");
  const consumer = values.text("consumer");
  const token = await tokenFrom(values);
  // What is printed is passed on, and must be what was sent.
  const how = { exactNumbers: true, reconnect: false };
  await using client = await connect({ dir, consumer, ...token, ...how });
  return await use(client);
}

/** The token that --token-file names; nothing for the daemon's own token file. */
export async function tokenFrom(values: Values): Promise<{ readonly token?: string }> {
  const path = values.text("token-file");
  if (path === undefined) return {};
  const token = path === "-" ? (await readAllInput()).trim() : readToken(path);
  if (token === null) {
    throw new PosternError("not_found", `--token-file: there is no file at ${path}`);
  }
  if (token === "") throw new UsageError("--token-file -: stdin brings no token");
  return { token };
}

/** Where the options say the daemon is. */
export function targetOf(values: Values): Target {
  return findTarget({ dir: values.text("dir") });
}
