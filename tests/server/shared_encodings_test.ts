/** A block is encoded once for all who get the same bytes of it, and the cache stays small. */

import { assert, assertEquals } from "@std/assert";
import type { Block } from "../../src/core/event.ts";
import { SharedEncodings } from "../../src/server/shared_encodings.ts";
import { blockOf } from "../support/memory_store.ts";

function block(seq: number): Block {
  const event = { seq, bufferedAtMs: 1, kind: "notify", topic: null, expiresAtMs: null } as const;
  return blockOf([{ ...event, envelope: "{}" }]);
}

/** Makes encodings of a size and counts how often. */
function maker(size = 10) {
  const made = { count: 0 };
  return { made, make: () => (made.count++, { bytes: new Uint8Array(size), lastSeq: 1 }) };
}

Deno.test("a block is encoded once for each name", () => {
  const shared = new SharedEncodings();
  const { made, make } = maker();
  const one = block(1);
  const first = shared.get(one, "axon live", make);
  for (let i = 0; i < 100; i++) assert(shared.get(one, "axon live", make) === first);
  shared.get(one, "axon replay", make);
  shared.get(block(2), "axon live", make);
  assertEquals(made.count, 3);
});

Deno.test("a block of the same seqs that is another block is encoded anew", () => {
  const shared = new SharedEncodings();
  const { made, make } = maker();
  shared.get(block(1), "n", make);
  shared.get(block(1), "n", make);
  assertEquals(made.count, 2);
});

Deno.test("only the last 32 blocks are remembered", () => {
  const shared = new SharedEncodings();
  const { made, make } = maker();
  const blocks = Array.from({ length: 33 }, (_, i) => block(i));
  for (const one of blocks) shared.get(one, "n", make);
  shared.get(blocks[32]!, "n", make);
  shared.get(blocks[1]!, "n", make);
  assertEquals(made.count, 33);
  shared.get(blocks[0]!, "n", make);
  assertEquals(made.count, 34, "the oldest had gone");
});

Deno.test("only 16 encodings of a block are remembered, others are made for who asks", () => {
  const shared = new SharedEncodings();
  const { made, make } = maker();
  const one = block(1);
  for (let i = 0; i < 20; i++) shared.get(one, `n${i}`, make);
  for (let i = 0; i < 16; i++) shared.get(one, `n${i}`, make);
  assertEquals(made.count, 20);
  shared.get(one, "n19", make);
  assertEquals(made.count, 21);
});

Deno.test("what is remembered stays below 16 MiB, however large the blocks are", () => {
  const shared = new SharedEncodings();
  const { make } = maker(1024 * 1024);
  const blocks = Array.from({ length: 32 }, (_, i) => block(i));
  for (const one of blocks) {
    for (let i = 0; i < 4; i++) shared.get(one, `n${i}`, make);
    assert(shared.bytes <= 16 * 1024 * 1024, String(shared.bytes));
  }
  assert(shared.bytes > 8 * 1024 * 1024, "it is used");
});
