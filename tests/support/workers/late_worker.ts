/** A Worker whose daemon starts only after it was told to stop. */

import { serveLauncher, type WorkerScope } from "../../../src/daemon/worker_run.ts";
import { idleDaemon } from "./idle_daemon.ts";

const scope = self as unknown as WorkerScope;
serveLauncher(scope, async () => {
  console.error("about to start");
  const receive = scope.onmessage!;
  const stop = Promise.withResolvers<void>();
  scope.onmessage = (event) => {
    receive(event);
    stop.resolve();
  };
  await stop.promise;
  return idleDaemon();
});
