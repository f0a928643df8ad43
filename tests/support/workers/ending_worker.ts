/** A Worker that runs and then ends without a word. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";
import { idleDaemon } from "./idle_daemon.ts";

serveLauncher(self as unknown as WorkerScope, () => {
  setTimeout(() => self.close());
  return Promise.resolve(idleDaemon());
});
