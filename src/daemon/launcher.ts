/**
 * The main thread of a daemon's process: it prepares, starts the one Worker, and gives up all its rights.
 *
 * The order is what makes it safe. The directory is checked before anything in it is opened; the umask is set
 * before the first file; the lock is held before anything of another daemon is touched; the Worker waits until
 * this thread has no right left. The Worker's modules load with this thread's rights, from the program and never
 * from the directory. One call a process: rights that were given up do not come back.
 */

import { join } from "@std/path/posix";
import { PosternError } from "../core/errors.ts";
import { VERSION } from "../core/version.ts";
import type { Config } from "./config.ts";
import { removeDiscovery } from "./discovery.ts";
import { LaunchLog } from "./launch_log.ts";
import { type Lock, takeLock } from "./lock.ts";
import { giveUpRights, workerPermissions } from "./rights.ts";
import { prepareDirectory, SOCKET_NAMES } from "./runtime_directory.ts";
import { type Environment, loadConfig, readOverrides } from "./settings.ts";
import { removeLeftover } from "./safe_file.ts";
import { chooseSocketPlace, reclaimSocket, type SocketPlace } from "./socket_path.ts";
import { isWritten } from "./start_files.ts";
import { EXIT, Supervisor, TICKS } from "./supervisor.ts";
import { readTraces, type Traces, writePid } from "./traces.ts";
import type { GoMessage, Mode } from "./worker_messages.ts";

/** How to launch a daemon. */
export interface LaunchOptions {
  /** The runtime directory, absolute; it is made if it is missing. */
  readonly directory: string;
  /** @default {"foreground"} */
  readonly mode?: Mode;
  /** @default `Deno.env` */
  readonly env?: Environment;
  /** The Worker's entry. @default worker.ts beside this file, or the one file that the program is */
  readonly workerUrl?: URL;
  /** So long may the Worker be silent before it counts as dead. @default {30000} */
  readonly silenceMs?: number;
  /** Takes each line for whoever started the daemon. @default stderr, after "postern: " */
  readonly say?: (line: string) => void;
}

const UMASK = 0o177;
const SILENCE_MS = 30_000;
/** Beyond `shutdown_grace_ms`, for the last commit and for closing the store. */
const STOP_MARGIN_MS = 10_000;

/**
 * Runs a daemon in this process until it stops.
 *
 * SIGTERM and SIGINT stop it in order, a second one ends it at once; SIGHUP re-reads configuration and token.
 *
 * @param options What to run.
 * @returns The exit code: 0 stopped in order, 1 did not start, 70 ended out of order. The caller exits with it
 * at once: the Worker's thread may still be running.
 */
export async function launch(options: LaunchOptions): Promise<number> {
  const say = options.say ?? sayOnStderr;
  let log: LaunchLog | null = null;
  let lock: Lock | null = null;
  try {
    const { directory } = options;
    const uid = Deno.uid();
    prepareDirectory(directory, uid);
    Deno.umask(UMASK);
    log = new LaunchLog(directory, uid);
    lock = await takeLock(directory, uid);
    const prepared = await prepare(options, { uid, log, say });
    const supervisor = new Supervisor({ ...prepared, log, say });
    const code = await supervisor.run();
    // A Worker that did not stop in order may still be writing: the lock ends with the process.
    if (code === EXIT.failed) lock = null;
    return code;
  } catch (error) {
    const message = error instanceof PosternError ? error.message : String(error);
    log?.write("error", `cannot start: ${message}`, causeOf(error));
    say(`cannot start: ${message}`);
    return EXIT.notStarted;
  } finally {
    lock?.release();
    log?.close();
  }
}

interface Means {
  readonly uid: number | null;
  readonly log: LaunchLog;
  readonly say: (line: string) => void;
}

/** Files that are replaced in one step, by way of `<name>.new`. */
const REPLACED: readonly string[] = [
  "daemon.json",
  "daemon.pid",
  "ipc-token",
  "identity.key",
  "identity.pub",
  "log/audit.jsonl",
];

