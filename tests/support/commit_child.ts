/**
 * A process that commits to a store until somebody kills it, and says after each commit what is in.
 *
 * `deno run tests/support/commit_child.ts <database>`; a line is the highest seq of a finished commit.
 */

import { cursorWrite } from "../../src/core/consumers.ts";
import type { Unit } from "../../src/core/ports.ts";
import { committedEvent } from "./committed_event.ts";
import { batchOf, openQuietly, unitOf } from "./test_store.ts";

const store = await openQuietly(Deno.args[0]!);
const encoder = new TextEncoder();
let head = store.state.head;
for (let round = head;; round++) {
  const units: Unit[] = [];
  for (let i = 0; i < 1 + round % 20; i++) {
    const events = Array.from({ length: 1 + (i % 4 === 3 ? 5 : 0) }, () => committedEvent(++head));
    units.push(unitOf(head - events.length + 1, events));
  }
  const cursor = { name: "c", ackedSeq: head, deliveredBound: head, lastSeenMs: 1 };
  const { failure } = await store.commit(batchOf(units, { documents: [cursorWrite(cursor)] }));
  if (failure !== undefined) throw failure;
  Deno.stdout.writeSync(encoder.encode(`${head}\n`));
}
