/** Runs deno's own tools for the build, and tells what went wrong in terms of the build. */

import { ROOT } from "../daemon_process.ts";

/** What a tool left. */
export interface Finished {
  readonly success: boolean;
  readonly stdout: string;
  /** Without colours. */
  readonly stderr: string;
}

/** Runs deno with these arguments; the environment counts on top of the own one. */
export type RunDeno = (
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
) => Promise<Finished>;

/** Something that whoever builds can put right. */
export class BuildError extends Error {
  override readonly name = "BuildError";
}

/** The deno that runs this, in the repository. */
export const runDeno: RunDeno = async (args, env = {}) => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    env: { ...env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
};

/** A tool's failure: our account of it, and what it said. */
export function failure(what: string, { stderr }: Finished): BuildError {
  return new BuildError(`${what}\n${stderr.trim()}`);
}

/** Whether the tool failed for want of a file that it would have downloaded. */
export function wantedNetwork({ stderr }: Finished): boolean {
  return /error sending request for url|Base binary not found|failed to (lookup|download)/i.test(
    stderr,
  );
}
