/** What an HTTP request is answered with, and by whom: the parts of the table of routes. */

import { HTTP_STATUS } from "../../codecs/http_status.ts";
import type { PosternError } from "../../core/errors.ts";
import type { TokenAnswers } from "./answers.ts";
import type { HttpCaller } from "./http_caller.ts";

/** One request on its way through the routes. */
export interface Exchange {
  readonly request: Request;
  readonly url: URL;
  /** What the pattern of the path has named. */
  readonly params: Readonly<Record<string, string>>;
  /** Who asks; may do nothing yet but what needs no token. */
  readonly caller: HttpCaller;
  /** For a body that may be long. */
  readonly answers: TokenAnswers;
}

/** One line of the table. */
export interface Route {
  readonly method: string;
  readonly path: string;
  /** Set where it tells how the daemon is, in the same turn: it takes no place of a request. */
  readonly isHealth?: true;
  handle(exchange: Exchange): Response | Promise<Response>;
}

export const JSON_HEADERS = { "content-type": "application/json" };

/** A value as the body of an answer. */
export function jsonResponse(value: unknown, status = 200): Response {
  return new Response(`${JSON.stringify(value)}\n`, { status, headers: JSON_HEADERS });
}

/** What a refusal says beside its body, in JSON-RPC or not. */
export function withErrorHeaders(
  response: Response,
  { code, details }: PosternError,
): Response {
  if (code === "auth_required") response.headers.set("www-authenticate", "Bearer");
  const retryMs = details?.retry_after_ms;
  if (typeof retryMs === "number") {
    response.headers.set("retry-after", String(Math.ceil(retryMs / 1000)));
  }
  return response;
}

/** A refusal outside of JSON-RPC. */
export function errorResponse(refusal: PosternError, status?: number): Response {
  const { code, message, details } = refusal;
  const body = { error: { ...details, code, message } };
  return withErrorHeaders(jsonResponse(body, status ?? HTTP_STATUS[code]), refusal);
}
