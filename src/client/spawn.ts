/**
 * The daemon's process: its command line, its environment, and what it says while it starts.
 *
 * It is detached, gets no terminal, little of the environment, and the permissions for one directory. The
 * same program runs again: as the compiled binary, or by the runtime from the program's files or its one file.
 */

import { parse } from "@std/jsonc";
import { dirname, fromFileUrl, isAbsolute, join, resolve } from "@std/path/posix";

/** How the daemon's process is made. */
export interface DaemonCommand {
  readonly path: string;
  readonly args: string[];
}

/** What runs the program: the compiled binary, or the runtime with the program's files. */
export interface Runtime {
  readonly standalone: boolean;
  readonly execPath: string;
  /** The program's root, with main.ts in it. */
  readonly root: string;
  /** The one file that holds the whole program, where it was bundled. */
  readonly bundle?: string;
}

/**
 * Garbage is collected late where memory seems plenty; under a flood that would be gigabytes. What the daemon
 * really holds is bounded far below this.
 */
export const HEAP_BOUND = "--v8-flags=--max-old-space-size=1024";
/** A bundle has no configuration beside it, and all its packages in it. */
export const BUNDLE_FLAGS = [
  "--no-config",
  "--no-npm",
  "--unstable-kv",
  "--unstable-worker-options",
  "--unstable-no-legacy-abort",
];
/** Under this name a bundle's entry leaves its URL: whose bundle it is, this file could not tell. */
export const BUNDLE_URL = Symbol.for("postern.bundle_url");
/** Longest socket path that is used inside the directory; a longer one is moved elsewhere. */
const MAX_SOCKET_PATH_BYTES = 103;
const SOCKET_NAMES = ["postern.sock", "http.sock"];
/** Of what a starting daemon says on stderr, so much is kept. */
const STDERR_CHARS = 8192;

/** All that a daemon may want of its starter's environment; secrets of other programs stay out. */
export const ENVIRONMENT: readonly string[] = [
  "HOME",
  "PATH",
  "TMPDIR",
  "LANG",
  "TZ",
  "NO_COLOR",
  "DENO_DIR",
  "XDG_CACHE_HOME",
  "XDG_RUNTIME_DIR",
  "XDG_STATE_HOME",
  "POSTERN_DIR",
  "POSTERN_SOCKET_PATH",
  "POSTERN_TOKEN_FILE",
  "POSTERN_DAEMON_ENABLED",
  "POSTERN_IDLE_TIMEOUT",
  "POSTERN_AUTO_START",
];

/** The command that runs a daemon for one directory, allowed that directory and little else. */
export function daemonCommand(
  directory: string,
  runtime: Runtime = currentRuntime(),
): DaemonCommand {
  const daemon = ["daemon", "--dir", directory, "--mode", "background"];
  if (runtime.standalone) return { path: runtime.execPath, args: daemon };
  const { root, bundle } = runtime;
  const args = [
    ...runtimeFlags(runtime),
    ...permissions(directory, bundle ?? root),
    bundle ?? join(root, "main.ts"),
    ...daemon,
  ];
  return { path: runtime.execPath, args };
}

/** What the runtime is told before any right. */
export function runtimeFlags({ root, bundle }: Runtime): string[] {
  return [
    "run",
    "--quiet",
    "--no-prompt",
    "--no-remote",
    "--cached-only",
    HEAP_BOUND,
    ...bundle === undefined ? [`--config=${join(root, "deno.json")}`] : BUNDLE_FLAGS,
  ];
}

/** What a person types to run this program. */
export function programCall({ standalone, bundle }: Runtime = currentRuntime()): string {
  if (standalone) return "postern";
  if (bundle === undefined) return "deno task postern";
  const flags = ["-A", "--no-prompt", "--no-remote", HEAP_BOUND, ...BUNDLE_FLAGS];
  return `deno run ${flags.join(" ")} ${bundle}`;
}

function permissions(directory: string, program: string): string[] {
  const { sockets, places } = socketPlaces(directory);
  return [
    grant("net", sockets.map((path) => `unix:${path}`)),
    grant("read", [directory, ...places, program]),
    grant("write", [directory, ...places]),
    `--allow-env=${ENVIRONMENT.join(",")}`,
    // By name it would be uid, hostname and umask; the flag does not know the last one.
    "--allow-sys",
  ];
}

