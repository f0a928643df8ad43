/**
 * Routes that services declare, below `/api/`: a request is a call of one of their methods.
 *
 * Path, query and body become the call's parameters; where two of them have the same name, the path's is taken before
 * the query's and that before the body's. What the method answers is the body of the answer.
 */

import { encodeJson, isObject, parseMessage } from "../../codecs/json.ts";
import { PosternError, shown } from "../../core/errors.ts";
import type { RouteMatch } from "../../core/routes.ts";
import { Ticket } from "../../core/ticket.ts";
import type { Services } from "../../operations/operation.ts";
import { invoke } from "../../operations/registry.ts";
import type { RequestBodies } from "./request_body.ts";
import { type Exchange, type Route } from "./route.ts";

/** Where every route of a service begins. */
export const SERVICE_ROUTES = "/api/";

/** The route that a request leads to, as one of the table. */
export function serviceRoute(
  match: RouteMatch,
  { services, bodies, maxBytes }: {
    readonly services: Services;
    readonly bodies: RequestBodies;
    readonly maxBytes: number;
  },
): Route {
  const { service, route } = match;
  const answer = async (
    exchange: Exchange,
    body: string,
    signal: AbortSignal,
  ): Promise<Response> => {
    const params = paramsOf(match, exchange.url, body);
    const called = invoke({
      operation: "service.call",
      params: { service, method: route.call, params },
      opened: false,
    }, { services, caller: exchange.caller });
    const ended = new Promise<never>((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason))
    );
    const answered = called instanceof Ticket ? called.promise() : called;
    // The call of whoever has gone is cancelled with the request.
    const result = await Promise.race([answered, ended]);
    return exchange.answers.respond(`${encodeJson(result ?? null)}\n`);
  };
  return {
    method: route.method,
    path: route.path,
    handle: (exchange) =>
      bodies.use(exchange, maxBytes, (body, signal) => answer(exchange, body, signal)),
  };
}

function paramsOf({ params }: RouteMatch, url: URL, body: string): Record<string, unknown> {
  const given = body.trim() === "" ? {} : parseMessage(body);
  if (!isObject(given)) {
    throw new PosternError("invalid_request", "the body must be a JSON object, or empty");
  }
  const inPath = [...params].map(([name, text]) => [name, decoded(name, text)]);
  return { ...given, ...Object.fromEntries(url.searchParams), ...Object.fromEntries(inPath) };
}

/** A segment of a path says by percent signs what it cannot hold. */
function decoded(name: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new PosternError(
      "invalid_params",
      `${name}: in the path it must be percent-encoded UTF-8, got ${shown(text)}`,
      { field: name },
    );
  }
}
