/** Records against a real daemon: watched, read and set by a program, over restarts and kills. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Client, PosternError, type RecordUpdate, type Watch } from "../../src/client/mod.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { startProcess, TestDirectory } from "../support/process.ts";
import { connectTo, Gate, takeFrom } from "./steady.ts";

async function define(client: Client, ...names: string[]): Promise<void> {
  for (const name of names) await client.call("record.define", { name });
}

/** The next updates as name and sequence. */
function take(watch: Watch, count: number): Promise<string[]> {
  return takeFrom(watch, count, ({ name, sequence }) => `${name} ${sequence}`);
}

async function watchersOf(client: Client, name: string): Promise<number | undefined> {
  const records = await client.call("record.list");
  return records.find((record) => record.name === name)?.consumer_count;
}

/** Another program's word to the daemon. */
async function tell(daemon: TestDaemon, ...requests: Record<string, unknown>[]): Promise<void> {
  using other = await daemon.v2();
  for (const request of requests) assertEquals((await other.ask(request)).ok, true);
}

Deno.test("a watch brings what the records of its pattern hold, then what is set", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await define(client, "sensor.a", "sensor.b", "other");
  await client.set("sensor.a", 1);
  await client.set("other", 1);
  await using watch = client.watch<number>("sensor.*");
  const { value } = await watch.next();
  const { timestamp } = await client.get("sensor.a");
  assertEquals(value, { name: "sensor.a", sequence: 1, value: 1, timestamp });
  await client.set("other", 2);
  await client.set("sensor.b", 2);
  await define(client, "sensor.c");
  await client.set("sensor.c", 3);
  assertEquals(await take(watch, 2), ["sensor.b 1", "sensor.c 1"]);
});

Deno.test("watches go over their client's one connection, and end with it or before", async () => {
  await using daemon = await startTestDaemon();
  await using observer = await connectTo(daemon);
  await define(observer, "r");
  const client = await connectTo(daemon);
  const { connections } = await observer.status();
  const watches = Array.from({ length: 32 }, () => client.watch("r"));
  await Promise.all(watches.map(({ started }) => started));
  assertEquals((await observer.status()).connections, connections);
  assertEquals(await watchersOf(client, "r"), 32);
  try {
    client.watch("r");
  } catch (error) {
    assert(error instanceof PosternError && error.code === "too_many");
    watches[0]!.close();
  }
  assertEquals(await watchersOf(client, "r"), 31);
  await client.watch("r").started;
  await client.set("r", 1);
  assertEquals(await take(watches[1]!, 1), ["r 1"]);
  await client.close();
  assertEquals(await watches[2]!.next(), { done: true, value: undefined });
});

Deno.test("leaving a loop ends the watch at the daemon too", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await define(client, "r");
  await client.set("r", 1);
  for await (const { value } of client.watch("r")) {
    assertEquals([value, await watchersOf(client, "r")], [1, 1]);
    break;
  }
  assertEquals(await watchersOf(client, "r"), 0);
});

Deno.test("who does not read is given the newest values, and the count of all the others", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await client.call("record.define", { name: "r", volatile: true });
  await using watch = client.watch<number>("r", { queueSize: 5 });
  await watch.started;
  const total = 20_000;
  const sets = Array.from({ length: total }, (_, n) => client.set("r", n + 1));
  await Promise.all(sets);
  const updates: RecordUpdate<number>[] = [];
  let dropped = 0;
  for await (const update of watch) {
    updates.push(update);
    dropped += update.dropped ?? 0;
    if (update.sequence === total) break;
  }
  assertEquals(updates.length + dropped, total);
  assert(updates.length < 100, `${updates.length} old values were told`);
  for (const { sequence, value } of updates) assertEquals(value, sequence);
});