/**
 * The sockets, and directories beyond the daemon's own in which they may lie. Where the daemon will look for
 * a place by itself, because its own is too long for a socket, no socket is named: it narrows that itself.
 */
export function socketPlaces(directory: string): { sockets: string[]; places: string[] } {
  const chosen = Deno.env.get("POSTERN_SOCKET_PATH");
  const elsewhere = chosen ? dirname(chosen) : configuredSocketDir(directory);
  const places = elsewhere === null ? [] : [elsewhere];
  const first = join(elsewhere ?? directory, "postern.sock");
  if (new TextEncoder().encode(first).length <= MAX_SOCKET_PATH_BYTES) {
    // Also those in the directory itself: an earlier daemon may have left them.
    const sockets = [directory, ...places].flatMap((place) =>
      SOCKET_NAMES.map((name) => join(place, name))
    );
    return { sockets, places };
  }
  return { sockets: [], places: [Deno.env.get("XDG_RUNTIME_DIR"), "/tmp"].filter(isPath) };
}

/** `socket.dir` of the configuration. What is wrong with that file, the daemon itself will say. */
function configuredSocketDir(directory: string): string | null {
  try {
    const config = parse(Deno.readTextFileSync(join(directory, "config.jsonc")));
    const { dir } = (config as { socket?: { dir?: unknown } }).socket ?? {};
    return typeof dir === "string" && isAbsolute(dir) ? dir : null;
  } catch {
    return null;
  }
}

function isPath(path: string | undefined): path is string {
  return path !== undefined && isAbsolute(path);
}

/**
 * One permission flag. A value with a comma cannot be named in it, and where nothing is known yet nothing can be
 * named either: then the daemon starts with the whole right, and gives it up before it serves anyone.
 */
export function grant(right: string, values: readonly string[]): string {
  const nameable = values.length > 0 && !values.some((value) => value.includes(","));
  return nameable ? `--allow-${right}=${values.join(",")}` : `--allow-${right}`;
}

/**
 * What runs the program.
 *
 * @param moduleUrl Where this file was loaded from.
 * @param platform `Deno.build.standalone`, `Deno.execPath()`, and what a bundle's entry has left.
 */
export function runtimeOf(
  moduleUrl: string,
  platform: {
    readonly standalone: boolean;
    readonly execPath: string;
    readonly bundleUrl?: string;
  },
): Runtime {
  const { standalone, execPath, bundleUrl } = platform;
  if (standalone) return { standalone, execPath, root: "" };
  if (bundleUrl === undefined) {
    return { standalone, execPath, root: resolve(fromFileUrl(new URL("../..", moduleUrl))) };
  }
  const bundle = fromFileUrl(bundleUrl);
  return { standalone, execPath, root: dirname(bundle), bundle };
}

export function currentRuntime(): Runtime {
  const { standalone } = Deno.build;
  const bundleUrl = Reflect.get(globalThis, BUNDLE_URL) as string | undefined;
  return runtimeOf(import.meta.url, { standalone, execPath: Deno.execPath(), bundleUrl });
}

/** A daemon's process as its starter sees it. */
export interface Child {
  readonly pid: number;
  readonly ended: Promise<unknown>;
  readonly hasEnded: boolean;
  /** What it has written to stderr so far, in part. */
  readonly said: string;
  letGo(): void;
}

/** Runs a daemon for `directory`. */
export function spawnDaemon(directory: string): Child {
  const { path, args } = daemonCommand(directory);
  const env = Object.fromEntries(
    ENVIRONMENT.map((name) => [name, Deno.env.get(name)]).filter(([, value]) =>
      value !== undefined
    ),
  );
  const child = new Deno.Command(path, {
    args,
    // Whatever it says ends up in a message or a file.
    env: { ...env, NO_COLOR: "1" },
    clearEnv: true,
    cwd: "/",
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    detached: true,
  }).spawn();
  child.unref();
  const reader = child.stderr.getReader();
  let said = "";
  let hasEnded = false;
  const drained = (async () => {
    const decoder = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (said.length < STDERR_CHARS) said += decoder.decode(part.value, { stream: true });
    }
  })().catch(() => {});
  const ended = child.status.then(() => drained).then(() => hasEnded = true);
  return {
    pid: child.pid,
    ended,
    get hasEnded() {
      return hasEnded;
    },
    get said() {
      return said;
    },
    letGo: () => void reader.cancel().catch(() => {}),
  };
}
