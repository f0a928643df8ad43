/** A Worker whose daemon never finishes stopping. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";
import { idleDaemon } from "./idle_daemon.ts";

serveLauncher(self as unknown as WorkerScope, () =>
  Promise.resolve(idleDaemon({
    close: () => {
      console.error("was told to stop");
      return new Promise(() => {});
    },
  })));
