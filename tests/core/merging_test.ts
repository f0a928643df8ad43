/** Small blocks become larger ones, whether the log rests or not, and memory stays under its bound. */

import { assert, assertEquals } from "@std/assert";
import type { EventLog } from "../../src/core/log.ts";
import { range } from "../support/expect.ts";
import { newEvent } from "../support/new_event.ts";
import { openTestLog, seekAll, type TestLog } from "../support/test_log.ts";

/** Appends so many events one by one, `atOnce` of them a commit, and never lets the log rest. */
async function appendUnderLoad(log: EventLog, count: number, atOnce: number): Promise<void> {
  const last = Promise.withResolvers<void>();
  let sent = 0;
  // Answered senders send again before the log has looked whether anybody waits.
  const next = () => {
    if (sent === count) return last.resolve();
    sent += atOnce;
    for (let i = 1; i < atOnce; i++) log.append([newEvent({ chars: 200 })]);
    log.append([newEvent({ chars: 200 })]).whenSettled(next);
  };
  next();
  await last.promise;
}

Deno.test("blocks are merged though the log is never idle", async () => {
  const { log, store } = openTestLog();
  let commits = 0;
  const commit = store.commit.bind(store);
  store.commit = (batch) => {
    if (batch.units.length > 0) commits++;
    return commit(batch);
  };
  await appendUnderLoad(log, 5000, 1);
  assertEquals(commits, 5000);
  assert(store.blocks.length < 1500, `${store.blocks.length} blocks`);
  assertEquals(await seekAll(log), range(1, 5000));
});

Deno.test("memory keeps its bound when what was merged under load is taken in", async () => {
  const memoryBytes = 1100 * 200;
  const opened = openTestLog({ memoryBytes, unitsPerBlock: 1 });
  const { log, store } = opened;
  // More blocks a commit than it merges: what is being merged leaves memory meanwhile.
  await appendUnderLoad(log, 8000, 80);
  assert(store.batches.some(({ merges }) => merges.length > 0), "it merges");
  const held = bytesInMemory(opened);
  assert(held <= memoryBytes, `${held} bytes of ${memoryBytes}`);
  assert(held > memoryBytes / 2, `only ${held} bytes of ${memoryBytes}`);
  assertEquals(await seekAll(log), range(1, 8000));
});

/** Bytes of the blocks that are at hand without reading the store; reading begins after this has looked. */
function bytesInMemory({ log, store }: TestLog): number {
  let bytes = 0;
  for (const { firstSeq } of store.blocks) {
    const found = log.seek(firstSeq);
    if (found === null || found instanceof Promise) continue;
    bytes += found.block?.bytes ?? 0;
  }
  return bytes;
}
