/**
 * A daemon in its own process, for the demo and the benchmark: started by the command line as a person
 * would start it, in the foreground, in a directory of its own.
 *
 * Whoever starts one ends it: `stop()` asks it to, `kill()` does not ask. Both wait until it is gone.
 */

import { fromFileUrl, join, resolve } from "@std/path/posix";
import { BUNDLE_FLAGS, HEAP_BOUND } from "../src/client/spawn.ts";

/** The repository. */
export const ROOT = fromFileUrl(new URL("..", import.meta.url));

/** What runs a command of Postern; the command's own arguments come behind `args`. */
export interface Program {
  readonly path: string;
  readonly args: readonly string[];
}

/** As every task and `postern start` run it. */
const RUN = ["run", "-A", "--no-prompt", "--no-remote", HEAP_BOUND];

/** Postern from this repository. */
export const POSTERN: Program = { path: Deno.execPath(), args: [...RUN, join(ROOT, "main.ts")] };

/** Postern from a file: a bundle ends in `.js` and is run by deno, anything else is a binary. */
export function programAt(file: string): Program {
  const path = resolve(file);
  if (!path.endsWith(".js")) return { path, args: [] };
  return { path: Deno.execPath(), args: [...RUN, ...BUNDLE_FLAGS, path] };
}

const START_LIMIT_MS = 20_000;
const POLL_MS = 2;
/** What a daemon writes to stderr is kept up to this, for the message when it does not start. */
const MAX_STDERR_CHARS = 8_192;

/** A running daemon. */
export interface DaemonProcess {
  readonly directory: string;
  readonly pid: number;
  /** From just before the process was made until it had answered a first request. */
  readonly startMs: number;
  /** What it has written to stderr. */
  stderr(): string;
  /** SIGTERM; resolves to the exit code. */
  stop(): Promise<number>;
  /** SIGKILL: as a crash would end it. */
  kill(): Promise<void>;
}

/**
 * Starts `postern daemon` in the directory and waits until it answers a request.
 *
 * @throws Error with what it wrote to stderr when it ends first or takes longer than 20 s
 */
export async function startDaemonProcess(
  directory: string,
  program: Program = POSTERN,
): Promise<DaemonProcess> {
  const begun = performance.now();
  const child = new Deno.Command(program.path, {
    args: [...program.args, "daemon", "--dir", directory],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const stderr = collect(child.stderr);
  let ended = false;
  const status = child.status.finally(() => ended = true);
  try {
    await untilAnswering(directory, { pid: child.pid, ended: () => ended });
  } catch (error) {
    await end(child, status, "SIGKILL");
    throw new Error(`starting a daemon: ${(error as Error).message}\n${stderr()}`.trim());
  }
  return {
    directory,
    pid: child.pid,
    startMs: performance.now() - begun,
    stderr,
    stop: () => end(child, status, "SIGTERM"),
    kill: () => end(child, status, "SIGKILL").then(() => {}),
  };
}

async function end(
  child: Deno.ChildProcess,
  status: Promise<Deno.CommandStatus>,
  signal: Deno.Signal,
): Promise<number> {
  try {
    child.kill(signal);
  } catch {
    // It has ended by itself; its status says how.
  }
  return (await status).code;
}

/** A pid and a socket's file prove nothing; an answer does. */
async function untilAnswering(
  directory: string,
  process: { pid: number; ended: () => boolean },
): Promise<void> {
  const deadline = performance.now() + START_LIMIT_MS;
  while (performance.now() < deadline) {
    if (process.ended()) throw new Error("the process ended");
    if (await answers(directory, process.pid)) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`it answered nothing within ${START_LIMIT_MS} ms`);
}

async function answers(directory: string, pid: number): Promise<boolean> {
  try {
    const discovery = readDiscovery(directory);
    if (discovery.pid !== pid) return false;
    using conn = await Deno.connect({ transport: "unix", path: discovery.socketPath });
    await conn.write(new TextEncoder().encode('{"cmd":"status"}\n'));
    return (await conn.read(new Uint8Array(4_096)) ?? 0) > 0;
  } catch (error) {
    // Not there yet, half of it is there, or a crash left it: the loop asks again until its deadline.
    if (error instanceof SyntaxError || error instanceof Deno.errors.NotFound) return false;
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

/** What `daemon.json` says that a script needs. */
export interface Discovery {
  readonly pid: number;
  readonly socketPath: string;
  readonly token: string;
}

/** Reads `daemon.json` and the token that it names. Paths in it count from the directory. */
export function readDiscovery(directory: string): Discovery {
  const file = JSON.parse(Deno.readTextFileSync(join(directory, "daemon.json")));
  const resolved = (path: string) => path.startsWith("/") ? path : join(directory, path);
  return {
    pid: file.pid,
    socketPath: resolved(file.sockets.ndjson),
    token: Deno.readTextFileSync(resolved(file.token_path)).trim(),
  };
}

/** Reads a stream to its end in the background; the function returns the last of what came so far. */
function collect(stream: ReadableStream<Uint8Array>): () => string {
  let text = "";
  const reading = async () => {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream() as Decoder)) {
      text = (text + chunk).slice(-MAX_STDERR_CHARS);
    }
  };
  // A stream that breaks off has ended: what came before is what there is.
  reading().catch(() => {});
  return () => text;
}

/** TextDecoderStream is declared for any buffer source, a child's output yields bytes. */
type Decoder = ReadableWritablePair<string, Uint8Array>;

/** A fresh directory that only this user can enter, as a daemon wants it. */
export function makeRuntimeDirectory(prefix: string): string {
  const directory = Deno.realPathSync(Deno.makeTempDirSync({ prefix }));
  Deno.chmodSync(directory, 0o700);
  return directory;
}
