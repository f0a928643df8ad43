/** A Worker that runs and then never comes back. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";
import { idleDaemon } from "./idle_daemon.ts";

serveLauncher(self as unknown as WorkerScope, () => {
  setTimeout(() => {
    while (true);
  });
  return Promise.resolve(idleDaemon());
});
