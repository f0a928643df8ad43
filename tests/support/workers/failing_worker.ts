/** A Worker whose daemon cannot start. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";

serveLauncher(
  self as unknown as WorkerScope,
  () => Promise.reject(new Error("out of luck on purpose")),
);
