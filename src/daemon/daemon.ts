/**
 * One daemon, put together: store, core, operations, server.
 *
 * It runs in the sandboxed Worker, and directly in a test's own process. Invariants: the socket is listened
 * on only after the store is open and recovered; daemon.json is written after that; on close everything that
 * was answered is on disk before the socket goes away.
 */

import { join } from "@std/path";
import { Consumers } from "../core/consumers.ts";
import { EventLog } from "../core/log.ts";
import type { Log, LogStore } from "../core/ports.ts";
import { type RemoteToken, Tokens } from "../core/principal.ts";
import { RecordPolicy } from "../core/record_policy.ts";
import { Records } from "../core/records.ts";
import { VERSION } from "../core/version.ts";
import type { Identity, Limits, Services } from "../operations/operation.ts";
import type { ServerLimits } from "../server/context.ts";
import { findOperation } from "../operations/registry.ts";
import type { ConnectionCount } from "../server/connection_count.ts";
import { Server } from "../server/server.ts";
import { openKvStore } from "../store/kv_store.ts";
import { type Config, defaultConfig } from "./config.ts";
import { changedKeys, keysWithoutEffect } from "./config_changes.ts";
import { removeDiscovery, writeDiscovery } from "./discovery.ts";
import { openHeadHint } from "./head_hint.ts";
import { loadOrCreateIdentity } from "./identity.ts";
import { LocalCaller } from "./local_caller.ts";
import { keepMetricsRecord } from "./metrics_record.ts";
import { NO_PEERS } from "./no_peers.ts";
import { prepareStoreFiles } from "./store_files.ts";
import { loadOrCreateToken } from "./token.ts";

/** What a sandboxed process cannot ask the machine. */
export interface HostFacts {
  readonly pid: number;
  readonly hostname: string;
  readonly uid: number | null;
}

export interface DaemonOptions {
  /** Absolute path of the runtime directory, prepared: there, ours, 0700. */
  readonly directory: string;
  /** @default `<directory>/postern.sock` */
  readonly socketPath?: string;
  /** @default {@linkcode defaultConfig} */
  readonly config?: Config;
  readonly host?: HostFacts;
  readonly mode?: "foreground" | "background";
  /** @default a log that says nothing */
  readonly log?: Log;
  /** Called when a client asks the daemon to stop; the default stops it. */
  readonly onShutdown?: (reason: string) => void;
  /** A token beside the owner's, for remote access. */
  readonly remoteToken?: RemoteToken;
  /** Shared with other daemons of the process, so that `limits.max_connections` holds for all. @default its own */
  readonly openConnections?: ConnectionCount;
  /** What is to be there before anybody can connect; what it throws keeps the daemon from starting. */
  readonly beforeListening?: (daemon: Daemon) => Promise<void>;
}

/** How often retention, merging and idle consumers are looked after without any traffic. */
const TIDY_INTERVAL_MS = 60_000;
const DAY_MS = 86_400_000;

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Starts a daemon.
 *
 * @returns The daemon, listening.
 * @throws PosternError `unsupported_version` for a store of a newer format, `permission_denied` for files that are not
 * what they should be.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { directory, config = defaultConfig(), log = SILENT } = options;
  const idle = keysWithoutEffect(config);
  if (idle.length > 0) log.warn("configured, and without effect in this version", { keys: idle });
  const host = options.host ?? { pid: Deno.pid, hostname: "localhost", uid: null };
  const tokenPath = join(directory, config.ipc.token_path);
  const token = await loadOrCreateToken(tokenPath, host.uid);
  const { agentId, publicKey } = await loadOrCreateIdentity(directory, host.uid);
  const path = prepareStoreFiles(directory, host.uid);
  const hint = openHeadHint(directory, host.uid);
  const newEpoch = () => crypto.randomUUID();
  const store = await openKvStore({ path, hint, log, newEpoch }).catch((error) => {
    hint.close();
    throw error;
  });
  const identity = {
    agentId,
    publicKey,
    name: config.name,
    version: VERSION,
    startedAtMs: Date.now(),
  };
  const parts = { store, identity, token, host, log };
  const daemon = new Daemon({ ...options, config }, parts);
  try {
    await options.beforeListening?.(daemon);
    await daemon.listen();
  } catch (error) {
    await daemon.close("cannot listen");
    throw error;
  }
  return daemon;
}

interface Parts {
  readonly store: LogStore;
  readonly identity: Identity;
  readonly token: string;
  readonly host: HostFacts;
  readonly log: Log;
}

/** A running daemon. */
export class Daemon implements AsyncDisposable {
  readonly agentId: string;
  readonly epoch: string;
  readonly socketPath: string;
  /** Resolves with the reason once everything is closed. */
  readonly closed: Promise<string>;
  readonly #options: DaemonOptions;
  readonly #parts: Parts;
  readonly #services: Services;
  readonly #server: Server;
  readonly #tokens: Tokens;
  readonly #tidyTimer: ReturnType<typeof setInterval>;
  #endMetrics: () => void = () => {};
  #config: Config;
  #token: string;
  #closing: Promise<void> | null = null;
  #resolveClosed: (reason: string) => void = () => {};

