/** `kill -9` of a process in the middle of its commits: what it had finished is there, all of it and whole. */

import { cursorsIn } from "../../src/core/consumers.ts";
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { committedEvent } from "../support/committed_event.ts";
import { Random } from "../support/random.ts";
import { eventsOf, StorePlace } from "../support/test_store.ts";

const ROUNDS = 6;
const CHILD = fromFileUrl(new URL("../support/commit_child.ts", import.meta.url));

Deno.test(`a process killed in the middle of commits has lost nothing in ${ROUNDS} rounds`, async () => {
  await using place = new StorePlace();
  const random = new Random(9);
  let finished = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const before = finished;
    finished = await commitUntilKilled(place, 1 + random.below(60));
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

/** Lets a process commit so often, kills it, and answers the last seq that it said was in. */
async function commitUntilKilled(place: StorePlace, commits: number): Promise<number> {
  await place.close();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--no-remote", "--cached-only", CHILD, place.path],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let said = "";
  let killed = false;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    said += part;
    if (!killed && said.split("\n").length > commits) {
      child.kill("SIGKILL");
      killed = true;
    }
  }
  assertEquals((await child.status).signal, "SIGKILL");
  // The kill may have cut the last line.
  return Number(said.split("\n").slice(0, -1).at(-1));
}
