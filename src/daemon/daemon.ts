/**
 * One daemon, put together: store, core, operations, server.
 *
 * It runs in the sandboxed Worker, and directly in a test's own process. Invariants: the socket is listened
 * on only after the store is open and recovered; daemon.json is written after that, as soon as there is room; on close
 * everything that was answered is on disk before the socket goes away.
 */

import { join } from "@std/path/posix";
import { PosternError } from "../core/errors.ts";
import type { Log, LogStore } from "../core/ports.ts";
import type { RemoteToken } from "../core/principal.ts";
import { VERSION } from "../core/version.ts";
import type { Identity } from "../operations/operation.ts";
import type { ServerLimits } from "../server/context.ts";
import { findOperation } from "../operations/registry.ts";
import type { ConnectionCount } from "../server/connection_count.ts";
import { blobRoutes } from "../server/http/blob_routes.ts";
import { Server } from "../server/server.ts";
import { AuditFile } from "./audit.ts";
import { BlobFiles } from "./blobs.ts";
import { type Config, defaultConfig } from "./config.ts";
import { changedKeys, keysWithoutEffect, RELOADABLE } from "./config_changes.ts";
import { removeDiscovery, writeDiscovery } from "./discovery.ts";
import { loadOrCreateIdentity } from "./identity.ts";
import { LocalCaller } from "./local_caller.ts";
import { keepMetricsRecord } from "./metrics_record.ts";
import { type DaemonServices, expireAll, makeServices, type ServiceHooks } from "./services.ts";
import { StartFiles } from "./start_files.ts";
import { openStore } from "./store_files.ts";
import { loadOrCreateToken } from "./token.ts";
import { TokenKeeper } from "./token_keeper.ts";
import { writePid } from "./traces.ts";

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
  /** @default `<directory>/http.sock` */
  readonly httpSocketPath?: string;
  /** @default {@linkcode defaultConfig} */
  readonly config?: Config;
  readonly host?: HostFacts;
  readonly mode?: "foreground" | "background";
  /** Whether the launcher had no room for `daemon.pid`. @default {false} */
  readonly lacksPid?: boolean;
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

/** How often what has had its time is ended. */
const EXPIRE_INTERVAL_MS = 1000;
/** How often retention, merging and idle consumers are looked after without any traffic. */
const TIDY_INTERVAL_MS = 60_000;
const DAY_MS = 86_400_000;

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Starts a daemon.
 *
 * @returns The daemon, listening.
 * @throws PosternError `unsupported_version` for a store of a newer format, `permission_denied` for files that are not
 * what they should be, `storage_full` when the store cannot be opened for lack of room.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { directory, config = defaultConfig(), log = SILENT } = options;
  const idle = keysWithoutEffect(config);
  if (idle.length > 0) log.warn("configured, and without effect in this version", { keys: idle });
  const host = options.host ?? { pid: Deno.pid, hostname: "localhost", uid: null };
  const tokenPath = join(directory, config.ipc.token_path);
  const token = await loadOrCreateToken(tokenPath, host.uid);
  const { agentId, publicKey } = await loadOrCreateIdentity(directory, host.uid);
  const audit = new AuditFile(join(directory, "log", "audit.jsonl"), {
    uid: host.uid,
    ...auditSettings(config),
    onReplaced: () => log.warn("log/audit.jsonl was moved away or removed, and is made anew"),
  });
  const store = await openStore(directory, { uid: host.uid, log }).catch((error) => {
    audit.close();
    throw error;
  });
  const identity = {
    agentId,
    publicKey,
    name: config.name,
    version: VERSION,
    startedAtMs: Date.now(),
  };
  const parts = { store, identity, token, host, log, audit };
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
  readonly audit: AuditFile;
}

