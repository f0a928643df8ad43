/**
 * The Worker's entry: the whole daemon runs behind it, with the rights that the launcher lists.
 *
 * Everything is imported statically: the graph loads with the launcher's rights, and later nothing can be.
 */

import { startDaemon } from "./daemon.ts";
import { serveLauncher, type WorkerScope } from "./worker_run.ts";

serveLauncher(self as unknown as WorkerScope, startDaemon);
