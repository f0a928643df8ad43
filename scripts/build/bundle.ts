/**
 * The program as one JavaScript file, for machines that have deno and want nothing else: `deno bundle`.
 *
 * Deno fetches its bundler from the npm registry once, and keeps it.
 */

import { failure, type RunDeno, runDeno, wantedNetwork } from "./command.ts";

const ENTRY = "scripts/build/bundle_entry.ts";

/**
 * Writes the bundle.
 *
 * @throws {BuildError} when it cannot be made
 */
export async function bundle(output: string, run: RunDeno = runDeno): Promise<void> {
  const finished = await run(["bundle", "--quiet", "--no-remote", `--output=${output}`, ENTRY]);
  if (finished.success) return;
  throw failure(
    wantedNetwork(finished)
      ? "bundling: deno's bundler is neither here nor can it be fetched from the npm registry, which it needs once"
      : "bundling failed",
    finished,
  );
}
