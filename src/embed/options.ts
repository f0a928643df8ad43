/** What a program says of its records and of remote access to them, and whether it may be said. */

import { z } from "zod";
import { PosternError, shown } from "../core/errors.ts";
import { invalidParams } from "../operations/params.ts";

/**
 * A JSON Schema (2020-12).
 *
 * @example
 * ```ts
 * import { type JsonSchema, postern } from "@postern/postern/embed";
 *
 * const schema: JsonSchema = { type: "number", minimum: -273.15 };
 * await using db = await postern().record("temperature", schema).build();
 * await db.record("temperature").set(21.5);
 * ```
 */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/**
 * What values of a record match: a JSON Schema, or a zod schema, which types the record as well. Of a zod schema its
 * JSON Schema holds; what that cannot say, such as a refinement, is not checked.
 *
 * @example
 * ```ts
 * import { postern, type RecordSchema } from "@postern/postern/embed";
 * import { z } from "zod";
 *
 * const schemas: RecordSchema[] = [{ type: "integer" }, z.object({ celsius: z.number() }), true];
 * await using db = await postern().record("sensor", schemas[1]).build();
 * await db.record("sensor").set({ celsius: 21.5 });
 * ```
 */
export type RecordSchema = JsonSchema | z.core.$ZodType;

/**
 * What a record is, where its schema does not say all of it.
 *
 * @example
 * ```ts
 * import { postern, type RecordOptions } from "@postern/postern/embed";
 * import { assert } from "@std/assert";
 *
 * const options: RecordOptions = { bufferType: "spmc_ring", capacity: 2 };
 * await using db = await postern().record("log", options).build();
 * for (const line of ["a", "b", "c"]) await db.record("log").set(line);
 * assert((await db.record("log").history()).map(({ value }) => value).join() === "b,c");
 * ```
 */
export interface RecordOptions<S extends RecordSchema = RecordSchema> {
  /** @default {true}, any value */
  readonly schema?: S;
  /**
   * `single_latest` keeps the latest value, `spmc_ring` the last `capacity`, `mailbox` one until a watcher takes it.
   *
   * @default {"single_latest"}
   */
  readonly bufferType?: "single_latest" | "spmc_ring" | "mailbox";
  /** Values of an `spmc_ring`, 1 to 10,000. @default {100} */
  readonly capacity?: number;
}

/**
 * The type of what a schema lets be set; `unknown` for a JSON Schema.
 *
 * @example
 * ```ts
 * import type { ValueOf } from "@postern/postern/embed";
 * import { z } from "zod";
 *
 * const schema = z.object({ celsius: z.number() });
 * const value: ValueOf<typeof schema> = { celsius: 21.5 };
 * schema.parse(value);
 * ```
 */
export type ValueOf<S> = S extends z.core.$ZodType ? z.input<S> : unknown;

/**
 * Remote access to the records of a program.
 *
 * @example
 * ```ts
 * import { postern, type RemoteAccessOptions } from "@postern/postern/embed";
 * import { assert } from "@std/assert";
 *
 * const options: RemoteAccessOptions = { policy: "read_write", authToken: crypto.randomUUID() };
 * await using db = await postern().withRemoteAccess(options).build();
 * assert(db.socketPath.endsWith("/postern.sock"));
 * ```
 */
export interface RemoteAccessOptions {
  /**
   * Absolute path of the Unix socket; its directory must exist. A socket that nobody listens on is replaced.
   *
   * @default `postern.sock` in the directory of the files
   */
  readonly socketPath?: string;
  /** With `read_write` remote clients may set the records of `allowWriteTo`, if their token lets them. @default {"read_only"} */
  readonly policy?: "read_only" | "read_write";
  /** Then a client must show it, and may write as far as the policy goes. @default none, and everybody may read */
  readonly authToken?: string;
  /** Connections at once, of all that were built in this process together: 1 to 1,000,000. @default {16} */
  readonly maxConnections?: number;
  /** Updates that may wait for a reader that names no other number: 1 to 100,000. @default {100} */
  readonly queueSize?: number;
}

/** Remote access with every default filled in; `null` for none of what has no default. */
export interface RemoteAccess {
  readonly socketPath: string | null;
  readonly policy: "read_only" | "read_write";
  readonly authToken: string | null;
  readonly maxConnections: number;
  readonly queueSize: number;
}

const remoteAccess = z.strictObject({
  socketPath: z.string().nullable().default(null),
  policy: z.enum(["read_only", "read_write"]).default("read_only"),
  authToken: z.unknown().optional(),
  maxConnections: z.int().min(1).max(1_000_000).default(16),
  queueSize: z.int().min(1).max(100_000).default(100),
});

const recordOptions = z.strictObject({
  schema: z.unknown().optional(),
  bufferType: z.enum(["single_latest", "spmc_ring", "mailbox"]).optional(),
  capacity: z.int().optional(),
});

const MAX_TOKEN_CHARS = 1024;

/** What remote access is without a word about it. */
export const NO_REMOTE_ACCESS: RemoteAccess = readRemoteAccess({});

/** @throws PosternError `invalid_params` */
export function readRemoteAccess(options: RemoteAccessOptions): RemoteAccess {
  const parsed = remoteAccess.safeParse(options, { reportInput: true });
  if (!parsed.success) throw invalidParams("withRemoteAccess", parsed.error);
  return { ...parsed.data, authToken: readToken(parsed.data.authToken) };
}

/** The parameters of `record.define` that a program's words come to, but for the name. @throws PosternError `invalid_params` */
export function readRecord(name: string, given: RecordSchema | RecordOptions): object {
  if (!isOptions(given)) return { schema: jsonSchemaOf(name, given) };
  const parsed = recordOptions.safeParse(given, { reportInput: true });
  if (!parsed.success) throw invalidParams(`record(${shown(name)})`, parsed.error);
  const { schema, bufferType, capacity } = parsed.data;
  return {
    ...(schema === undefined ? {} : { schema: jsonSchemaOf(name, schema as RecordSchema) }),
    ...(bufferType === undefined ? {} : { buffer_type: bufferType }),
    ...(capacity === undefined ? {} : { capacity }),
  };
}

/** None of these is a keyword of JSON Schema. */
function isOptions(given: RecordSchema | RecordOptions): given is RecordOptions {
  if (typeof given !== "object" || given === null || isZod(given)) return false;
  return ["schema", "bufferType", "capacity"].some((name) => Object.hasOwn(given, name));
}

function isZod(schema: object): schema is z.core.$ZodType {
  return "_zod" in schema;
}

function jsonSchemaOf(name: string, schema: RecordSchema): unknown {
  if (typeof schema !== "object" || schema === null || !isZod(schema)) return schema;
  try {
    // What is set is what goes in, before zod would change anything.
    return JSON.parse(JSON.stringify(z.toJSONSchema(schema, { io: "input" })));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PosternError(
      "invalid_params",
      `record(${shown(name)}): schema: has no JSON Schema: ${why.slice(0, 256)}`,
      { field: "schema" },
    );
  }
}

/** Whatever is wrong with it, it is not repeated. */
function readToken(token: unknown): string | null {
  if (token === undefined) return null;
  const isToken = typeof token === "string" && token.length > 0 &&
    token.length <= MAX_TOKEN_CHARS && token === token.trim();
  if (isToken) return token;
  throw new PosternError(
    "invalid_params",
    `withRemoteAccess: authToken: must be 1 to ${MAX_TOKEN_CHARS} characters without white space around them, ` +
      "got another value",
    { field: "authToken" },
  );
}