/** A running daemon. */
export class Daemon implements AsyncDisposable {
  readonly agentId: string;
  readonly epoch: string;
  readonly socketPath: string;
  readonly httpSocketPath: string;
  /** Resolves with the reason once everything is closed. */
  readonly closed: Promise<string>;
  readonly #options: DaemonOptions;
  readonly #parts: Parts;
  readonly #services: DaemonServices;
  readonly #blobs: BlobFiles;
  readonly #server: Server;
  readonly #tidyTimer: ReturnType<typeof setInterval>;
  readonly #expireTimer: ReturnType<typeof setInterval>;
  #endMetrics: () => void = () => {};
  #config: Config;
  readonly #keeper: TokenKeeper;
  readonly #startFiles: StartFiles;
  #closing: Promise<void> | null = null;
  #resolveClosed: (reason: string) => void = () => {};

  /** Use {@linkcode startDaemon}. */
  constructor(options: DaemonOptions & { readonly config: Config }, parts: Parts) {
    const { directory } = options;
    this.#options = options;
    this.#parts = parts;
    this.#config = options.config;
    this.agentId = parts.identity.agentId;
    this.epoch = parts.store.state.epoch;
    this.socketPath = options.socketPath ?? join(directory, "postern.sock");
    this.httpSocketPath = options.httpSocketPath ?? join(directory, "http.sock");
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
    this.#services = makeServices({
      ...parts,
      diagnostics: parts.log,
      directory,
      uid: parts.host.uid,
      remoteToken: options.remoteToken,
    }, this.#hooks());
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
    this.#blobs = new BlobFiles({
      directory,
      uid: parts.host.uid,
      maxBytes: () => this.#config.limits.blob_bytes,
      retentionMs: options.config.ipc.buffer_ttl_secs * 1000,
      now: () => Date.now(),
      log: parts.log,
    });
    this.#tidyTimer = setInterval(() => this.#tidy(), TIDY_INTERVAL_MS);
    this.#startFiles = new StartFiles(parts.log);
    this.#expireTimer = setInterval(() => {
      expireAll(this.#services);
      this.#startFiles.retry();
    }, EXPIRE_INTERVAL_MS);
    const { tokens, clock } = this.#services;
    this.#keeper = new TokenKeeper({
      path: join(directory, options.config.ipc.token_path),
      uid: parts.host.uid,
      token: parts.token,
      tokens,
      clock,
      log: parts.log,
      audit: parts.audit,
      settings: () => this.#config.tokens,
      endRevoked: () => this.#endRevoked(),
    });
  }

  /** The owner token that is valid now. */
  get token(): string {
    return this.#keeper.token;
  }

  /** A caller for the program that runs this daemon in its own process; whoever asks for it ends it. */
  caller(): LocalCaller {
    return new LocalCaller(this.#services, () => this.#closing !== null);
  }

  /** Listens, and tells clients where. */
  async listen(): Promise<void> {
    this.#endMetrics = await keepMetricsRecord(this.#services);
    this.#keeper.rotateWhenOld();
    this.#server.serve(Deno.listen({ transport: "unix", path: this.socketPath }));
    this.#open(this.socketPath);
    const withHttp = this.#config.http.enabled;
    if (withHttp) {
      await this.#serveHttp();
      this.#open(this.httpSocketPath);
    }
    const { host, identity } = this.#parts;
    const { directory, lacksPid, mode = "foreground" } = this.#options;
    const discovery = {
      schema: 1 as const,
      pid: host.pid,
      hostname: host.hostname,
      version: identity.version,
      started_at: new Date(identity.startedAtMs).toISOString(),
      sockets: {
        ndjson: this.socketPath,
        ...(withHttp ? { http: this.httpSocketPath } : {}),
      },
      token_path: this.#config.ipc.token_path,
      agent_id: identity.agentId,
      epoch: this.epoch,
      mode,
    };
    const { pid, uid } = host;
    if (lacksPid) this.#startFiles.write("daemon.pid", () => writePid(directory, pid, uid));
    this.#startFiles.write("daemon.json", () => writeDiscovery(directory, discovery, uid));
  }

  /**
   * Under the launcher's umask a socket is 0600 from the beginning; elsewhere the directory keeps others out, or the
   * umask does for the moment until here.
   */
  #open(path: string): void {
    const { mode, gid } = this.#config.socket;
    if (gid !== null) giveToGroup(path, gid);
    Deno.chmodSync(path, parseInt(mode, 8));
  }

  #serveHttp(): Promise<void> {
    const { http, name, socket } = this.#config;
    return this.#server.serveHttp(this.httpSocketPath, {
      opened: () => this.#open(this.httpSocketPath),
      settings: {
        heartbeatMs: http.heartbeat_secs * 1000,
        maxSseClients: http.max_sse_clients,
        unauthenticatedMetrics: http.unauthenticated_metrics,
        isPrivate: socket.mode === "0600",
        name,
      },
      routes: blobRoutes(this.#blobs, this.#services),
    });
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
    this.#config = {
      ...this.#config,
      limits: config.limits,
      records: config.records,
      permissions: config.permissions,
    };
    this.#services.recordPolicy.replace(config.records);
    this.#services.rateLimits.replace(config.limits.rate);
    this.#parts.audit.configure(auditSettings(config));
    this.#server.setLimits(limitsOf(this.#config));
    return fixed;
  }

  /**
   * Takes the token file as it is now; connections that showed another token end.
   *
   * @returns Whether it is another token.
   * @throws PosternError When the file holds none; then the one before goes on.
   */
  reloadToken(): Promise<boolean> {
    return this.#keeper.reload();
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
    clearInterval(this.#expireTimer);
    this.#services.permissions.stop();
    this.#keeper.close();
    this.#services.healthOf.stopping = true;
    this.#endMetrics();
    await this.#server.close(this.#config.daemon.shutdown_grace_ms);
    await this.#services.consumers.settle();
    await this.#services.records.settle();
    // The last chance: what is not stored by now is valid again after the next start.
    this.#services.tokens.storeRemovals();
    await this.#services.log.drain();
    await this.#parts.store.close();
    this.#parts.audit.close();
    if (!removeDiscovery(this.#options.directory)) {
      this.#parts.log.warn("daemon.json stays behind: the disk cannot be written");
    }
    this.#resolveClosed(reason);
  }

  #hooks(): ServiceHooks {
    return {
      config: () => this.#config,
      connectionCount: () => this.#server.connectionCount,
      presence: () => this.#server.presence(),
      shutdown: (reason) => {
        if (this.#options.onShutdown !== undefined) this.#options.onShutdown(reason);
        else queueMicrotask(() => this.close(reason));
      },
      endRevoked: () => this.#endRevoked(),
      rotateOwner: () => this.#keeper.rotate(),
    };
  }

  #endRevoked(): void {
    this.#server.endRevoked((principal) => this.#services.tokens.isValid(principal));
  }

  #tidy(): void {
    const { consumers, log } = this.#services;
    this.#server.touch();
    const idle = consumers.removeIdle(this.#config.daemon.consumer_gc_days * DAY_MS);
    for (const { name } of idle) {
      this.#parts.log.info("forgot an idle consumer", { consumer: name });
    }
    log.tidy();
    this.#keeper.rotateWhenOld();
    this.#endRevoked();
    this.#blobs.tidy();
    this.#services.healthOf.look();
  }
}

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

function auditSettings({ log }: Config) {
  return { enabled: log.audit, maxBytes: log.max_bytes, files: log.files };
}

function giveToGroup(path: string, gid: number): void {
  try {
    Deno.chownSync(path, null, gid);
  } catch (error) {
    throw new PosternError(
      "permission_denied",
      `opening ${path} to group ${gid} (socket.gid): ${
        (error as Error).message
      }; the daemon's user must be in that group`,
    );
  }
}
