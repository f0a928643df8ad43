/**
 * Starting and stopping the daemon's process from outside.
 *
 * Starting is free of races because the daemon's own lock decides: whoever loses it ends, and the one who
 * started the loser waits for the winner. A daemon that is slow is waited for; nothing here ends a process,
 * removes a socket or believes a pid.
 */

import { dirname, join } from "@std/path/posix";
import type { Client } from "./client.ts";
import { openConnection } from "./dial.ts";
import { findTarget, readDiscovery, type Target } from "./discovery.ts";
import { ConnectionError, PosternError } from "./errors.ts";
import { LogTail } from "./log_tail.ts";
import { type Child, spawnDaemon } from "./spawn.ts";

/** How to start a daemon. */
export interface StartOptions {
  /** The runtime directory, absolute. */
  readonly directory: string;
  /** How long the daemon may take until it answers. @default {30000} */
  readonly timeoutMs?: number;
}

/** What came of starting. */
export interface StartOutcome {
  /** False when a daemon answered already, or another starter was first. */
  readonly started: boolean;
  readonly pid: number | null;
  readonly version: string | null;
  /** What the daemon said while it started: what a crash left, above all. */
  readonly notices: readonly string[];
}

/** A daemon that did not come up; the message ends with what it said. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** A daemon that answers and has no discovery file: somebody has removed it. */
const NOT_SAID: StartOutcome = { started: false, pid: null, version: null, notices: [] };

const READY = /^postern: ready:/m;
const START_TIMEOUT_MS = 30_000;
const PROBE_TIMEOUT_MS = 2_000;

/**
 * Starts a daemon in the background and waits until it answers.
 *
 * @returns Whether this call started it; a daemon that runs already is left alone.
 * @throws {StartError} when it ended, or did not answer in time
 */
export async function startDaemonProcess(options: StartOptions): Promise<StartOutcome> {
  const { directory, timeoutMs = START_TIMEOUT_MS } = options;
  const deadline = performance.now() + timeoutMs;
  const state = await probe(directory, Math.min(PROBE_TIMEOUT_MS, timeoutMs));
  if (state === "answers") return outcome(directory, null) ?? NOT_SAID;
  const log = new LogTail(directory);
  makeParent(directory);
  const child = state === "absent" ? spawnDaemon(directory) : null;
  try {
    for (let wait = 10;; wait = Math.min(wait * 1.5, 200)) {
      await Promise.race([
        pause(wait),
        child !== null && !child.hasEnded ? child.ended : pause(wait),
      ]);
      const ended = child?.hasEnded === true;
      const answers = await probe(directory, PROBE_TIMEOUT_MS) === "answers";
      const running = answers ? outcome(directory, child?.pid ?? null) ?? unsaid(child) : null;
      if (running !== null) return running.started ? await withNotices(running, child!) : running;
      // The loser of two starters has ended, and the winner, who holds the lock, is on its way.
      if (ended && !answers && isUnlocked(directory)) {
        throw new StartError(`the daemon ended at its start${log.told(child.said)}`);
      }
      if (performance.now() > deadline) {
        const what = `the daemon did not answer within ${timeoutMs} ms, and may still do`;
        throw new StartError(`${what}${log.told(child?.said ?? "")}`);
      }
    }
  } finally {
    child?.letGo();
  }
}

/**
 * Asks the daemon to stop and waits until it has let go of its directory.
 *
 * @throws {PosternError} `timeout` when it takes longer, and what it refuses to stop with
 */
export async function stopDaemonProcess(client: Client, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  await client.call("system.shutdown").catch((error) => {
    // It may be gone before its reply is read.
    if (!(error instanceof ConnectionError)) throw error;
  });
  for (let wait = 5; !await isGone(client.target); wait = Math.min(wait * 1.5, 100)) {
    if (performance.now() > deadline) {
      const rule = `it accepted, and still ran after ${timeoutMs} ms`;
      throw new PosternError("timeout", `stopping the daemon: ${rule}`);
    }
    await pause(wait);
  }
}

/** Whether a daemon answers here, listens without answering in time, or is not to be seen. */
async function probe(
  directory: string,
  timeoutMs: number,
): Promise<"answers" | "silent" | "absent"> {
  try {
    const target = findTarget({ dir: directory });
    const options = { timeoutMs, authenticate: false };
    const { connection } = await openConnection(target, options);
    connection.close();
    return "answers";
  } catch (error) {
    if (error instanceof PosternError) return "answers";
    return error instanceof ConnectionError && error.code === "ETIMEDOUT" ? "silent" : "absent";
  }
}

/**
 * Which daemon answers, and whether it is the one that was started here; another starter's may have been
 * first. `null` as long as it has not written who it is, which it does right after it listens.
 */
function outcome(directory: string, ownPid: number | null): StartOutcome | null {
  const found = readDiscovery(directory);
  if (found === null) return null;
  const started = ownPid !== null && found.pid === ownPid;
  return { started, pid: found.pid, version: found.version, notices: [] };
}

/** A full disk takes no discovery file; the one that was started here then says that it is ready, and no other does. */
function unsaid(child: Child | null): StartOutcome | null {
  if (child === null || !READY.test(child.said)) return null;
  return { started: true, pid: child.pid, version: null, notices: [] };
}

/** A daemon says last that it is ready; it is not waited for long, as it answers already. */
async function withNotices(outcome: StartOutcome, child: Child): Promise<StartOutcome> {
  for (let tries = 0; tries < 20 && !READY.test(child.said) && !child.hasEnded; tries++) {
    await pause(10);
  }
  const lines = child.said.split("\n").filter((line) => line !== "" && !READY.test(line));
  return { ...outcome, notices: lines.map((line) => line.replace(/^postern: /, "")) };
}

/** The daemon makes its directory itself, and may not make what it lies in. */
function makeParent(directory: string): void {
  try {
    Deno.mkdirSync(dirname(directory), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StartError(`${dirname(directory)} cannot be made: ${(error as Error).message}`);
  }
}

/** Gone is who neither listens nor holds the lock. */
async function isGone(target: Target): Promise<boolean> {
  try {
    const socket = await Deno.connect({ transport: "unix", path: target.socketPath });
    socket.close();
    return false;
  } catch {
    return isUnlocked(target.directory);
  }
}

/** Whether no daemon is there, not even one that is starting or stopping. */
export function isUnlocked(directory: string): boolean {
  try {
    using file = Deno.openSync(join(directory, "daemon.lock"), { read: true, write: true });
    // Shared, so that two who look do not see each other.
    return file.tryLockSync(false);
  } catch (error) {
    return !(error instanceof Deno.errors.PermissionDenied);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
