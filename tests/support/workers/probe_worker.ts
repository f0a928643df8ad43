/** A Worker that tries everything it must not do, writes what came of it into the directory, and stops. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";
import { tryAll } from "../probe.ts";
import { idleDaemon } from "./idle_daemon.ts";

serveLauncher(self as unknown as WorkerScope, async ({ directory, socketPath }) => {
  const outside = directory.slice(0, directory.lastIndexOf("/"));
  const outcomes = await tryAll({ directory, outside });
  await Deno.writeTextFile(`${directory}/probe.json`, JSON.stringify(outcomes));
  // What the daemon lives on must work with the same rights.
  Deno.listen({ transport: "unix", path: socketPath! }).close();
  (await Deno.openKv(`${directory}/probe.kv`)).close();
  return idleDaemon();
});
