/**
 * Parameters and results of every operation by its name, taken from the table of the daemon's own registry.
 *
 * Types only: nothing of the registry, and no validator, is loaded with a client.
 */

import type { RequestOptions } from "./exchange.ts";
import type { Operation } from "../operations/operation.ts";
import type { RegisteredOperation } from "../operations/registry.ts";
import type { Envelope } from "./messages.ts";

/** Of each definition what it is asked with and what it answers. */
type Table = {
  [D in RegisteredOperation as D["name"]]: D extends Operation<unknown, infer R, string, infer I>
    ? { params: I; result: R }
    : never;
};

/**
 * One line of what `system.operations` answers.
 *
 * @example
 * ```ts
 * import { connect, type OperationDescription, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const { operations } = await client.call("system.operations");
 * const ping: OperationDescription | undefined = operations.find(({ name }) => name === "system.ping");
 * assert(ping !== undefined && ping.summary !== "");
 * ```
 */
export type OperationDescription = OperationResult<"system.operations">["operations"][number];

/**
 * The name of an operation of this version's daemon.
 *
 * @example
 * ```ts
 * import { connect, type OperationName, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const name: OperationName = "system.ping";
 * assert((await client.call(name)).pong);
 * ```
 */
export type OperationName = keyof Table;

/** What is given is not changed. */
type Given<T> = T extends readonly (infer E)[] ? readonly Given<E>[]
  : T extends object ? { readonly [K in keyof T]: Given<T[K]> }
  : T;

/**
 * What an operation is asked with.
 *
 * @example
 * ```ts
 * import type { OperationParams } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const params: OperationParams<"event.read"> = { after: 0, topics: ["build.>"] };
 * assert(params.limit === undefined);
 * ```
 */
export type OperationParams<N extends OperationName> = Given<Table[N]["params"]>;

/**
 * What an operation answers.
 *
 * @example
 * ```ts
 * import type { OperationResult } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * function lagOf({ consumers }: OperationResult<"consumer.list">): number {
 *   return Math.max(0, ...consumers.map(({ lag }) => lag));
 * }
 * assert(lagOf({ consumers: [], has_more: false }) === 0);
 * ```
 */
export type OperationResult<N extends OperationName> = Shaped<Table[N]["result"]>;

/** To the registry an envelope is any object that was stored; here it has the fields that a sender gives it. */
type Shaped<T> = T extends { envelope: Record<string, unknown> }
  ? Readonly<Omit<T, "envelope">> & { readonly envelope: Envelope }
  : T extends readonly (infer E)[] ? readonly Shaped<E>[]
  : T extends object ? { readonly [K in keyof T]: Shaped<T[K]> }
  : T;

/**
 * Parameters that must be given, or may be left out where an operation needs none.
 *
 * @example
 * ```ts
 * import type { CallArguments } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const nothing: CallArguments<"system.status"> = [];
 * const page: CallArguments<"event.read"> = [{ after: 0 }, { timeoutMs: 5000 }];
 * assert(nothing.length === 0 && page.length === 2);
 * ```
 */
export type CallArguments<N extends OperationName> = Record<never, never> extends OperationParams<N>
  ? [params?: OperationParams<N> | string, options?: RequestOptions]
  : [params: OperationParams<N> | string, options?: RequestOptions];

/**
 * The name of an operation that the types of this version do not know.
 *
 * @example
 * ```ts
 * import type { OtherName } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const later: OtherName<"system.later"> = "system.later";
 * // @ts-expect-error: this version knows the operation, and has its types.
 * const known: OtherName<"system.ping"> = "system.ping";
 * assert(later !== known);
 * ```
 */
export type OtherName<N extends string> = N extends OperationName ? never : N;
