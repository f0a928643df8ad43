/**
 * From a target to a connection that may be used: connect, hello, token.
 *
 * Hello and token go out together and are answered in order, so opening costs one round trip. Where there
 * is no token file the connection stays without authentication, which a daemon may allow.
 */

import { AXON_VERSION, encodeParams } from "./axon.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { readToken, type Target } from "./discovery.ts";
import { ConnectionError, PosternError, shown } from "./errors.ts";
import type { ClientIdentity } from "./identity.ts";
import type { Welcome } from "./messages.ts";

/** How to open a connection. */
export interface DialOptions extends ConnectionOptions {
  readonly consumer?: string;
  readonly signal?: AbortSignal;
  /** How long the daemon may take to answer the hello. A busy daemon is slow, not dead. */
  readonly timeoutMs?: number;
  /** The token, instead of the one that the target's file holds. */
  readonly token?: string;
  /** Who this client is; without it nobody in particular. */
  readonly identity?: ClientIdentity | null;
  /** False to say hello only. @default {true} */
  readonly authenticate?: boolean;
  /** Whether a missing token file is an error, because there was one before. @default {false} */
  readonly tokenRequired?: boolean;
}

/** An open connection and how the daemon introduced itself on it. */
export interface Opened {
  readonly connection: Connection;
  readonly welcome: Welcome;
  /** Whether a token was shown. */
  readonly authenticated: boolean;
}

/** The default of `timeoutMs`. */
export const HELLO_TIMEOUT_MS = 10_000;
const UNOPENED = "closed because it could not be opened";

/**
 * Connects, negotiates and authenticates.
 *
 * @throws {ConnectionError} `ENOENT`, `ECONNREFUSED`, `EACCES`, `ETIMEDOUT`, `ECONNRESET`, `EPROTO`
 * @throws {PosternError} `auth_failed`, `permission_denied`, `unsupported_version`, `invalid_params`
 */
export async function openConnection(target: Target, options: DialOptions): Promise<Opened> {
  options.signal?.throwIfAborted();
  const token = options.authenticate === false
    ? null
    : options.token ?? readToken(target.tokenPath);
  if (token === null && options.tokenRequired) {
    const rule = "it was there before, and is not now";
    throw new PosternError("auth_failed", `reading the token: "${target.tokenPath}": ${rule}`);
  }
  let connection: Connection | null = null;
  let isGivenUp = false;
  const opening = async (): Promise<Opened> => {
    const socket = await connectSocket(target.socketPath);
    connection = new Connection(socket, options);
    if (isGivenUp) connection.close(UNOPENED);
    const welcome = await introduce(connection, options, token);
    return { connection, welcome, authenticated: token !== null };
  };
  try {
    return await withinTime(opening(), target, options);
  } catch (error) {
    isGivenUp = true;
    (connection as Connection | null)?.close(UNOPENED);
    throw error;
  }
}

async function introduce(
  connection: Connection,
  options: DialOptions,
  token: string | null,
): Promise<Welcome> {
  const { identity } = options;
  const steps = [connection.request("hello", helloOf(options, identity?.clientId()))];
  if (token !== null) steps.push(connection.request("auth", encodeParams("auth", { token })));
  const replies = await Promise.all(steps);
  const minted = fieldOf(replies, "client_id");
  if (identity && minted !== null) {
    const kept = identity.keep(minted);
    if (kept !== minted) replies.push(await connection.request("hello", helloOf(options, kept)));
  }
  return { ...toWelcome(replies[0]), originator: fieldOf(replies, "originator") };
}

function helloOf({ consumer, identity }: DialOptions, clientId: string | null | undefined): string {
  return encodeParams("hello", {
    version: AXON_VERSION,
    ...(consumer === undefined ? {} : { consumer }),
    ...(identity ? { client_kind: identity.kind } : {}),
    ...(clientId ? { client_id: clientId } : {}),
  });
}

/** A text of the last reply that has it: who one is may be said by the greeting, or behind the token. */
function fieldOf(replies: readonly unknown[], name: string): string | null {
  const values = replies.map((reply) => (reply as Record<string, unknown>)[name]);
  return values.findLast((value) => typeof value === "string") as string | undefined ?? null;
}

function toWelcome(greeting: unknown): Omit<Welcome, "originator"> {
  const { version, agent_id, epoch, features } = greeting as Record<string, unknown>;
  if (typeof version !== "number" || version < AXON_VERSION || typeof agent_id !== "string") {
    throw new ConnectionError(
      "EPROTO",
      `greeting the daemon: it must speak AXON ${AXON_VERSION}, it offers ${shown(version)}`,
    );
  }
  return {
    version,
    agent_id,
    epoch: typeof epoch === "string" ? epoch : null,
    features: Array.isArray(features) ? features.map(String) : [],
  };
}

/** The promise's outcome, unless the time is over or the signal comes first. */
async function withinTime<T>(
  promise: Promise<T>,
  target: Target,
  options: DialOptions,
): Promise<T> {
  const limit = options.timeoutMs ?? HELLO_TIMEOUT_MS;
  const given = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const what = `the daemon at "${target.socketPath}" did not answer within ${limit} ms`;
    given.reject(new ConnectionError("ETIMEDOUT", `${what}; it may be busy`));
  }, limit);
  const aborted = () => given.reject(options.signal!.reason);
  options.signal?.addEventListener("abort", aborted, { once: true });
  if (options.signal?.aborted) aborted();
  try {
    return await Promise.race([promise, given.promise]);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", aborted);
    promise.catch(() => {});
  }
}

async function connectSocket(path: string): Promise<Deno.UnixConn> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (cause) {
    throw toConnectionError(cause, path);
  }
}

function toConnectionError(cause: unknown, path: string): ConnectionError {
  const where = `connecting to "${path}"`;
  if (cause instanceof Deno.errors.NotFound) {
    return new ConnectionError("ENOENT", `${where}: there is no such socket`, { cause });
  }
  if (cause instanceof Deno.errors.ConnectionRefused) {
    return new ConnectionError("ECONNREFUSED", `${where}: nobody listens there`, { cause });
  }
  const message = cause instanceof Error ? cause.message : String(cause);
  // A daemon whose directory is too long for a socket listens elsewhere, and has said so if it runs.
  const code = /SUN_LEN|Not a directory/.test(message) ? "ENOENT" : "EACCES";
  return new ConnectionError(code, `${where}: ${message}`, { cause });
}
