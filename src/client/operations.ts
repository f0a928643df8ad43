/**
 * Parameters and results of every operation by its name, taken from the daemon's own registry.
 *
 * Types only: nothing of the registry, and no validator, is loaded with a client. A definition called
 * `EVENT_READ` in the file of its noun is the operation `event.read` here by itself; a new noun is one line in
 * {@linkcode Definitions}. A test compares the names, and which parameters are required, with the registry.
 */

import type * as auth from "../operations/auth.ts";
import type * as consumers from "../operations/consumers.ts";
import type * as events from "../operations/events.ts";
import type { Operation } from "../operations/operation.ts";
import type * as peers from "../operations/peers.ts";
import type * as system from "../operations/system.ts";
import type { Envelope } from "./messages.ts";

type Definitions = typeof auth & typeof consumers & typeof events & typeof peers & typeof system;

/** `EVENT_READ` to `event.read`: the noun ends at the first underscore. */
type NameOf<K> = K extends `${infer Noun}_${infer Verb}` ? `${Lowercase<Noun>}.${Lowercase<Verb>}`
  : never;

/** A definition is handled with its parameters and answers its result. */
// deno-lint-ignore no-explicit-any
type Definition = Operation<any, any>;

type Defined = {
  [K in keyof Definitions as Definitions[K] extends Definition ? NameOf<K> : never]:
    Definitions[K] extends Operation<infer P, infer R> ? { params: P; result: R } : never;
};

/** The operation that describes the table is made from the table, so no definition of it can be looked at. */
interface Described {
  "system.operations": { params: object; result: { operations: OperationDescription[] } };
}

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
export interface OperationDescription {
  readonly name: string;
  readonly summary: string;
  /** What the token must allow; `null` for nothing. */
  readonly scope: string | null;
  /** JSON Schema of the parameters. */
  readonly params: unknown;
  /** JSON Schema of the result. */
  readonly returns: unknown;
}

type Table = Defined & Described;

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
export type OperationName = keyof Table & string;

/** What the daemon fills in where it is left out; the registry's types know the value after that. */
type Defaulted = "after" | "limit" | "replay";

type WithDefaults<P> = Omit<P, Defaulted> & Partial<Pick<P, Extract<keyof P, Defaulted>>>;

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
export type OperationParams<N extends OperationName> = Given<WithDefaults<Table[N]["params"]>>;

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
 * assert(lagOf({ consumers: [] }) === 0);
 * ```
 */
export type OperationResult<N extends OperationName> = Shaped<Table[N]["result"]>;

/** To the registry an envelope is any object that was stored; here it has the fields that a sender gives it. */
type Shaped<T> = T extends { envelope: Record<string, unknown> }
  ? Readonly<Omit<T, "envelope">> & { readonly envelope: Envelope }
  : T extends readonly (infer E)[] ? readonly Shaped<E>[]
  : T extends object ? { readonly [K in keyof T]: Shaped<T[K]> }
  : T;
