/** What ends in any order is finished in the order in which it began. */

import { assertEquals } from "@std/assert";
import { InOrder } from "../../src/core/in_order.ts";
import { range } from "../support/expect.ts";
import { Random } from "../support/random.ts";

Deno.test("each is finished once all before it are, whatever the order of their ends", () => {
  const random = new Random(4);
  const queue = new InOrder();
  const ends = range(1, 5000).map(() => queue.begin());
  const left = range(0, 4999);
  const finished: number[] = [];
  while (left.length > 0) {
    const [i] = left.splice(random.below(left.length), 1);
    ends[i!]!(() => finished.push(i!));
    assertEquals(finished.length + queue.size, 5000);
    assertEquals(finished.length, left.length === 0 ? 5000 : Math.min(...left));
  }
  assertEquals(finished, range(0, 4999));
});

Deno.test("what finishes may begin and end others, and is not counted itself", () => {
  const queue = new InOrder();
  const seen: string[] = [];
  const first = queue.begin();
  const second = queue.begin();
  second(() => seen.push("second"));
  first(() => {
    seen.push(`first, then ${queue.size}`);
    queue.begin()(() => seen.push("third"));
  });
  assertEquals([seen, queue.size], [["first, then 1", "second", "third"], 0]);
});
