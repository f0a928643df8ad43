/** A daemon that does nothing and stops when it is told to. */

import type { RunningDaemon } from "../../../src/daemon/worker_run.ts";

export function idleDaemon(change: Partial<RunningDaemon> = {}): RunningDaemon {
  const { promise: closed, resolve } = Promise.withResolvers<string>();
  return {
    agentId: "ed25519.00000000000000000000000000000000",
    epoch: "00000000-0000-0000-0000-000000000000",
    closed,
    close: (reason = "close") => Promise.resolve(resolve(reason)),
    reload: () => Promise.resolve([]),
    reloadToken: () => Promise.resolve(false),
    ...change,
  };
}
