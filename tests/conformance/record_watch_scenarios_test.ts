/** What whoever watches records is told in every dialect: the same scenarios, played in each. */

import { assertEquals, assertGreater } from "@std/assert";
import { range } from "../support/expect.ts";
import type { Line } from "../support/raw_client.ts";
import { define, get, set, shown, watch } from "./records.ts";
import { expectRefused, PUSHED, resultOf, scenario as inEveryDialect } from "./scenario.ts";

/** Nothing of this can be played by single requests. */
const scenario: typeof inEveryDialect = (name, play, options) =>
  inEveryDialect(name, play, { ...options, except: { ...options?.except, ...PUSHED } });

scenario("a watcher is told what is there, and then what is set, in order", async (scene) => {
  const { speaker } = scene;
  const setter = await scene.another();
  await define(speaker, "x");
  resultOf(await set(setter, "x", "before"));
  const opened = resultOf(await watch(speaker, "x"));
  assertEquals(opened.queue_size, 100);
  for (const value of range(1, 20)) resultOf(await set(setter, "x", value));
  const updates = [await speaker.update()];
  while (updates.length < 21) updates.push(await speaker.update());
  assertEquals(updates.map(shown), [
    'x 1="before"',
    ...range(1, 20).map((value) => `x ${value + 1}=${value}`),
  ]);
  for (const { subscription_id, dropped } of updates) {
    assertEquals([subscription_id, dropped], [opened.subscription_id, undefined]);
  }
});

scenario("with send_initial false a watcher is told only what comes", async ({ speaker }) => {
  await define(speaker, "x");
  resultOf(await set(speaker, "x", 1));
  resultOf(await watch(speaker, "x", { send_initial: false }));
  resultOf(await set(speaker, "x", 2));
  assertEquals((await speaker.updatesSoFar()).map(shown), ["x 2=2"]);
});

scenario("a pattern watches many records, those to come as well", async ({ speaker }) => {
  for (const name of ["sensor.a", "sensor.a.deep", "other.a"]) {
    await define(speaker, name);
    resultOf(await set(speaker, name, name));
  }
  const star = resultOf(await watch(speaker, "sensor.*"));
  assertEquals((await speaker.updatesSoFar()).map(shown), ['sensor.a 1="sensor.a"']);
  await define(speaker, "sensor.b");
  for (const name of ["sensor.b", "sensor.a.deep", "other.a", "sensor.a"]) {
    resultOf(await set(speaker, name, 2));
  }
  assertEquals((await speaker.updatesSoFar()).map(shown), ["sensor.b 1=2", "sensor.a 2=2"]);
  resultOf(await speaker.call("record.unsubscribe", star));
  resultOf(await watch(speaker, "sensor.>", { send_initial: false }));
  resultOf(await set(speaker, "sensor.a.deep", 3));
  assertEquals((await speaker.updatesSoFar()).map(shown), ["sensor.a.deep 3=3"]);
  for (const name of ["sensor.>.a", "a..b", "*>"]) {
    expectRefused(speaker, await watch(speaker, name), "invalid_params");
  }
  resultOf(await watch(speaker, "nobody.yet.*"));
});

scenario("a watch goes on over the removal of its record", async ({ speaker }) => {
  await define(speaker, "x");
  resultOf(await set(speaker, "x", 1));
  resultOf(await watch(speaker, "x", { send_initial: false }));
  resultOf(await set(speaker, "x", 2));
  resultOf(await speaker.call("record.remove", { name: "x" }));
  await define(speaker, "x");
  resultOf(await set(speaker, "x", "anew"));
  assertEquals((await speaker.updatesSoFar()).map(shown), ["x 2=2", 'x 1="anew"']);
});

scenario("nothing of a watch follows the reply that ends it", async ({ speaker, another }) => {
  const setter = await another();
  await define(speaker, "x");
  const { subscription_id } = resultOf(await watch(speaker, "x"));
  resultOf(await set(setter, "x", 1));
  assertEquals((await speaker.updatesSoFar()).map(shown), ["x 1=1"]);
  assertEquals(resultOf(await speaker.call("record.unsubscribe", { subscription_id })), {});
  resultOf(await set(setter, "x", 2));
  assertEquals(await speaker.updatesSoFar(), []);
  const [x] = (resultOf(await speaker.call("record.list")) as unknown as Line[])
    .filter(({ name }) => name === "x");
  assertEquals(x!.consumer_count, 0);
  const again = await speaker.call("record.unsubscribe", { subscription_id });
  expectRefused(speaker, again, "not_found");
});

scenario("what a mailbox holds goes to one watcher, in turn", async ({ speaker, another }) => {
  const [one, other] = [await another(), await another()];
  await define(speaker, "box", { buffer_type: "mailbox" });
  for (const value of ["lost", "kept"]) resultOf(await set(speaker, "box", value));
  assertEquals(await get(speaker, "box"), ["kept", 2]);
  resultOf(await watch(one, "box"));
  assertEquals((await one.updatesSoFar()).map(shown), ['box 2="kept"']);
  expectRefused(speaker, await speaker.call("record.get", { name: "box" }), "no_value");
  resultOf(await watch(other, "box"));
  for (const value of range(1, 10)) resultOf(await set(speaker, "box", value));
  const told = [await one.updatesSoFar(), await other.updatesSoFar()];
  assertEquals(told.map((updates) => updates.length), [5, 5]);
  const data = told.flat().map((update) => update.data as number).sort((a, b) => a - b);
  assertEquals(data, range(1, 10));
});

scenario("who does not read gets the newest, and is told how many were dropped", async (scene) => {
  const { speaker } = scene;
  const setter = await scene.another();
  await define(speaker, "x", { volatile: true });
  const { queue_size } = resultOf(await watch(speaker, "x", { queue_size: 2 }));
  assertEquals(queue_size, 2);
  const count = 3000;
  const filler = "x".repeat(1000);
  for (let done = 0; done < count; done += 500) {
    const sets = range(done + 1, done + 500)
      .map((n): [string, Line] => ["record.set", { name: "x", value: [n, filler] }]);
    for (const outcome of await setter.callAll(sets)) resultOf(outcome);
  }
  let last = await speaker.update();
  let [told, dropped] = [1, last.dropped ?? 0];
  while (last.sequence < count) {
    const update = await speaker.update();
    assertEquals(update.sequence, last.sequence + 1 + (update.dropped ?? 0));
    [last, told, dropped] = [update, told + 1, dropped + (update.dropped ?? 0)];
  }
  assertEquals(told + dropped, count);
  assertGreater(dropped, 0);
  assertEquals(last.data, [count, filler]);
}, { except: { WebSocket: "a WebSocket is read whether or not anybody wants it" } });
