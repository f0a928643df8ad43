/** Which route a request takes: one of the daemon's own, or one that a service declares under `/api/`. */

import { PosternError, shown } from "../../core/errors.ts";
import type { Route } from "./route.ts";
import { SERVICE_ROUTES } from "./service_routes.ts";

/** The routes that services declare now. */
export interface ProvidedRoutes {
  /** `null` where the path leads nowhere by this method. */
  find(method: string, path: string): Route | null;
  /** The methods that a path takes. */
  methodsOf(path: string): readonly string[];
}

/** A route, and what its pattern has named of the path. */
export interface FoundRoute {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** All routes of one server. */
export class RouteTable {
  readonly #own: readonly { readonly route: Route; readonly pattern: URLPattern }[];
  readonly #provided: ProvidedRoutes;

  constructor(own: readonly Route[], provided: ProvidedRoutes) {
    this.#own = own.map((route) => ({ route, pattern: new URLPattern({ pathname: route.path }) }));
    this.#provided = provided;
  }

  /**
   * Finds the route of a request.
   *
   * @throws PosternError `not_found`; `invalid_request` with the methods that the path takes as `allow`.
   */
  find(method: string, path: string): FoundRoute {
    const here = this.#own.flatMap(({ route, pattern }) => {
      const match = pattern.exec({ pathname: path });
      return match === null ? [] : [{ route, params: paramsOf(match) }];
    });
    const found = here.find(({ route }) =>
      route.method === method || (method === "HEAD" && route.method === "GET")
    );
    if (found !== undefined) return found;
    const isOfService = path.startsWith(SERVICE_ROUTES);
    const provided = isOfService ? this.#provided.find(method, path) : null;
    if (provided !== null) return { route: provided, params: {} };
    const methods = isOfService
      ? this.#provided.methodsOf(path)
      : here.map(({ route }) => route.method);
    if (methods.length === 0) {
      throw new PosternError("not_found", `there is nothing at ${shown(path)}`);
    }
    const allow = [...new Set(methods)].join(", ");
    throw new PosternError(
      "invalid_request",
      `${shown(path)} takes ${allow}, got ${shown(method)}`,
      { allow },
    );
  }
}

function paramsOf(match: URLPatternResult): Record<string, string> {
  const groups = Object.entries(match.pathname.groups);
  return Object.fromEntries(groups.map(([name, value]) => [name, value ?? ""]));
}
