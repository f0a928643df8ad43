/** A command's way to the daemon that its options name. */

import { type Client, connect, findTarget, type Target } from "../client/mod.ts";
import type { Context } from "./command.ts";
import type { Values } from "./values.ts";

/** Runs `use` with a connected client, which is closed whatever happens. */
export async function withClient<T>(
  { values }: Context,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const dir = values.text("dir");
  const consumer = values.text("consumer");
  // What is printed is passed on, and must be what was sent.
  await using client = await connect({ dir, consumer, exactNumbers: true, reconnect: false });
  return await use(client);
}

/** Where the options say the daemon is. */
export function targetOf(values: Values): Target {
  return findTarget({ dir: values.text("dir") });
}
