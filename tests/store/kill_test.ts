/** `kill -9` of a process in the middle of its commits: what it had finished is there, all of it and whole. */

import { cursorsIn } from "../../src/core/consumers.ts";
import { assert, assertEquals } from "@std/assert";
import { committedEvent } from "../support/committed_event.ts";
import { lastOfKilled } from "../support/killed_child.ts";
import { Random } from "../support/random.ts";
import { eventsOf, StorePlace } from "../support/test_store.ts";

const ROUNDS = 6;

Deno.test(`a process killed in the middle of commits has lost nothing in ${ROUNDS} rounds`, async () => {
  await using place = new StorePlace();
  const random = new Random(9);
  let finished = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const before = finished;
    await place.close();
    const lines = 1 + random.below(60);
    finished = await lastOfKilled("commit_child.ts", { args: [place.path], lines });
    assert(finished > before, "the round committed something");
    const store = await place.open();
    const events = await eventsOf(store);
    assert(
      store.state.head >= finished,
      `${finished} was finished, the store has ${store.state.head}`,
    );
    assertEquals(events.length, store.state.head);
    for (const [i, { seq, envelope }] of events.entries()) {
      assertEquals(seq, i + 1);
      assert(envelope === committedEvent(seq).envelope, `event ${seq} is as it was`);
    }
    const keyed = events.filter(({ seq }) => seq % 5 === 0).map(({ seq }) => `key-${seq}`);
    assertEquals(store.state.dedup.map(({ key }) => key), keyed);
    assert(cursorsIn(store.state.documents)[0]!.ackedSeq >= finished);
    assertEquals(store.state.epoch, "the epoch");
  }
  assert(!place.logged.some(({ level }) => level === "error"));
});
