/** What waits for our decision: its shape, how it is listed, and what tells of a change. */

import type { Client, OperationResult, Subscription } from "../client/mod.ts";
import { throughRestarts } from "./through_restarts.ts";

/** One request that waits. */
export type Pending = OperationResult<"permission.list">["pending"][number];

/** All that wait, or as many as a reply holds. */
export type PendingList = OperationResult<"permission.list">;

/** Events of all requests, ours and others', from now on; reads for nobody. */
export function permissionEvents(client: Client): Subscription {
  return client.subscribe({ topics: ["permission.>"], consumer: null, replay: false });
}

/** Asks the daemon what waits for us, oldest first; again when it was not there. */
export function listPending(client: Client, signal: AbortSignal): Promise<PendingList> {
  return throughRestarts(signal, () => client.call("permission.list", {}, { signal }));
}
