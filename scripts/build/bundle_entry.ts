/**
 * The entry of the one-file program: the same file is the program and, in its Worker, the daemon.
 *
 * Only the half that is wanted is evaluated. It ends the process as main.ts does, which cannot: in one
 * file no module but the entry is the main one.
 */

if ("WorkerGlobalScope" in globalThis) {
  await import("../../src/daemon/worker.ts");
} else {
  const { BUNDLE_URL } = await import("../../src/client/spawn.ts");
  Reflect.set(globalThis, BUNDLE_URL, import.meta.url);
  const { runCommandLine } = await import("../../src/cli/run.ts");
  Deno.exit(await runCommandLine(Deno.args));
}
