/** A Worker that is busy for a good part of the silence that is allowed, again and again, and counts to ten. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";
import { idleDaemon } from "./idle_daemon.ts";

const BUSY_MS = 300;

serveLauncher(self as unknown as WorkerScope, () => {
  let times = 0;
  setInterval(() => {
    const until = performance.now() + BUSY_MS;
    while (performance.now() < until);
    if (++times === 10) console.error("ten times slow");
  }, BUSY_MS);
  return Promise.resolve(idleDaemon());
});
