/** A Worker that is busy for half of the silence that is allowed, again and again. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";
import { idleDaemon } from "./idle_daemon.ts";

serveLauncher(self as unknown as WorkerScope, () => {
  setInterval(() => {
    const until = performance.now() + 300;
    while (performance.now() < until);
  }, 310);
  return Promise.resolve(idleDaemon());
});
