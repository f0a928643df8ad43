/** A Worker that runs and then has a rejection that nobody handles. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";
import { idleDaemon } from "./idle_daemon.ts";

serveLauncher(self as unknown as WorkerScope, () => {
  setTimeout(() => Promise.reject(new Error("rejected on purpose")));
  return Promise.resolve(idleDaemon());
});