  /** Use {@linkcode startDaemon}. */
  constructor(options: DaemonOptions & { readonly config: Config }, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
    this.#config = options.config;
    this.#token = parts.token;
    this.#tokens = new Tokens(parts.token, options.remoteToken);
    this.agentId = parts.identity.agentId;
    this.epoch = parts.store.state.epoch;
    this.socketPath = options.socketPath ?? join(options.directory, "postern.sock");
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
    this.#services = this.#makeServices();
    this.#server = new Server({
      services: this.#services,
      codecSettings: {
        allowV1: options.config.ipc.allow_v1,
        isOperation: (name) => findOperation(name) !== undefined,
      },
      limits: limitsOf(options.config),
      diagnostics: parts.log,
      openConnections: options.openConnections,
    });
    this.#tidyTimer = setInterval(() => this.#tidy(), TIDY_INTERVAL_MS);
  }

  /** The owner token that is valid now. */
  get token(): string {
    return this.#token;
  }

  /** A caller for the program that runs this daemon in its own process; whoever asks for it ends it. */
  caller(): LocalCaller {
    return new LocalCaller(this.#services, () => this.#closing !== null);
  }

  /** Listens, and tells clients where. */
  async listen(): Promise<void> {
    this.#endMetrics = await keepMetricsRecord(this.#services);
    const listener = Deno.listen({ transport: "unix", path: this.socketPath });
    this.#server.serve(listener);
    // Under the launcher's umask it is 0600 from the beginning; elsewhere the directory keeps others out, or the
    // umask does for the moment until here.
    const { mode: socketMode, gid } = this.#config.socket;
    if (gid !== null) Deno.chownSync(this.socketPath, null, gid);
    Deno.chmodSync(this.socketPath, parseInt(socketMode, 8));
    const { host, identity } = this.#parts;
    const { directory, mode = "foreground" } = this.#options;
    await writeDiscovery(directory, {
      schema: 1,
      pid: host.pid,
      hostname: host.hostname,
      version: identity.version,
      started_at: new Date(identity.startedAtMs).toISOString(),
      sockets: { ndjson: relativeTo(directory, this.socketPath) },
      token_path: this.#config.ipc.token_path,
      agent_id: identity.agentId,
      epoch: this.epoch,
      mode,
    }, host.uid);
  }

  /**
   * Takes a new configuration and the token file as it is now.
   *
   * @returns The keys that differ and need a restart.
   */
  async reload(config: Config): Promise<string[]> {
    await this.reloadToken();
    const fixed = changedKeys(this.#config, config).filter((key) =>
      !RELOADABLE.has(key.split(".")[0]!)
    );
    this.#config = { ...this.#config, limits: config.limits, records: config.records };
    this.#services.recordPolicy.replace(config.records);
    this.#server.setLimits(limitsOf(this.#config));
    return fixed;
  }

  /** Takes the token file as it is now; connections that showed another token end. */
  async reloadToken(): Promise<void> {
    const { directory } = this.#options;
    this.#token = await loadOrCreateToken(
      join(directory, this.#config.ipc.token_path),
      this.#parts.host.uid,
    );
    this.#tokens.replaceOwner(this.#token);
    this.#server.endRevoked((principal) => this.#tokens.isValid(principal));
  }

  /** Stops gracefully: in progress is answered, then everything is closed. Idempotent. */
  close(reason = "close"): Promise<void> {
    return this.#closing ??= this.#close(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(reason: string): Promise<void> {
    clearInterval(this.#tidyTimer);
    this.#endMetrics();
    await this.#server.close(this.#config.daemon.shutdown_grace_ms);
    await this.#services.consumers.settle();
    await this.#services.records.settle();
    await this.#services.log.drain();
    await this.#parts.store.close();
    removeDiscovery(this.#options.directory);
    this.#resolveClosed(reason);
  }

  #makeServices(): Services {
    const { store, identity } = this.#parts;
    const { config } = this.#options as { config: Config };
    const clock = { now: () => Date.now() };
    const log = new EventLog(store, {
      clock,
      retention: {
        maxEvents: config.ipc.buffer_size,
        maxBytes: config.ipc.buffer_byte_cap,
        maxAgeMs: config.ipc.buffer_ttl_secs * 1000,
      },
    });
    return {
      identity,
      clock,
      log,
      consumers: new Consumers(log, { clock, documents: store.state.documents }),
      records: new Records(log, { clock, documents: store.state.documents }),
      recordPolicy: new RecordPolicy(config.records),
      peers: NO_PEERS,
      tokens: this.#tokens,
      counters: { messagesSent: 0, requests: 0, bytes: 0, dropped: 0, subscriptions: 0 },
      features: ["buffer", "subscribe", "auth"],
      limits: this.#limits(),
      newId: () => crypto.randomUUID(),
      connectionCount: () => this.#server.connectionCount,
      shutdown: (reason) => {
        if (this.#options.onShutdown !== undefined) this.#options.onShutdown(reason);
        else queueMicrotask(() => this.close(reason));
      },
    };
  }

  /** As they are when asked for: a reload changes them. */
  #limits(): Limits {
    const config = () => this.#config;
    return {
      requireToken: config().require_token,
      get recordQueueSize() {
        return config().records.queue_size;
      },
      get maxSubscriptions() {
        return config().limits.max_subscriptions;
      },
    };
  }

  #tidy(): void {
    const { consumers, log } = this.#services;
    this.#server.touch();
    const idle = consumers.removeIdle(this.#config.daemon.consumer_gc_days * DAY_MS);
    for (const { name } of idle) {
      this.#parts.log.info("forgot an idle consumer", { consumer: name });
    }
    log.tidy();
  }
}

/** Sections that a reload takes over; any other change needs a restart. */
const RELOADABLE: ReadonlySet<string> = new Set(["limits", "records", "permissions", "log"]);

function limitsOf(config: Config): ServerLimits {
  const { limits } = config;
  return {
    maxLineBytes: limits.max_line_bytes,
    maxConnections: limits.max_connections,
    maxInFlight: limits.max_in_flight,
    maxSubscriptions: limits.max_subscriptions,
    outboxBytes: limits.outbox_bytes,
    helloTimeoutMs: limits.hello_timeout_ms,
    trustSocket: config.trust_socket,
  };
}

function relativeTo(directory: string, path: string): string {
  return path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : path;
}