Deno.test("a watch goes on after a restart with what was set meanwhile, and nothing twice", async () => {
  await using daemon = await startTestDaemon();
  const gate = new Gate();
  await using client = await connectTo(daemon, { gate });
  await define(client, "x.a", "x.b");
  await client.set("x.a", 1);
  await client.set("x.b", 1);
  await using watch = client.watch("x.>", { sendInitial: true });
  await using later = client.watch("x.a", { sendInitial: false });
  await later.started;
  assertEquals((await take(watch, 2)).sort(), ["x.a 1", "x.b 1"]);
  await daemon.restart();
  await tell(daemon, { cmd: "record.set", name: "x.b", value: 2 });
  gate.open();
  await client.set("x.a", 2);
  const told = (await Promise.all([take(watch, 2), take(later, 1)])).flat();
  assertEquals(told, ["x.b 2", "x.a 2", "x.a 2"]);
});

Deno.test("a record that was removed and defined anew begins at 1, on one connection and over a loss", async () => {
  await using daemon = await startTestDaemon();
  const gate = new Gate();
  await using client = await connectTo(daemon, { gate });
  const anew = ["record.remove", "record.define"].map((cmd) => ({ cmd, name: "r" }));
  await define(client, "r");
  await using watch = client.watch("r");
  for (let n = 1; n <= 2; n++) await client.set("r", n);
  assertEquals(await take(watch, 2), ["r 1", "r 2"]);
  await tell(daemon, ...anew);
  await client.set("r", "anew");
  assertEquals(await take(watch, 1), ["r 1"]);
  await daemon.restart();
  await tell(daemon, ...anew, { cmd: "record.set", name: "r", value: "once more" });
  gate.open();
  const { value } = await watch.next();
  assertEquals([value?.sequence, value?.value], [1, "once more"]);
});

Deno.test("what keeps a watch from beginning is thrown, in time or on the signal too", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  const codeOf = async (watch: Watch) =>
    (await assertRejects(() => watch.next(), PosternError)).code;
  assertEquals(await codeOf(client.watch("nothing")), "not_found");
  assertEquals(await codeOf(client.watch("no name")), "invalid_params");
  assertEquals(await codeOf(client.watch(">", { queueSize: 0 })), "invalid_params");
  const controller = new AbortController();
  await using watch = client.watch(">", { signal: controller.signal });
  await take(watch, 1);
  const next = assertRejects(
    async () => {
      for await (const _ of watch);
    },
    Error,
    "enough",
  );
  controller.abort(new Error("enough"));
  await next;
  await daemon.stop();
  assertEquals(await codeOf(client.watch(">", { timeoutMs: 1 })), "timeout");
  await daemon.start();
});

Deno.test("a value is set on the condition of what was read, by one of many", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await define(client, "r");
  const none = await assertRejects(() => client.get("r"), PosternError);
  assertEquals([none.code, none.details?.sequence], ["no_value", 0]);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 10 }, (_, n) => client.set("r", n, { ifSequence: 0 })),
  );
  assertEquals(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") continue;
    assertEquals([outcome.reason.code, outcome.reason.details.sequence], ["conflict", 1]);
  }
  const { value, sequence } = await client.get<number>("r");
  assertEquals([value, sequence], [0, 1]);
});

Deno.test("kills during a watch: sequences only rise, and the last value comes", async () => {
  const kills = 10;
  await using directory = new TestDirectory();
  let daemon = await startProcess(directory.path).ready();
  try {
    await using client = await connectTo(directory.path);
    await define(client, "r");
    await using watch = client.watch<number>("r");
    let last = 0;
    const until = async (sequence: number) => {
      while (last < sequence) {
        const [next] = await takeFrom(watch, 1, (update) => update.sequence);
        assert(next! > last, `${next} after ${last}`);
        last = next!;
      }
    };
    for (let kill = 0; kill < kills; kill++) {
      const { sequence } = await client.set("r", "the first");
      const sets = Array.from({ length: 50 }, (_, n) => client.set("r", n));
      const settled = Promise.allSettled(sets);
      await until(sequence + 1 + kill);
      await daemon.crash();
      daemon = await startProcess(directory.path).ready();
      await settled;
    }
    const { sequence } = await client.set("r", "the last");
    await until(sequence);
    assertEquals(last, (await client.get("r")).sequence);
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
});
