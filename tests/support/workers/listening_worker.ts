/** A Worker whose daemon listens on its socket and answers nothing. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";
import { idleDaemon } from "./idle_daemon.ts";

serveLauncher(self as unknown as WorkerScope, ({ socketPath }) => {
  Deno.listen({ transport: "unix", path: socketPath! });
  return Promise.resolve(idleDaemon());
});
