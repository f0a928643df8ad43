/**
 * Stores as released versions wrote them, frozen under tests/data/ by scripts/freeze_store.ts: today's version
 * reads every event, cursor and dedup key of each, and writes on behind them.
 */

import { cursorsIn } from "../../src/core/consumers.ts";
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path/posix";
import { FORMAT } from "../../src/store/kv_store.ts";
import { newEvent } from "../support/new_event.ts";
import { batchOf, eventsOf, StorePlace, unitsOf } from "../support/test_store.ts";

const DATA = fromFileUrl(new URL("../data/", import.meta.url));
const FROZEN = [...Deno.readDirSync(DATA)].map(({ name }) => name)
  .filter((name) => name.startsWith("store-format-"));

for (const name of FROZEN) {
  Deno.test(`${name} is read whole, and goes on`, async () => {
    await using place = new StorePlace();
    await Deno.copyFile(join(DATA, name, "events.kv"), place.path);
    const content = JSON.parse(await Deno.readTextFile(join(DATA, name, "content.json")));
    const store = await place.open();
    assertEquals([store.state.epoch, store.state.head], [content.epoch, content.head]);
    assertEquals(await eventsOf(store), content.events);
    assertEquals(store.state.dedup, content.dedup);
    const byName = (a: { name: string }, b: { name: string }) => a.name < b.name ? -1 : 1;
    assertEquals(
      cursorsIn(store.state.documents).toSorted(byName),
      content.cursors.toSorted(byName),
    );
    assertEquals(place.logged, []);
    const units = unitsOf(content.head + 1, [newEvent(), newEvent({ chars: 100_000 })]);
    await store.commit(batchOf(units));
    const again = await place.open();
    assertEquals((await eventsOf(again)).length, content.events.length + 2);
    assertEquals(again.state.epoch, content.epoch);
  });
}

Deno.test("the present format has a frozen store", () => {
  assert(FROZEN.includes(`store-format-${FORMAT}`), `freeze one: scripts/freeze_store.ts`);
});
