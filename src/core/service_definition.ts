/** What a provider offers under one name, and when two of them offer the same. */

import { PosternError, shown } from "./errors.ts";
import { type Route, routeKey } from "./routes.ts";

/** One method, as its provider declares it. */
export interface ServiceMethod {
  readonly name: string;
  /** JSON Schema of its parameters, as text; `null` for any. Opaque here. */
  readonly schema: string | null;
}

/** What a provider offers. */
export interface ServiceDefinition {
  readonly name: string;
  readonly methods: readonly ServiceMethod[];
  readonly routes: readonly Route[];
}

/**
 * Requires that a second provider offers what the first does; schemas are compared to the letter.
 *
 * @throws PosternError `conflict`
 */
export function requireSame(known: ServiceDefinition, given: ServiceDefinition): void {
  const same = equal(known.methods.map(methodKey), given.methods.map(methodKey)) &&
    equal(known.routes.map(offerKey), given.routes.map(offerKey));
  if (same) return;
  throw new PosternError(
    "conflict",
    `service.register: ${shown(given.name)} is provided already, with other methods or routes`,
    { field: "methods" },
  );
}

function methodKey({ name, schema }: ServiceMethod): string {
  return `${name} ${schema}`;
}

function offerKey(route: Route): string {
  return `${routeKey(route)} ${route.path} ${route.call}`;
}

function equal(a: readonly string[], b: readonly string[]): boolean {
  const [first, second] = [a.toSorted(), b.toSorted()];
  return first.length === second.length && first.every((one, i) => one === second[i]);
}
