/**
 * One request over the daemon's HTTP socket, for what only that socket has.
 *
 * The socket lies beside the other one, wherever that is; the token comes from where every command takes it.
 */

import { dirname, join } from "@std/path/posix";
import { readToken } from "../client/discovery.ts";
import type { Target } from "../client/discovery.ts";
import { ConnectionError, type ErrorCode, PosternError } from "../client/errors.ts";
import { answers } from "../daemon/socket_path.ts";
import type { Context } from "./command.ts";
import { targetOf, tokenFrom } from "./session.ts";

/** What is asked for. */
export interface HttpRequest {
  readonly method?: "GET" | "POST";
  readonly body?: ReadableStream<Uint8Array>;
}

/**
 * Asks, and hands the answer to `use`; the connection ends with that.
 *
 * @param path Such as `/metrics`.
 * @throws {ConnectionError} `ENOENT`, `ECONNREFUSED`, `EACCES` when it cannot be reached.
 * @throws {PosternError} What the daemon refuses with; `service_unavailable` when it serves no HTTP.
 */
export async function withHttp<T>(
  context: Pick<Context, "values" | "out">,
  path: string,
  use: (response: Response) => Promise<T>,
  request: HttpRequest = {},
): Promise<T> {
  const target = targetOf(context.values);
  const token = (await tokenFrom(context)).token ?? readToken(target.tokenPath);
  const socket = join(dirname(target.socketPath), "http.sock");
  await requireSocket(socket, target);
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  const headers = token === null ? undefined : { authorization: `Bearer ${token}` };
  let response: Response;
  try {
    response = await fetch(`http://localhost${path}`, { ...request, headers, client });
  } catch (cause) {
    throw new ConnectionError("ECONNRESET", `asking ${socket}: ${messageOf(cause)}`, { cause });
  }
  if (response.ok) return await use(response);
  throw await refusalIn(response);
}

/** Says which of the ways to fail it is, before anything is sent. */
async function requireSocket(socket: string, target: Target): Promise<void> {
  try {
    (await Deno.connect({ transport: "unix", path: socket })).close();
  } catch (cause) {
    if (
      cause instanceof Deno.errors.NotFound && await answers(target.socketPath).catch(() => false)
    ) {
      throw new PosternError(
        "service_unavailable",
        `the daemon serves no HTTP here: there is no ${socket} (http.enabled is off)`,
      );
    }
    const code = cause instanceof Deno.errors.NotFound
      ? "ENOENT"
      : cause instanceof Deno.errors.ConnectionRefused
      ? "ECONNREFUSED"
      : "EACCES";
    throw new ConnectionError(code, `connecting to "${socket}": ${messageOf(cause)}`, { cause });
  }
}

async function refusalIn(response: Response): Promise<PosternError> {
  const text = await response.text();
  try {
    const { code, message } = JSON.parse(text).error as { code: ErrorCode; message: string };
    return new PosternError(code, message);
  } catch {
    return new PosternError("internal", `the daemon answered ${response.status}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
