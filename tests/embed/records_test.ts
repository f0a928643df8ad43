/** A program's own records: declared, set, read, watched, without anybody outside. */

import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { z } from "zod";
import { type EmbeddedRecord, postern, PosternError } from "../../src/embed/mod.ts";
import { nextValue } from "./stage.ts";

const READING = z.object({ celsius: z.number(), at: z.string().default("here") });

function assertCode(error: unknown, code: string, message: RegExp): void {
  assert(error instanceof PosternError, String(error));
  assertEquals(error.code, code);
  assertMatch(error.message, message);
}

Deno.test("what a program sets is what it gets", async () => {
  await using db = await postern().record("SensorData", READING).build();
  const sensor = db.record("SensorData");
  assertCode(await assertRejects(() => sensor.get()), "no_value", /"SensorData" holds no value/);
  const { sequence, timestamp } = await sensor.set({ celsius: 21.5 });
  assertEquals(sequence, 1);
  assertEquals(await sensor.get(), { value: { celsius: 21.5 }, sequence: 1, timestamp });
});

Deno.test("a zod schema types a record, and a JSON Schema leaves it unknown", async () => {
  await using db = await postern()
    .record("typed", READING)
    .record("ring", { schema: READING, bufferType: "spmc_ring", capacity: 2 })
    .record("untyped", { type: "number" })
    .record("any")
    .build();
  const typed: EmbeddedRecord<{ celsius: number; at?: string | undefined }> = db.record("typed");
  const ring: EmbeddedRecord<{ celsius: number; at?: string | undefined }> = db.record("ring");
  const untyped: EmbeddedRecord<unknown> = db.record("untyped");
  for (const celsius of [1, 2, 3]) await ring.set({ celsius });
  assertEquals((await ring.history()).map(({ value }) => value.celsius), [2, 3]);
  // @ts-expect-error: the schema says what a value is.
  await assertRejects(() => typed.set({ fahrenheit: 70 }));
  await untyped.set(3);
  await db.record("any").set([null]);
});

Deno.test("a value that does not match the schema is refused with its path", async () => {
  await using db = await postern().record("SensorData", READING).build();
  const wrong = { celsius: "warm" } as unknown as { celsius: number };
  const error = await assertRejects(() => db.record("SensorData").set(wrong));
  assertCode(error, "invalid_params", /value\/celsius: does not match the schema/);
});

Deno.test("what is no JSON value is refused, and nothing is set", async () => {
  await using db = await postern().record("any").build();
  const circle: unknown[] = [];
  circle.push(circle);
  let deep: unknown = 0;
  for (let i = 0; i < 129; i++) deep = [deep];
  for (const value of [undefined, () => {}, 1n, circle, deep, NaN, Infinity, { a: [-Infinity] }]) {
    const error = await assertRejects(() => db.record("any").set(value));
    assertCode(error, "invalid_params", /^record\.set: value: must be a JSON value: /);
  }
  const large = await assertRejects(() => db.record("any").set("x".repeat(1024 * 1024)));
  assertCode(large, "too_large", /at most 1047552 bytes as JSON, this one has 1048578/);
  await assertRejects(() => db.record("any").get());
});

Deno.test("a value that the program changes afterwards stays as it was set", async () => {
  await using db = await postern().record("any").build();
  const value = { list: [1] };
  const set = db.record("any").set(value);
  value.list.push(2);
  await set;
  assertEquals((await db.record("any").get()).value, { list: [1] });
});

Deno.test("ifSequence sets only what nobody has set meanwhile", async () => {
  await using db = await postern().record("owner").build();
  await db.record("owner").set("first", { ifSequence: 0 });
  const error = await assertRejects(() => db.record("owner").set("second", { ifSequence: 0 }));
  assertCode(error, "conflict", /is at 1/);
});

Deno.test("every watch is told every value, beginning with what is there", async () => {
  await using db = await postern().record("door").build();
  await db.record("door").set("shut");
  await using all = db.record("door").watch();
  await using later = db.record("door").watch({ sendInitial: false });
  await db.record("door").set("open");
  assertEquals([await nextValue(all), await nextValue(all)], ["shut", "open"]);
  assertEquals(await nextValue(later), "open");
});

Deno.test("a watch that nobody reads keeps the newest and says how many it dropped", async () => {
  await using db = await postern().withRemoteAccess({ queueSize: 3 }).record("n").build();
  await using watch = db.record("n").watch();
  for (let n = 1; n <= 10; n++) await db.record("n").set(n);
  const first = (await watch.next()).value;
  assertEquals([first?.value, first?.dropped], [8, 7]);
  assertEquals([await nextValue(watch), await nextValue(watch)], [9, 10]);
});

