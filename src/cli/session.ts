/**
 * A command's way to the daemon that its options name.
 *
 * A token comes from a file or from stdin, and never from the command line, which everyone can read. The client
 * library is loaded when there is something to ask: the daemon's own command needs none of it.
 */

import { dirname } from "@std/path/posix";
import { findTarget, readToken, type Target } from "../client/discovery.ts";
import { PosternError } from "../client/errors.ts";
import { whyNoKind } from "../client/identity.ts";
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
  const open = path === "-" ? null : whyOthersReach(path ?? targetOf(values).tokenPath);
  if (open !== null) await out.warn(open);
  if (path === undefined) return {};
  const token = path === "-" ? (await readAllInput()).trim() : readToken(path);
  if (token === null) {
    throw new PosternError("not_found", `--token-file: there is no file at ${path}`);
  }
  if (token === "") throw new UsageError("--token-file -: stdin brings no token");
  return { token };
}

/** What to warn of: a token file that others than its owner can reach, and may read or write. */
function whyOthersReach(path: string): string | null {
  try {
    const mode = Deno.statSync(path).mode ?? 0;
    const rights = [["read", 0o044], ["write", 0o022]] as const;
    const given = rights.filter(([, bits]) => (mode & bits) !== 0).map(([name]) => name);
    if (given.length === 0 || isShutIn(Deno.realPathSync(path))) return null;
    return `the token file "${path}": others may ${given.join(" and ")} it (mode ${
      octal(mode)
    }); ` +
      "give it mode 0600, or put it in a directory with mode 0700";
  } catch {
    // Whoever reads it says what is wrong with it.
    return null;
  }
}

/** Whether a directory above lets nobody through but its owner, as the daemon's does. */
function isShutIn(path: string): boolean {
  const above = dirname(path);
  if (((Deno.statSync(above).mode ?? 0) & 0o011) === 0) return true;
  return above !== path && isShutIn(above);
}

function octal(mode: number): string {
  return `0${(mode & 0o777).toString(8).padStart(3, "0")}`;
}

/** Where the options say the daemon is. */
export function targetOf(values: Values): Target {
  return findTarget({ dir: values.text("dir") });
}
