/** The index of blocks, against a plain list that is searched from its front. */

import { assert, assertEquals } from "@std/assert";
import { BlockIndex } from "../../src/core/block_index.ts";
import type { Block, BlockInfo, LogEvent } from "../../src/core/event.ts";
import { blockOf } from "../support/memory_store.ts";
import { Random } from "../support/random.ts";

function block(firstSeq: number, count: number, bytes: number): Block {
  const events = Array.from({ length: count }, (_, i): LogEvent => ({
    seq: firstSeq + i,
    bufferedAtMs: 1,
    kind: "notify",
    topic: null,
    expiresAtMs: null,
    envelope: "",
  }));
  return { ...blockOf(events), bytes };
}

/** Expects that the index says of every seq what a search of the list from its front says. */
function expectSame(index: BlockIndex, list: readonly BlockInfo[], memoryBytes: number): void {
  assertEquals(index.length, list.length);
  assertEquals(index.bytes, list.reduce((sum, { bytes }) => sum + bytes, 0));
  assertEquals(index.first?.firstSeq, list[0]?.firstSeq);
  let inMemory = 0;
  let held = 0;
  const last = list.at(-1)?.lastSeq ?? 0;
  for (let seq = 1; seq <= last + 1; seq++) {
    const found = index.find(seq);
    const expected = list.find(({ lastSeq }) => lastSeq >= seq);
    assertEquals(found?.info.firstSeq, expected?.firstSeq);
    assertEquals(found?.info.lastSeq, expected?.lastSeq);
    if (found === undefined || found.info.firstSeq !== seq) continue;
    if (found.block === null) assertEquals(held, 0, "the blocks in memory are a suffix");
    else {
      assertEquals(found.block.firstSeq, found.info.firstSeq);
      assert(!("events" in found.info), "an entry does not hold on to content");
      inMemory += found.info.bytes;
      held++;
    }
  }
  assert(inMemory <= memoryBytes || held === 1, "memory stays under its bound");
}

Deno.test("blocks are found, added, dropped and merged as in a plain list", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed);
    const memoryBytes = random.pick([0, 3000, 20_000, 1e9]);
    let next = 1 + random.below(5);
    let list: BlockInfo[] = [];
    const take = () => {
      const made = block(next, random.between(1, 4), random.between(1, 900));
      next = made.lastSeq + 1 + (random.oneIn(20) ? random.below(3) : 0);
      return made;
    };
    for (let i = random.below(6); i > 0; i--) list.push(take());
    const index = new BlockIndex(list, { memoryBytes, keeps: true });
    for (let step = 0; step < 250; step++) {
      if (random.oneIn(5)) assertEquals(index.dropFirst()?.firstSeq, list.shift()?.firstSeq);
      else {
        const added = take();
        list.push(added);
        index.add(added);
      }
      const run = index.mergeableRun();
      if (run !== null) {
        expectMergeable(run, list);
        const bytes = run.reduce((sum, one) => sum + one.bytes, 0);
        const merged = { ...blockOf(run.flatMap(({ events }) => events)), bytes };
        const at = list.findIndex(({ firstSeq }) => firstSeq === merged.firstSeq);
        list = list.toSpliced(at, run.length, merged);
        assert(index.replace(merged));
      }
      if (step % 10 === 0) expectSame(index, list, memoryBytes);
    }
    expectSame(index, list, memoryBytes);
  }
});

function expectMergeable(run: readonly Block[], list: readonly BlockInfo[]): void {
  const at = list.findIndex(({ firstSeq }) => firstSeq === run[0]!.firstSeq);
  assertEquals(
    run.map(({ firstSeq }) => firstSeq),
    list.slice(at, at + run.length).map(({ firstSeq }) => firstSeq),
    "a run is of neighbours",
  );
  assert(run.reduce((sum, { bytes }) => sum + bytes, 0) <= 48 * 1024, "it fits one value");
  assert(run.length > 1);
}

Deno.test("small neighbours are merged, large blocks and chunked ones are left alone", () => {
  const index = new BlockIndex([], { memoryBytes: 1e9, keeps: true });
  for (let seq = 1; seq <= 63; seq++) index.add(block(seq, 1, 100));
  assertEquals(index.mergeableRun(), null, "too few to be worth a commit");
  index.add(block(64, 1, 100));
  assertEquals(index.mergeableRun()?.length, 64);
  const large = new BlockIndex([], { memoryBytes: 1e9, keeps: true });
  for (let seq = 1; seq <= 200; seq++) large.add(block(seq, 1, 16 * 1024));
  assertEquals(large.mergeableRun(), null);
  const chunked = new BlockIndex([], { memoryBytes: 1e9, keeps: true });
  for (let seq = 1; seq <= 200; seq++) chunked.add({ ...block(seq, 1, 100), chunks: 2 });
  assertEquals(chunked.mergeableRun(), null);
});

Deno.test("a log that keeps nothing forgets a block that leaves memory", () => {
  const index = new BlockIndex([], { memoryBytes: 250, keeps: false });
  for (let seq = 1; seq <= 10; seq++) index.add(block(seq, 1, 100));
  assertEquals([index.length, index.bytes, index.first?.firstSeq], [2, 200, 9]);
  assert(index.find(9)?.block !== null);
});

Deno.test("one block larger than the memory stays, because it is the newest", () => {
  for (const keeps of [true, false]) {
    const index = new BlockIndex([], { memoryBytes: 10, keeps });
    index.add(block(1, 1, 100));
    assert(index.find(1)?.block !== null);
    index.add(block(2, 1, 100));
    assertEquals(index.find(2)?.block?.firstSeq, 2);
    assertEquals(index.find(1)?.block ?? null, keeps ? null : index.find(2)!.block);
  }
});
