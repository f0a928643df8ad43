/** A process that says a number a line until it is killed in the middle of what it does. */

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";

/**
 * Runs a file of tests/support, kills it once it has said so many lines, and answers the last number it said.
 *
 * @param file Its name, as `commit_child.ts`.
 */
export async function lastOfKilled(
  file: string,
  { args, lines }: { args: readonly string[]; lines: number },
): Promise<number> {
  const path = fromFileUrl(new URL(file, import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--no-remote", "--cached-only", path, ...args],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let said = "";
  let killed = false;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    said += part;
    if (!killed && said.split("\n").length > lines) {
      child.kill("SIGKILL");
      killed = true;
    }
  }
  assertEquals((await child.status).signal, "SIGKILL");
  // The kill may have cut the last line.
  return Number(said.split("\n").slice(0, -1).at(-1));
}
