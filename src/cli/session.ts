/**
 * A command's way to the daemon that its options name.
 *
 * A token comes from a file or from stdin, and never from the command line, which everyone can read. The client
 * library is loaded when there is something to ask: the daemon's own command needs none of it.
 */

import { findTarget, isInside, readToken, type Target } from "../client/discovery.ts";
import { PosternError } from "../client/errors.ts";
import { whyNoKind, whyNotPrivate } from "../client/identity.ts";
import type { Client, ConnectOptions } from "../client/mod.ts";
import type { Context } from "./command.ts";
import { UsageError } from "./exit_codes.ts";
import { readAllInput } from "./input.ts";
import type { Values } from "./values.ts";

/** Runs `use` with a connected client, which is closed whatever happens. */
export async function withClient<T>(
  context: Context,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const { values } = context;
  const dir = values.text("dir");
  const consumer = values.text("consumer");
  const token = await tokenFrom(context);
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
  context: Context,
  how: Pick<ConnectOptions, "onNotice" | "signal">,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const { values } = context;
  const clientKind = values.text("as") ?? "cli";
  requireKind(clientKind);
  const dir = values.text("dir");
  const token = await tokenFrom(context);
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

/** The token that --token-file names; nothing for the one that the environment or the daemon names. */
export async function tokenFrom(
  { values, out }: Pick<Context, "values" | "out">,
): Promise<{ readonly token?: string }> {
  const path = values.text("token-file");
  const target = targetOf(values);
  const open = path === "-" ? null : whyOthersRead(path ?? target.tokenPath, target);
  if (open !== null) await out.warn(open);
  if (path === undefined) return {};
  const token = path === "-" ? (await readAllInput()).trim() : readToken(path);
  if (token === null) {
    throw new PosternError("not_found", `--token-file: there is no file at ${path}`);
  }
  if (token === "") throw new UsageError("--token-file -: stdin brings no token");
  return { token };
}

/** What to warn of: a token file outside of the daemon's directory, which is private, that is not for its owner only. */
function whyOthersRead(path: string, { directory }: Target): string | null {
  try {
    const wrong = whyNotPrivate(Deno.statSync(path).mode);
    if (wrong === null) return null;
    const isHidden = isInside(Deno.realPathSync(directory), Deno.realPathSync(path));
    return isHidden ? null : `the token file "${path}" ${wrong}`;
  } catch {
    // Whoever reads it says what is wrong with it.
    return null;
  }
}

/** Where the options say the daemon is. */
export function targetOf(values: Values): Target {
  return findTarget({ dir: values.text("dir") });
}
