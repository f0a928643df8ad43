/**
 * Paths below `/api/` and the methods of services that they lead to.
 *
 * Invariant: no two routes are the same, parameters' names aside; where several fit a path, the one whose first
 * difference is a literal segment is taken. Bounded by whoever adds routes.
 */

import { shown } from "./errors.ts";

export const HTTP_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/** One request over HTTP that is a call. */
export interface Route {
  readonly method: typeof HTTP_METHODS[number];
  /** `/api/` and segments; `:name` stands for any one, which becomes the parameter of that name. */
  readonly path: string;
  /** The service's method. */
  readonly call: string;
}

/** Where a path leads. */
export interface RouteMatch {
  readonly service: string;
  readonly route: Route;
  /** What stands in the place of the path's parameters, as it is there. */
  readonly params: ReadonlyMap<string, string>;
}

const MAX_PATH = 256;
const SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._~-]+$/;
const PARAMETER = /^:[A-Za-z_][A-Za-z0-9_]{0,63}$/;

interface Known {
  readonly service: string;
  readonly route: Route;
  readonly segments: readonly string[];
}

/** What is wrong with a route's path, or `null`. */
export function pathFault(path: string): string | null {
  if (path.length > MAX_PATH) return `must be at most ${MAX_PATH} characters`;
  const [root, api, ...segments] = path.split("/");
  if (root !== "" || api !== "api" || segments.length === 0) return `must begin with "/api/"`;
  const parameters = segments.filter((segment) => segment.startsWith(":"));
  if (new Set(parameters).size < parameters.length) return "must name each parameter once";
  const wrong = segments.find((segment) => !SEGMENT.test(segment) && !PARAMETER.test(segment));
  if (wrong === undefined) return null;
  return `must have segments of [A-Za-z0-9._~-] or :parameter, not ${shown(wrong)}`;
}

/** What a route is known by: the same for paths that differ in the names of parameters only. */
export function routeKey({ method, path }: Route): string {
  return `${method} ${path.replace(/:[^/]+/g, ":")}`;
}

/** All routes of one daemon. */
export class Routes {
  readonly #known = new Map<string, Known>();

  /** The service that has this route, or `undefined`. */
  ownerOf(route: Route): string | undefined {
    return this.#known.get(routeKey(route))?.service;
  }

  /** Adds routes that nobody has. */
  add(service: string, routes: readonly Route[]): void {
    for (const route of routes) {
      this.#known.set(routeKey(route), { service, route, segments: route.path.split("/") });
    }
  }

  remove(routes: readonly Route[]): void {
    for (const route of routes) this.#known.delete(routeKey(route));
  }

  /** The HTTP methods that a path takes; none where no route fits it. */
  methodsOf(path: string): string[] {
    return [...new Set(this.#fitting(path).map(({ route }) => route.method))];
  }

  /** Where a request leads, or `null`. */
  find(method: string, path: string): RouteMatch | null {
    const fitting = this.#fitting(path).filter(({ route }) => route.method === method);
    const best = fitting.sort((a, b) => literalsFirst(a.segments, b.segments))[0];
    if (best === undefined) return null;
    const given = path.split("/");
    const params = new Map(
      best.segments.flatMap((segment, i) =>
        segment.startsWith(":") ? [[segment.slice(1), given[i]!] as const] : []
      ),
    );
    return { service: best.service, route: best.route, params };
  }

  #fitting(path: string): Known[] {
    const given = path.split("/");
    return [...this.#known.values()].filter(({ segments }) =>
      segments.length === given.length &&
      segments.every((segment, i) =>
        segment.startsWith(":") ? given[i] !== "" : segment === given[i]
      )
    );
  }
}

function literalsFirst(a: readonly string[], b: readonly string[]): number {
  const i = a.findIndex((segment, i) => segment.startsWith(":") !== b[i]!.startsWith(":"));
  if (i < 0) return 0;
  return a[i]!.startsWith(":") ? 1 : -1;
}
