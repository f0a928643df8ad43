/** Runs scenarios in a process of their own, so that the load never shares a thread with anything else. */

import { fromFileUrl } from "@std/path/posix";
import type { Figures, Load } from "./steps.ts";

const LOAD = fromFileUrl(new URL("./load.ts", import.meta.url));
/** A scenario that takes longer hangs; the slowest takes a few seconds. */
const LIMIT_MS = 120_000;

/**
 * Runs one scenario to its end.
 *
 * @throws Error with what it wrote to stderr when it fails or takes longer than two minutes
 */
export async function runScenario(name: string, load: Load): Promise<Figures> {
  const { success, stdout, stderr } = await command(name, load, AbortSignal.timeout(LIMIT_MS))
    .output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`the scenario ${name} failed: ${text(stderr).trim()}`);
  return JSON.parse(text(stdout));
}

/** Holds as many authenticated connections open while `task` runs. */
export async function withConnections<T>(load: Load, task: () => Promise<T>): Promise<T> {
  const child = command("connections", load, AbortSignal.timeout(LIMIT_MS), "piped").spawn();
  const reader = child.stdout.getReader();
  try {
    const { done } = await reader.read();
    if (done) throw new Error(`opening ${load.count} connections failed`);
    return await task();
  } finally {
    await child.stdin.close();
    await reader.cancel();
    await child.status;
  }
}

function command(
  name: string,
  { directory, count }: Load,
  signal: AbortSignal,
  stdin: "null" | "piped" = "null",
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", LOAD, name, directory, String(count)],
    stdin,
    stdout: "piped",
    stderr: stdin === "null" ? "piped" : "inherit",
    signal,
  });
}
