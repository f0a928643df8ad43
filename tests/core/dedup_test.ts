/** Dedup keys: a repeated send answers what the first one answered, as long as its event is retained. */

import { assertEquals, assertRejects } from "@std/assert";
import { newEvent } from "../support/new_event.ts";
import { appendEach, appendOne, openTestLog, seekAll } from "../support/test_log.ts";

const keyed = (dedupKey: string, chars?: number) =>
  newEvent(chars === undefined ? { dedupKey } : { dedupKey, chars });

Deno.test("a repeated key answers the first seq and id, and appends nothing", async () => {
  const { log } = openTestLog();
  const [first] = await log.append([keyed("k")]).promise();
  const [again] = await log.append([keyed("k")]).promise();
  assertEquals(again, { ...first!, duplicate: true });
  assertEquals([log.head, log.counters.dedup_keys], [1, 1]);
});

Deno.test("a repeat that comes while the first still waits is answered with it", async () => {
  const { log, store } = openTestLog();
  const release = store.holdCommits();
  const first = log.append([keyed("k")]);
  const again = log.append([keyed("k")]);
  const other = log.append([keyed("l")]);
  release();
  const [one] = await first.promise();
  assertEquals(await again.promise(), [{ ...one!, duplicate: true }]);
  assertEquals([(await other.promise())[0]!.seq, log.head], [2, 2]);
});

Deno.test("a key twice in one batch is one event", async () => {
  const { log } = openTestLog();
  const appended = await log.append([keyed("k"), keyed("k"), newEvent(), keyed("k")]).promise();
  assertEquals(appended.map(({ seq }) => seq), [1, 1, 2, 1]);
  assertEquals(appended.map(({ duplicate = false }) => duplicate), [false, true, false, true]);
});

Deno.test("a send that fails frees its key, and fails those who waited with it", async () => {
  const { log, store } = openTestLog();
  store.failNext(new Error("no disk"));
  const failed = [log.append([keyed("k")]), log.append([keyed("k")])];
  for (const ticket of failed) await assertRejects(() => ticket.promise(), Error, "no disk");
  assertEquals(log.counters.dedup_keys, 0);
  const [appended] = await log.append([keyed("k")]).promise();
  assertEquals([appended!.seq, appended!.duplicate], [1, undefined]);
});

Deno.test("keys are known again after a restart", async () => {
  const opened = openTestLog();
  const [first] = await opened.log.append([newEvent(), keyed("k")]).promise().then((
    [, two],
  ) => [two]);
  const { log } = opened.restarted();
  assertEquals((await log.append([keyed("k")]).promise())[0], { ...first!, duplicate: true });
});

Deno.test("keys are known after their blocks were merged, and after a restart then", async () => {
  const opened = openTestLog();
  for (let i = 1; i <= 64; i++) await appendOne(opened.log, keyed(`k${i}`));
  await opened.log.drain();
  assertEquals(opened.store.blocks.length, 1);
  for (const { log } of [opened, opened.restarted()]) {
    assertEquals((await log.append([keyed("k40")]).promise())[0]?.seq, 40);
  }
});

Deno.test("a key is forgotten with its event, by count", async () => {
  const { log } = openTestLog({ retention: { maxEvents: 3 } });
  await appendOne(log, keyed("k"));
  await appendEach(log, 2);
  assertEquals(await appendOne(log, keyed("k")), 1);
  await appendEach(log, 1);
  assertEquals([await appendOne(log, keyed("k")), log.counters.dedup_keys], [5, 1]);
});

Deno.test("a key is forgotten with its event, by age, though nothing else happened", async () => {
  const { log, clock } = openTestLog({ retention: { maxAgeMs: 1000 } });
  await appendOne(log, keyed("k"));
  clock.step(999);
  assertEquals(await appendOne(log, keyed("k")), 1);
  clock.step(1);
  assertEquals(await appendOne(log, keyed("k")), 2, "nobody can read the first any more");
});

Deno.test("a key is forgotten with its event, by bytes, in the middle of a block", async () => {
  const { log } = openTestLog({ retention: { maxBytes: 1000 } });
  await log.append([1, 2, 3, 4].map((i) => keyed(`k${i}`, 300))).promise();
  assertEquals(await appendOne(log, keyed("k2", 300)), 2);
  assertEquals(await appendOne(log, keyed("k1", 300)), 5);
});

Deno.test("a key that was taken again is no obstacle to forgetting others, after a restart", async () => {
  const opened = openTestLog({ retention: { maxEvents: 4 } });
  // One block holds k and a, b, c; its first event is dropped, and k taken again.
  await opened.log.append(["k", "a", "b", "c"].map((key) => keyed(key))).promise();
  await appendEach(opened.log, 1);
  assertEquals(await appendOne(opened.log, keyed("k")), 6);
  const { log } = opened.restarted();
  assertEquals(await seekAll(log), [3, 4, 5, 6]);
  await appendEach(log, 2);
  assertEquals(await appendOne(log, keyed("b")), 9, "the event 3 is gone, and its key");
  assertEquals(await appendOne(log, keyed("k")), 6);
});

Deno.test("the keys of a log that keeps nothing are not kept either", async () => {
  const { log } = openTestLog({ retention: { maxEvents: 0 } });
  assertEquals(await appendOne(log, keyed("k")), 1);
  assertEquals(await appendOne(log, keyed("k")), 2);
  assertEquals(log.counters.dedup_keys, 0);
});
