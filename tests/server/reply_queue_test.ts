/** Replies leave in the order of their requests, whichever is ready first. */

import { assertEquals } from "@std/assert";
import { ReplyQueue } from "../../src/server/reply_queue.ts";
import { Random } from "../support/random.ts";

function open() {
  const sent: string[] = [];
  return { sent, queue: new ReplyQueue((line) => sent.push(line)) };
}

Deno.test("a reply waits for those before it, and leaves with them", () => {
  const { sent, queue } = open();
  const [a, b, c] = [queue.open(), queue.open(), queue.open()];
  queue.settle(c, "c");
  queue.settle(b, "b");
  assertEquals([sent, queue.inFlight], [[], 3]);
  queue.settle(a, "a");
  assertEquals([sent, queue.inFlight], [["a", "b", "c"], 0]);
});

Deno.test("a request without a reply holds its place and says nothing", () => {
  const { sent, queue } = open();
  const [a, b] = [queue.open(), queue.open()];
  queue.settle(b, "b");
  assertEquals(sent, []);
  queue.settle(a, null);
  assertEquals(sent, ["b"]);
});

Deno.test("the order holds for many replies in any order, with requests in between", () => {
  const random = new Random(17);
  const { sent, queue } = open();
  const waiting: { name: string; slot: ReturnType<typeof queue.open> }[] = [];
  let opened = 0;
  while (opened < 20_000 || waiting.length > 0) {
    if (opened < 20_000 && waiting.length < 5000 && !random.oneIn(3)) {
      waiting.push({ name: String(opened++), slot: queue.open() });
    } else if (waiting.length > 0) {
      const at = random.below(waiting.length);
      const [{ name, slot }] = waiting.splice(at, 1) as [typeof waiting[number]];
      queue.settle(slot, name);
    }
  }
  assertEquals(sent, Array.from({ length: 20_000 }, (_, i) => String(i)));
  assertEquals(queue.inFlight, 0);
});

Deno.test("whoever waits for few requests in flight goes on when there are so few", async () => {
  const { queue } = open();
  await queue.atMost(0);
  const slots = Array.from({ length: 4 }, () => queue.open());
  const reached: number[] = [];
  const waits = [0, 1, 3].map((count) => queue.atMost(count).then(() => reached.push(count)));
  queue.settle(slots[0]!, "0");
  await waits[2];
  assertEquals(reached, [3]);
  queue.settle(slots[2]!, "2");
  await Promise.resolve();
  assertEquals([reached, queue.inFlight], [[3], 3], "a reply that waits for another is in flight");
  queue.settle(slots[1]!, "1");
  await waits[1];
  assertEquals(reached, [3, 1]);
  queue.settle(slots[3]!, "3");
  await Promise.all(waits);
  assertEquals(reached, [3, 1, 0]);
});
