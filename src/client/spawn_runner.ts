/**
 * The process of a runner: an ordinary client that may run one program, beside reaching the daemon.
 *
 * The compiled binary has its rights in itself and cannot be given less; there only the program that is named runs,
 * but nothing but this program's own code sees to that.
 */

import { dirname, join } from "@std/path/posix";
import {
  currentRuntime,
  ENVIRONMENT,
  grant,
  type Runtime,
  runtimeFlags,
  socketPlaces,
} from "./spawn.ts";

/** What a runner's process is for. */
export interface RunnerProcess {
  readonly directory: string;
  readonly socketPath: string;
  readonly tokenPath: string;
  /** The program that it may run, absolute. */
  readonly program: string;
  /** Those of this program. */
  readonly args: readonly string[];
}

/** What the loader obeys; only whoever may run everything may hand it on. */
const LOADER_VARIABLE = /^(LD|DYLD)_/;

/** The command that runs it; stdin and stdout are pipes, stderr is ours. */
export function runnerProcess(wanted: RunnerProcess): Deno.Command {
  const { path, args, env } = runnerCommand(wanted);
  const stdio = { stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
  return new Deno.Command(path, { args, env, clearEnv: true, ...stdio });
}

/** Its parts. */
export function runnerCommand(
  wanted: RunnerProcess,
  runtime: Runtime = currentRuntime(),
  environment: Readonly<Record<string, string>> = Deno.env.toObject(),
): { path: string; args: string[]; env: Record<string, string> } {
  const { standalone, execPath, root, bundle } = runtime;
  const args = [...wanted.args];
  if (standalone) return { path: execPath, args, env: { ...environment } };
  const names = Object.entries(environment).filter(([name]) => !LOADER_VARIABLE.test(name));
  return {
    path: execPath,
    args: [
      ...runtimeFlags(runtime),
      ...rights(wanted, bundle ?? root),
      bundle ?? join(root, "main.ts"),
      ...args,
    ],
    env: Object.fromEntries(names),
  };
}

function rights(
  { directory, socketPath, tokenPath, program }: RunnerProcess,
  code: string,
): string[] {
  const sockets = [...new Set([...socketPlaces(directory).sockets, socketPath])];
  return [
    grant("net", sockets.map((path) => `unix:${path}`)),
    grant("read", [...new Set([directory, dirname(socketPath), tokenPath, code])]),
    // To connect to a socket is to write to it; the rest is the client's own secret.
    grant("write", [join(directory, "clients"), ...sockets]),
    `--allow-env=${ENVIRONMENT.join(",")}`,
    "--allow-sys=uid",
    grant("run", [program]),
  ];
}
