/** A queue is first in first out, however long it becomes, and holds nothing that was taken. */

import { assertEquals } from "@std/assert";
import { Queue } from "../../src/core/queue.ts";
import { Random } from "../support/random.ts";

Deno.test("a queue agrees with an array, whatever is added and taken", () => {
  const random = new Random(11);
  const queue = new Queue<number>();
  const plain: number[] = [];
  for (let i = 0; i < 20_000; i++) {
    if (random.below(10) < (i < 12_000 ? 6 : 3)) {
      queue.add(i);
      plain.push(i);
    } else assertEquals(queue.take(), plain.shift());
    assertEquals([queue.size, queue.first], [plain.length, plain[0]]);
    if (random.oneIn(5000)) {
      queue.clear();
      plain.length = 0;
    }
  }
});