/** Everything between the lock and the Worker. */
async function prepare(options: LaunchOptions, means: Means) {
  const { directory, silenceMs = SILENCE_MS } = options;
  const env = options.env ?? Deno.env;
  const overrides = readOverrides(env, directory);
  const config = await loadConfig(directory, means.uid, { overrides, validate });
  if (!config.daemon.enabled) {
    throw new PosternError("conflict", "the daemon is switched off here, by daemon.enabled");
  }
  const sockets = await chooseSocketPlace({
    directory,
    uid: means.uid,
    socketDir: config.socket.dir,
    isShared: config.socket.mode !== "0600",
    socketPath: overrides.socketPath,
    runtimeDir: env.get("XDG_RUNTIME_DIR") ?? null,
  });
  const previous = await takeOver(directory, sockets, means);
  const host = { pid: Deno.pid, hostname: Deno.hostname(), uid: means.uid };
  const lacksPid = !isWritten(() => writePid(directory, host.pid, means.uid));
  means.log.write("info", "starting", { version: VERSION, pid: host.pid, socket: sockets.ndjson });
  if (sockets.because !== null) means.say(`socket ${sockets.ndjson} (${sockets.because})`);
  const go: GoMessage = {
    type: "go",
    directory,
    socketPath: sockets.ndjson,
    httpSocketPath: sockets.http,
    socketDirectory: sockets.isTemporary ? sockets.extraDirectory : null,
    host,
    mode: options.mode ?? "foreground",
    lacksPid,
    config,
    overrides,
    beatMs: silenceMs / TICKS,
    previousEpoch: previous?.epoch ?? null,
  };
  return {
    worker: startWorker(options, { directory, sockets, config }),
    go,
    giveUpRights: () => giveUpRights([directory, sockets.ndjson]),
    silenceMs,
    stopMs: config.daemon.shutdown_grace_ms + STOP_MARGIN_MS,
  };
}

/** The validator is large and this thread has one use for it, if any. */
async function validate(settings: Record<string, unknown>, source: string): Promise<Config> {
  const { validateConfig } = await import("./config.ts");
  return validateConfig(settings, source);
}

/** Under the lock: whatever another daemon left is a dead one's. */
async function takeOver(
  directory: string,
  sockets: SocketPlace,
  means: Means,
): Promise<Traces | null> {
  const previous = readTraces(directory, means.uid);
  const paths = new Set([
    ...SOCKET_NAMES.map((name) => join(directory, name)),
    sockets.ndjson,
    sockets.http,
  ]);
  const removed: string[] = [];
  for (const path of paths) if (await reclaimSocket(path, means.uid)) removed.push(path);
  removeDiscovery(directory);
  for (const name of REPLACED) removeLeftover(join(directory, `${name}.new`), means.uid);
  if (previous === null && removed.length === 0) return null;
  report(previous, removed, means);
  return previous;
}

function report(previous: Traces | null, removed: readonly string[], means: Means): void {
  const { pid = null, startedAt = null, version = null } = previous ?? {};
  means.log.write("warn", "the last daemon here did not stop in order; taking over", {
    pid,
    started_at: startedAt,
    version,
    removed_sockets: removed,
  });
  const who = pid === null ? "" : ` (pid ${pid}${startedAt ? `, started ${startedAt}` : ""})`;
  const sockets = removed.length === 0 ? "" : `; removed its socket ${removed.join(", ")}`;
  means.say(`the last daemon here${who} did not stop in order; taking over${sockets}`);
}

interface WorkerMeans {
  readonly directory: string;
  readonly sockets: SocketPlace;
  readonly config: Config;
}

function startWorker(options: LaunchOptions, means: WorkerMeans): Worker {
  const url = options.workerUrl ?? workerEntry();
  const permissions = workerPermissions(means.directory, means.sockets, means.config.http.enabled);
  return new Worker(url, { type: "module", name: "daemon", deno: { permissions } });
}

/** In a bundle this file's URL is that of the whole program, whose entry knows when it runs in a Worker. */
function workerEntry(): URL {
  const bundled = !import.meta.url.endsWith("/launcher.ts");
  return bundled ? new URL(import.meta.url) : new URL("./worker.ts", import.meta.url);
}

/** For the log, where an error came from, if nobody expected it. */
function causeOf(error: unknown): Record<string, unknown> {
  return error instanceof PosternError ? {} : { cause: error };
}

function sayOnStderr(line: string): void {
  try {
    Deno.stderr.writeSync(new TextEncoder().encode(`postern: ${line}\n`));
  } catch {
    // Whoever started it has gone, and with it the other end of the pipe.
  }
}
