/**
 * A daemon in the program's own process, with the records that the program declared.
 *
 * Invariants: nobody can connect before every record is there; after `close` no socket, no temporary file and no
 * watch of it is left. It has the program's own rights: there is no sandbox.
 */

import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { PosternError, shown } from "../core/errors.ts";
import { type Config, defaultConfig } from "../daemon/config.ts";
import { type Daemon, startDaemon } from "../daemon/daemon.ts";
import { ConnectionCount } from "../server/connection_count.ts";
import type { RemoteAccess } from "./options.ts";
import { Place } from "./place.ts";
import { EmbeddedRecord } from "./record.ts";

/** The limit on connections is one of the process (AimX, design decision 2), so whatever is built here shares this. */
const openConnections = new ConnectionCount();

/** What a program has declared. */
export interface Plan {
  /** `null` when nobody was to have access from outside. */
  readonly remote: RemoteAccess | null;
  /** Names and patterns of what remote access may set. */
  readonly writable: readonly string[];
  /** Where records are kept; `null` for in memory. */
  readonly directory: string | null;
  /** By name, the other parameters of `record.define`. */
  readonly records: ReadonlyMap<string, object>;
}

/**
 * A running daemon in this program. Made by `build()`.
 *
 * @example
 * ```ts
 * import { type EmbeddedDaemon, postern } from "@postern/postern/embed";
 * import { assert } from "@std/assert";
 *
 * await using db: EmbeddedDaemon<{ door: unknown }> = await postern().record("door").build();
 * await db.record("door").set("open");
 * assert(db.tokenPath.endsWith("/ipc-token"));
 * ```
 */
export class EmbeddedDaemon<R extends object = Record<string, unknown>> implements AsyncDisposable {
  /** Resolves when it is closed, by the program or by an owner's `system.shutdown` on the socket. */
  readonly closed: Promise<void>;
  readonly #place: Place;
  readonly #records: ReadonlyMap<string, EmbeddedRecord>;
  readonly #resolveClosed: () => void;
  #daemon: Daemon | null = null;
  #closing: Promise<void> | null = null;

  /** Use {@linkcode startEmbedded}. */
  constructor(place: Place, records: ReadonlyMap<string, EmbeddedRecord>) {
    this.#place = place;
    this.#records = records;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#resolveClosed = resolve;
  }

  /** Where remote clients connect: a Unix socket that only this user may use. */
  get socketPath(): string {
    return this.#place.socketPath;
  }

  /** The file with the owner's token, which may do everything that the policy lets anybody do. */
  get tokenPath(): string {
    return `${this.#place.directory}/ipc-token`;
  }

  /**
   * A record that was declared, typed by its zod schema.
   *
   * @param name Its name.
   * @returns Its handle, always the same.
   * @throws {PosternError} `not_found`, naming the nearest of those that were.
   */
  record<N extends keyof R & string>(name: N): EmbeddedRecord<R[N]> {
    const record = this.#records.get(name);
    if (record !== undefined) return record as EmbeddedRecord<R[N]>;
    throw new PosternError(
      "not_found",
      `record: this program has declared no record ${shown(name)}${nearest(name, this.#records)}`,
    );
  }

  /** Ends every watch, answers what is in progress, and takes socket and temporary files away. Idempotent. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The daemon runs; for {@linkcode startEmbedded}. */
  runs(daemon: Daemon): this {
    this.#daemon = daemon;
    return this;
  }

  async #close(): Promise<void> {
    for (const record of this.#records.values()) record.end();
    try {
      await this.#daemon?.close();
    } finally {
      await this.#place.release();
      this.#resolveClosed();
    }
  }
}

/**
 * Starts a daemon in this process.
 *
 * @throws PosternError see `build()`
 */
export async function startEmbedded<R extends object>(plan: Plan): Promise<EmbeddedDaemon<R>> {
  if (!("openKv" in Deno)) {
    throw new PosternError(
      "invalid_request",
      'build: the store needs Deno KV: run with --unstable-kv, or put "unstable": ["kv"] into deno.json',
    );
  }
  const { remote } = plan;
  const place = await Place.take({
    directory: plan.directory,
    socketPath: remote?.socketPath ?? null,
  });
  const records = new Map<string, EmbeddedRecord>();
  const embedded = new EmbeddedDaemon<R>(place, records);
  const { directory, socketPath, uid } = place;
  const token = remote?.authToken ?? null;
  const begin = () =>
    startDaemon({
      directory,
      socketPath,
      openConnections,
      config: configOf(plan),
      host: { pid: Deno.pid, hostname: Deno.hostname(), uid },
      ...(token === null ? {} : { remoteToken: { token, scopes: ["read", "write"] } }),
      onShutdown: () => queueMicrotask(() => embedded.close()),
      beforeListening: (daemon) => define(plan, daemon, records),
    });
  try {
    return embedded.runs(await place.listen(begin));
  } catch (error) {
    await embedded.close();
    throw error;
  }
}

/** All at once, so that they are stored together. */
async function define(
  { records, directory }: Plan,
  daemon: Daemon,
  defined: Map<string, EmbeddedRecord>,
): Promise<void> {
  await Promise.all([...records].map(async ([name, others]) => {
    const caller = daemon.caller();
    defined.set(name, new EmbeddedRecord(name, caller));
    await caller.call("record.define", { name, volatile: directory === null, ...others });
    caller.produces(name);
  }));
}

function configOf({ remote, writable }: Plan): Config {
  const defaults = defaultConfig();
  const { policy = "read_only", authToken = null, maxConnections, queueSize } = remote ?? {};
  return {
    ...defaults,
    name: "embedded",
    // Where nobody was to have access, only the owner's token opens the socket.
    require_token: remote === null || authToken !== null,
    // Version 1 of AXON knows no token.
    ipc: { ...defaults.ipc, allow_v1: false },
    // Remote access is AimX's socket and no other.
    http: { ...defaults.http, enabled: false },
    log: { ...defaults.log, audit: false },
    records: {
      policy,
      writable: [...writable],
      queue_size: queueSize ?? defaults.records.queue_size,
    },
    limits: {
      ...defaults.limits,
      max_connections: maxConnections ?? defaults.limits.max_connections,
    },
  };
}

function nearest(name: string, known: ReadonlyMap<string, unknown>): string {
  const text = String(name).slice(0, 256);
  const ranked = [...known.keys()]
    .map((one) => ({ one, steps: levenshteinDistance(text, one) }))
    .sort((a, b) => a.steps - b.steps);
  return ranked.length === 0 ? "; it has none" : `; the nearest is ${shown(ranked[0]!.one)}`;
}
