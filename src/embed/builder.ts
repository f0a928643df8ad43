/**
 * The builder of a daemon in the program's own process. It only collects: nothing happens before `build`.
 *
 * Invariant: a builder does not change; every step gives another one, so that one may be the beginning of several.
 */

import { isAbsolute } from "@std/path/posix";
import { PosternError, shown } from "../core/errors.ts";
import { topicPattern } from "../operations/params.ts";
import { type EmbeddedDaemon, type Plan, startEmbedded } from "./daemon.ts";
import {
  readRecord,
  readRemoteAccess,
  type RecordOptions,
  type RecordSchema,
  type RemoteAccessOptions,
  type ValueOf,
} from "./options.ts";

const NOTHING: Plan = { remote: null, writable: [], directory: null, records: new Map() };

/**
 * Declares what a program's daemon has, step by step. Made by {@linkcode postern}.
 *
 * @example
 * ```ts
 * import { postern, type PosternBuilder } from "@postern/postern/embed";
 *
 * const builder: PosternBuilder = postern().withRemoteAccess({ policy: "read_write" });
 * await using db = await builder.allowWriteTo("config.>").record("config.main").build();
 * await db.record("config.main").set({ level: 3 });
 * ```
 */
export class PosternBuilder<R extends object = Record<never, never>> {
  readonly #plan: Plan;

  /** Use {@linkcode postern}. */
  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /**
   * Opens the records to other processes, over a Unix socket that only this user may use.
   *
   * @param options See {@linkcode RemoteAccessOptions}; without any they may be read by whoever can connect.
   * @returns The next builder.
   * @throws {PosternError} `invalid_params`
   */
  withRemoteAccess(options: RemoteAccessOptions = {}): PosternBuilder<R> {
    return this.#with({ remote: readRemoteAccess(options) });
  }

  /**
   * Opts records in to being set through remote access, where its policy is `read_write`.
   *
   * @param names Names of records, or patterns of names such as `config.>`.
   * @returns The next builder.
   * @throws {PosternError} `invalid_params`
   */
  allowWriteTo(...names: string[]): PosternBuilder<R> {
    for (const name of names) {
      if (topicPattern.safeParse(name).success) continue;
      throw new PosternError(
        "invalid_params",
        `allowWriteTo: must be a record's name or a pattern of names, got ${shown(name)}`,
      );
    }
    return this.#with({ writable: [...this.#plan.writable, ...names] });
  }

  /**
   * Keeps the records in a directory, durably: what is set is on disk when the promise of its set resolves, and is
   * there at the next start. Without this, values are in memory only.
   *
   * @param directory Its absolute path, without a link in it; it is made if it is missing, and must be private (0700).
   * @returns The next builder.
   * @throws {PosternError} `invalid_params` for a path that is not absolute.
   */
  storedIn(directory: string): PosternBuilder<R> {
    if (typeof directory !== "string" || !isAbsolute(directory)) {
      throw new PosternError(
        "invalid_params",
        `storedIn: must be an absolute path, got ${shown(directory)}`,
      );
    }
    return this.#with({ directory });
  }

  /**
   * Declares a record.
   *
   * @param name Dot-separated segments of `[A-Za-z0-9_-]`, at most 256 bytes.
   * @param schemaOrOptions A JSON Schema, a zod schema, or {@linkcode RecordOptions}; any value may be set without one.
   * @returns The next builder.
   * @throws {PosternError} `invalid_params` for a name that is declared already, or a schema without a JSON form.
   */
  record<N extends string, S extends RecordSchema>(
    name: N,
    schemaOrOptions: RecordOptions<S>,
  ): PosternBuilder<R & { readonly [K in N]: ValueOf<S> }>;
  record<N extends string, S extends RecordSchema>(
    name: N,
    schemaOrOptions?: S,
  ): PosternBuilder<R & { readonly [K in N]: ValueOf<S> }>;
  record(name: string, schemaOrOptions: RecordSchema | RecordOptions = true): unknown {
    const { records } = this.#plan;
    if (records.has(name)) {
      throw new PosternError("invalid_params", `record: ${shown(name)} is declared already`);
    }
    const declared = readRecord(name, schemaOrOptions);
    return this.#with({ records: new Map([...records, [name, declared]]) });
  }

  /**
   * Starts the daemon, in this process and without a sandbox. It keeps the process alive until it is closed.
   *
   * @returns The running daemon, with every record that was declared; `await using` closes it.
   * @throws {PosternError} `conflict` when another program listens on the socket or uses the directory, or has defined
   * a record there otherwise; `permission_denied` when the directory is not private, or for names below `aimx` and
   * `postern`; `invalid_params` for a name or schema that is none, or a path that cannot be used; `invalid_request`
   * without Deno KV.
   */
  build(): Promise<EmbeddedDaemon<R>> {
    return startEmbedded<R>(this.#plan);
  }

  // What a step adds to the type, the step itself says.
  // deno-lint-ignore no-explicit-any
  #with(changes: Partial<Plan>): PosternBuilder<any> {
    return new PosternBuilder({ ...this.#plan, ...changes });
  }
}

/**
 * Begins to declare a daemon in this program.
 *
 * @returns A builder with no record and no remote access, which keeps everything in memory.
 *
 * @example
 * ```ts
 * import { postern } from "@postern/postern/embed";
 * import { assert } from "@std/assert";
 * import { z } from "zod";
 *
 * await using db = await postern()
 *   .withRemoteAccess({ policy: "read_write", authToken: crypto.randomUUID() })
 *   .allowWriteTo("ConfigRecord")
 *   .record("ConfigRecord", { type: "object" })
 *   .record("SensorData", z.object({ celsius: z.number() }))
 *   .build();
 * await db.record("SensorData").set({ celsius: 21.5 });
 * const { value } = await db.record("SensorData").get();
 * assert(value.celsius === 21.5);
 * ```
 */
export function postern(): PosternBuilder {
  return new PosternBuilder(NOTHING);
}
