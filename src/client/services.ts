/** What a program says of a service that it provides: its methods, their schemas, and what they are given. */

import type { Caller } from "./caller.ts";
import type { RequestOptions } from "./exchange.ts";

/**
 * A schema of any library that follows Standard Schema, such as zod: it checks a value, types it, and tells its JSON
 * Schema where it can.
 *
 * @example
 * ```ts
 * import type { StandardSchema } from "@postern/postern/client";
 * import { z } from "zod";
 * import { assert } from "@std/assert";
 *
 * const schema: StandardSchema<{ a: number }, { a: number }> = z.object({ a: z.number() });
 * assert(schema["~standard"].vendor === "zod");
 * ```
 */
export interface StandardSchema<In = unknown, Out = In> {
  readonly "~standard": {
    readonly vendor: string;
    readonly validate: (value: unknown) => Checked<Out> | Promise<Checked<Out>>;
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
    readonly jsonSchema?: {
      readonly input: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
    };
  };
}

/**
 * What a schema finds: the value as it is from now on, or what is wrong with it.
 *
 * @example
 * ```ts
 * import type { Checked } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const found: Checked<number> = { issues: [{ message: "expected number", path: ["a"] }] };
 * assert(found.issues !== undefined);
 * ```
 */
export type Checked<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] };

/**
 * One thing that is wrong with a value, and where.
 *
 * @example
 * ```ts
 * import type { Issue } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const issue: Issue = { message: "expected number", path: ["a"] };
 * assert(issue.path?.length === 1);
 * ```
 */
export interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * A call as its handler sees it.
 *
 * @example
 * ```ts
 * import { connect, type IncomingCall, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * function who(_params: unknown, { caller }: IncomingCall): string | null {
 *   return caller.originator;
 * }
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory, clientKind: "editor" });
 * await using _service = await client.provide("who", { asks: { handler: who } });
 * assert(await client.call("service.call", { service: "who", method: "asks" }) === client.originator);
 * ```
 */
export interface IncomingCall {
  /** `service.method` */
  readonly method: string;
  /** Who calls, as the daemon knows it: a public name, and what its token allows. */
  readonly caller: { readonly originator: string | null; readonly scopes: readonly string[] };
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Asks the daemon on the providing connection: there one may act in the name of whoever calls. */
  readonly daemon: Caller;
}

/**
 * The methods of a service by their names: `params` and `result` check and type what `handler` takes and answers.
 *
 * @example
 * ```ts
 * import type { ServiceMethods } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const methods: ServiceMethods<{ echo: unknown }, { echo: unknown }> = {
 *   echo: { handler: (params) => params },
 * };
 * assert("echo" in methods);
 * ```
 */
export type ServiceMethods<P, R> =
  & {
    readonly [K in keyof P]: {
      /** What parameters must match; the daemon checks them by its JSON Schema, and this program by all of it. */
      readonly params?: StandardSchema<unknown, P[K]>;
      handler(params: P[K], call: IncomingCall): unknown;
    };
  }
  & {
    readonly [K in keyof R]: {
      /** What the result must match; what does not is `internal`, and is said here. */
      readonly result?: StandardSchema<R[K], unknown>;
      handler(params: never, call: IncomingCall): NoInfer<R[K]> | Promise<NoInfer<R[K]>>;
    };
  };

/**
 * How to provide a service. `timeoutMs` and `signal` are for its beginning.
 *
 * @example
 * ```ts
 * import { connect, type ProvideOptions, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const options: ProvideOptions = {
 *   routes: [{ method: "GET", path: "/api/hello/:name", call: "greet" }],
 *   maxConcurrent: 4,
 * };
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const greet = { handler: ({ name }: { name: string }) => `hello ${name}` };
 * await using _service = await client.provide("hello", { greet }, options);
 * const { services } = await client.call("service.list");
 * assert(services[0]?.routes.length === 1);
 * ```
 */
export interface ProvideOptions extends RequestOptions {
  /** Requests over HTTP that are calls of it: below `/api/`, where `:name` is a parameter. */
  readonly routes?: readonly {
    readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
    readonly path: string;
    readonly call: string;
  }[];
  /** Calls that are taken at once; others wait at the daemon. @default {16} */
  readonly maxConcurrent?: number;
}

/** One method, whatever its types. */
export interface AnyMethod {
  readonly params?: StandardSchema<unknown, unknown>;
  readonly result?: StandardSchema<unknown, unknown>;
  handler(params: never, call: IncomingCall): unknown;
}
