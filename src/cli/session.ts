/**
 * A command's way to the daemon that its options name.
 *
 * A token comes from a file or from stdin, and never from the command line, which everyone can read. The client
 * library is loaded when there is something to ask: the daemon's own command needs none of it.
 */

import { readToken } from "../client/discovery.ts";
import { findTarget, type Target } from "../client/discovery.ts";
import { PosternError } from "../client/errors.ts";
import { whyNoKind } from "../client/identity.ts";
import type { Client, ConnectOptions } from "../client/mod.ts";
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
  const { connect } = await import("../client/mod.ts");
  await using client = await connect({ dir, consumer, ...token, ...how });
  return await use(client);
}

/**
 * The same as a client that has a public name, which goes on after the loss of a connection.
 *
 * Everything of one kind has one identity: what one program asks, another of that kind may answer.
 *
 * @param how `onNotice` is told when the connection is lost and when there is one again; `signal` gives up connecting.
 */
export async function withIdentity<T>(
  { values }: Context,
  how: Pick<ConnectOptions, "onNotice" | "signal">,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const clientKind = values.text("as") ?? "cli";
  requireKind(clientKind);
  const dir = values.text("dir");
  const token = await tokenFrom(values);
  const usual = { clientKind, exactNumbers: true, reconnect: { maxDelayMs: 1000 } };
  const { connect } = await import("../client/mod.ts");
  await using client = await connect({ dir, ...token, ...usual, ...how });
  return await use(client);
}

/** @throws {UsageError} for what --as gives and is no kind of client. */
export function requireKind(kind: string): void {
  const wrong = whyNoKind(kind);
  if (wrong !== null) throw new UsageError(`--as: ${wrong}`);
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
