/** The step from a request to a WebSocket (RFC 6455, 4.2). */

import { PosternError, shown } from "../../core/errors.ts";
import { errorResponse } from "./route.ts";

/** The only version there is. */
const VERSION = "13";

/** @throws PosternError `not_found` at `/`, `invalid_request` elsewhere */
export function requireUpgrade({ headers }: Request, { pathname }: URL): void {
  if (headers.get("upgrade")?.toLowerCase() === "websocket") return;
  throw pathname === "/"
    ? new PosternError("not_found", 'there is nothing at "/" but a WebSocket')
    : new PosternError("invalid_request", `${shown(pathname)} takes a WebSocket upgrade`);
}

/** The answer to an upgrade to a version that is not spoken, which must name the one that is. */
export function otherVersion({ headers }: Request): Response | null {
  const given = headers.get("sec-websocket-version");
  if (given === VERSION) return null;
  const refusal = new PosternError(
    "unsupported_version",
    `Sec-WebSocket-Version must be ${VERSION}, got ${given === null ? "none" : shown(given)}`,
    { supported: VERSION },
  );
  const response = errorResponse(refusal);
  response.headers.set("sec-websocket-version", VERSION);
  response.headers.set("upgrade", "websocket");
  return response;
}

/**
 * The WebSocket, which has an `error` also when the client goes before it is open: the platform tells that only by the
 * request's signal, and only whoever asked for the signal before.
 *
 * @throws PosternError `invalid_request`
 */
export function upgraded(request: Request): Deno.WebSocketUpgrade {
  const { signal } = request;
  const upgrade = upgradeOf(request);
  const { socket } = upgrade;
  let isOpen = false;
  socket.addEventListener("open", () => isOpen = true);
  signal.addEventListener("abort", () => {
    if (!isOpen) socket.dispatchEvent(new Event("error"));
  });
  return upgrade;
}

function upgradeOf(request: Request): Deno.WebSocketUpgrade {
  try {
    if (request.signal.aborted) throw new Error("the client is gone");
    return Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  } catch (error) {
    throw new PosternError(
      "invalid_request",
      `this is no WebSocket upgrade: ${(error as Error).message}`,
    );
  }
}
