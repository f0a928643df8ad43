/**
 * The Worker's side of the launcher's conversation: the daemon's life from `go` to `stopped`.
 *
 * An orderly stop leaves no socket, no daemon.json and no pid file; whatever is thrown here and not expected
 * ends the Worker, and with it the process.
 */

import { PosternError } from "../core/errors.ts";
import { validateConfig } from "./config.ts";
import type { Log } from "../core/ports.ts";
import type { Daemon, DaemonOptions } from "./daemon.ts";
import { removeDiscovery } from "./discovery.ts";
import { type OpenLog, openLog } from "./logging.ts";
import { removeIfPossible } from "./safe_file.ts";
import { loadConfig } from "./settings.ts";
import { removePid } from "./traces.ts";
import { closeUngatedStorage } from "./ungated.ts";
import type { FromWorker, GoMessage, ToWorker } from "./worker_messages.ts";

/** What is needed of the Worker's global scope. */
export interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: FromWorker): void;
  close(): void;
}

/** What is needed of a daemon. */
export type RunningDaemon = Pick<
  Daemon,
  "agentId" | "epoch" | "closed" | "close" | "reload" | "reloadToken"
>;

/** Makes the daemon. */
export type Start = (options: DaemonOptions) => Promise<RunningDaemon>;

/** Says `ready`, and from then on does what the launcher says. */
export function serveLauncher(scope: WorkerScope, start: Start): void {
  closeUngatedStorage();
  const run = new WorkerRun(scope, start);
  scope.onmessage = (event: MessageEvent<ToWorker>) => run.receive(event.data);
  scope.postMessage({ type: "ready" });
}

class WorkerRun {
  readonly #scope: WorkerScope;
  readonly #start: Start;
  #daemon: RunningDaemon | null = null;
  #stopReason: string | null = null;
  /** One reload runs and one may wait; more would read the same files. */
  #reloads: "none" | "running" | "waiting" = "none";
  #go: GoMessage | null = null;
  #log: OpenLog | null = null;
  readonly #notices: string[] = [];

  constructor(scope: WorkerScope, start: Start) {
    this.#scope = scope;
    this.#start = start;
  }

  receive(message: ToWorker): void {
    switch (message.type) {
      case "go":
        return void this.#run(message);
      case "stop":
        this.#stopReason = message.reason;
        return void this.#daemon?.close(message.reason);
      case "reload":
        return void this.#reload();
    }
  }

  async #run(go: GoMessage): Promise<void> {
    const beat = setInterval(() => this.#scope.postMessage({ type: "beat" }), go.beatMs);
    const daemon = await this.#begin(go);
    if (daemon !== null) {
      this.#scope.postMessage({ type: "started", notices: this.#notices });
      if (this.#stopReason !== null) void daemon.close(this.#stopReason);
      if (this.#reloads === "waiting") void this.#reload();
      await this.#end(go, await daemon.closed);
    }
    clearInterval(beat);
    this.#scope.close();
  }

  async #begin(go: GoMessage): Promise<RunningDaemon | null> {
    try {
      const log = await openLog(go.directory, go.config.log, go.host.uid);
      this.#log = log;
      const { directory, socketPath, httpSocketPath, config, host, mode, lacksPid } = go;
      const watched = noticing(log, this.#notices);
      this.#daemon = await this.#start({
        directory,
        socketPath,
        httpSocketPath,
        config,
        host,
        mode,
        lacksPid,
        log: watched,
      });
      this.#go = go;
      log.info("ready", { agent_id: this.#daemon.agentId, epoch: this.#daemon.epoch, mode });
      if (go.previousEpoch !== null) reportRecovery(log, go.previousEpoch, this.#daemon.epoch);
      return this.#daemon;
    } catch (error) {
      await this.#tidy(go).catch(() => {});
      const message = error instanceof Error ? error.message : String(error);
      const isExpected = error instanceof PosternError || !(error instanceof Error);
      const detail = isExpected ? null : error.stack ?? null;
      this.#scope.postMessage({ type: "failed", message, detail });
      return null;
    }
  }

  async #end(go: GoMessage, reason: string): Promise<void> {
    this.#log?.info("stopped", { reason });
    await this.#tidy(go);
    this.#scope.postMessage({ type: "stopped", reason });
  }

  async #tidy(go: GoMessage): Promise<void> {
    removeIfPossible(go.socketPath);
    removeIfPossible(go.httpSocketPath);
    removeDiscovery(go.directory);
    removePid(go.directory);
    if (go.socketDirectory !== null) removeIfEmpty(go.socketDirectory);
    await this.#log?.close();
    this.#log = null;
  }

  async #reload(): Promise<void> {
    if (this.#reloads === "running" || this.#daemon === null) {
      this.#reloads = "waiting";
      return;
    }
    do {
      this.#reloads = "running";
      await this.#reloadOnce();
    } while (this.#hasWaitingReload());
    this.#reloads = "none";
  }

  #hasWaitingReload(): boolean {
    return this.#reloads === "waiting";
  }

  async #reloadOnce(): Promise<void> {
    const [go, log, daemon] = [this.#go, this.#log, this.#daemon];
    if (go === null || log === null || daemon === null) return;
    try {
      // First and alone: a broken configuration must not keep a token from being revoked.
      const isAnother = await daemon.reloadToken();
      const { directory, host, overrides } = go;
      const config = await loadConfig(directory, host.uid, { overrides, validate: validateConfig });
      const fixed = await daemon.reload(config);
      log.configure(config.log);
      const rest = fixed.length === 0 ? "" : `; restart needed for ${fixed.join(", ")}`;
      const token = isAnother ? "another" : "the same";
      const changed = isAnother ? "; another owner token is valid now" : "";
      log.info("re-read configuration and token", { restart_needed: fixed, token });
      const outcome = `read again${changed}${rest}`;
      this.#scope.postMessage({ type: "reloaded", outcome });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      log.error("SIGHUP left the configuration as it was", { reason: message });
      this.#scope.postMessage({ type: "reloaded", outcome: `configuration unchanged: ${message}` });
    }
  }
}

/** Bound of what is repeated to whoever starts the daemon; all of it is in the log. */
const MAX_NOTICES = 16;

/** The log, with warnings and errors noted as lines. */
function noticing(log: OpenLog, notices: string[]): Log {
  const note = (message: string, fields: Record<string, unknown> = {}) => {
    const details = Object.entries(fields).map(([name, value]) => ` ${name}=${value}`).join("");
    if (notices.length < MAX_NOTICES) notices.push(`${message}${details}`);
  };
  return {
    debug: (message, fields) => log.debug(message, fields),
    info: (message, fields) => log.info(message, fields),
    warn: (message, fields) => {
      note(message, fields);
      log.warn(message, fields);
    },
    error: (message, fields) => {
      note(message, fields);
      log.error(message, fields);
    },
  };
}

function reportRecovery(log: OpenLog, before: string, now: string): void {
  if (before === now) return log.info("recovered after the crash: the log goes on", { epoch: now });
  log.warn("recovered after the crash: the log is another one", {
    epoch_before: before,
    epoch: now,
  });
}

/** It may hold what somebody else put there, and stays then. */
function removeIfEmpty(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Not empty or not ours to remove: it does no harm where it is.
  }
}
