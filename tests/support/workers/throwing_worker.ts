/** A Worker that runs and then throws where nobody catches. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";
import { idleDaemon } from "./idle_daemon.ts";

serveLauncher(self as unknown as WorkerScope, () => {
  setTimeout(() => {
    throw new TypeError("thrown on purpose");
  });
  return Promise.resolve(idleDaemon());
});