Deno.test("a mailbox's value goes to one watch, the one that waits for it", async () => {
  await using db = await postern().record("jobs", { bufferType: "mailbox" }).build();
  const jobs = db.record("jobs");
  await using idle = jobs.watch();
  await using worker = jobs.watch();
  const taken = worker.next();
  await jobs.set("a");
  assertEquals((await taken).value?.value, "a");
  assertCode(await assertRejects(() => jobs.get()), "no_value", /./);
  // One value for one that waits, however fast they come.
  const next = worker.next();
  await Promise.all([jobs.set("1"), jobs.set("2")]);
  assertEquals((await next).value?.value, "1");
  assertEquals((await jobs.get()).value, "2");
  assertEquals(await nextValue(worker), "2");
  // Nobody waits: it stays in the box until somebody does.
  await jobs.set("b");
  assertEquals((await jobs.get()).value, "b");
  assertEquals(await nextValue(idle), "b");
});

Deno.test("two reads of one watch take two values of a mailbox", async () => {
  await using db = await postern().record("jobs", { bufferType: "mailbox" }).build();
  await using watch = db.record("jobs").watch();
  const both = Promise.all([watch.next(), watch.next()]);
  await db.record("jobs").set("a");
  await db.record("jobs").set("b");
  assertEquals((await both).map(({ value }) => value?.value), ["a", "b"]);
});

Deno.test("a signal ends a watch, and so does the close, which refuses what comes after", async () => {
  const db = await postern().record("door").build();
  const controller = new AbortController();
  const aborted = db.record("door").watch({ signal: controller.signal });
  const pending = aborted.next();
  controller.abort(new Error("enough"));
  await assertRejects(() => pending, Error, "enough");
  const watch = db.record("door").watch();
  const last = watch.next();
  await db.close();
  assertEquals(await last, { done: true, value: undefined });
  await db.closed;
  const refusal = /the daemon in this program is closed/;
  assertCode(await assertRejects(() => db.record("door").set(1)), "shutting_down", refusal);
  assertCode(assertThrows(() => db.record("door").watch()), "shutting_down", refusal);
});

Deno.test("more calls than are answered in time are refused, and the others keep their order", async () => {
  await using stage = await storedRecord();
  const sets = Array.from({ length: 5000 }, (_, n) => stage.record.set(n));
  const outcomes = await Promise.allSettled(sets);
  const refused = outcomes.filter(({ status }) => status === "rejected");
  assertEquals(refused.length, 5000 - 4096);
  assertCode((refused[0] as PromiseRejectedResult).reason, "too_many", /4096 calls wait/);
  assertEquals(await stage.record.get().then(({ value, sequence }) => [value, sequence]), [
    4095,
    4096,
  ]);
});

Deno.test("a record that was not declared is an error that names the nearest", async () => {
  await using db = await postern().record("SensorData").record("Config").build();
  // @ts-expect-error: the types know what was declared.
  const error = assertThrows(() => db.record("SensorDta"));
  assertCode(error, "not_found", /no record "SensorDta"; the nearest is "SensorData"/);
});

Deno.test("what cannot be declared is refused where it is said, or by the build", async () => {
  const twice = () => postern().record("a").record("a");
  assertCode(assertThrows(twice), "invalid_params", /"a" is declared already/);
  const date = () => postern().record("a", z.date());
  assertCode(assertThrows(date), "invalid_params", /record\("a"\): schema: has no JSON Schema/);
  const odd = () => postern().record("a", { bufferType: "stack" } as never);
  assertCode(assertThrows(odd), "invalid_params", /record\("a"\): bufferType: .*got "stack"/);
  for (
    const [builder, code, message] of [
      [postern().record("a b"), "invalid_params", /must be dot-separated segments/],
      [postern().record("aimx.mine"), "permission_denied", /the daemon's own/],
      [
        postern().record("a", { type: "numbr" }),
        "invalid_params",
        /type: must be one or more of .*got "numbr"/,
      ],
      [postern().record("a", { capacity: 3 }), "invalid_params", /capacity: must be 1/],
    ] as const
  ) assertCode(await assertRejects(() => builder.build()), code, message);
});

Deno.test("a builder does not change: one is the beginning of several", async () => {
  const base = postern().record("shared");
  await using one = await base.record("one").build();
  await using two = await base.build();
  await one.record("shared").set(1);
  await assertRejects(() => two.record("shared").get());
  assertThrows(() => (two as unknown as typeof one).record("one"));
});

/** A record on disk, so that a set is not answered at once. */
async function storedRecord() {
  const base = Deno.realPathSync(await Deno.makeTempDir({ prefix: "postern_", dir: "/tmp" }));
  const db = await postern().storedIn(`${base}/d`).record("n").build();
  const dispose = async () => {
    await db.close();
    await Deno.remove(base, { recursive: true });
  };
  return { record: db.record("n"), [Symbol.asyncDispose]: dispose };
}
