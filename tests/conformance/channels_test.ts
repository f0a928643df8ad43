/** Records as channels of the AI Assist form: `record.<name>` among the topics of `event.subscribe`. */

import { assertEquals, assertGreater } from "@std/assert";
import { type PartialConfig, startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

/** A connection in this form, with the token shown, and records `x` and `y` whose value is 1. */
async function open(daemon: TestDaemon): Promise<RawClient> {
  const client = await daemon.connect();
  const requests: [string, Line][] = [["auth.login", { token: daemon.token }]];
  for (const name of ["x", "y"]) {
    requests.push(["record.define", { name }], ["record.set", { name, value: 1 }]);
  }
  for (const [method, params] of requests) await ask(client, method, params);
  return client;
}

/** The result; nothing may be pushed before it. */
async function ask(client: RawClient, method: string, params: Line): Promise<Line> {
  await client.send({ id: method, method, params });
  const { id, result, error } = await client.next();
  assertEquals([id, error], [method, undefined]);
  return result;
}

function channelTest(
  name: string,
  play: (client: RawClient) => Promise<void>,
  config: PartialConfig = {},
): void {
  Deno.test(`AI Assist: ${name}`, async () => {
    await using daemon = await startTestDaemon({ config });
    await play(await open(daemon));
  });
}

channelTest("event.subscribe to record.x tells what x holds and is set to", async (client) => {
  const opened = await ask(client, "event.subscribe", { topics: ["record.x"] });
  const { channel, data } = await client.next();
  assertEquals(channel, "record.x");
  const { timestamp, ...fields } = data;
  assertEquals(fields, {
    subscription_id: opened.subscription_id,
    name: "x",
    sequence: 1,
    data: 1,
  });
  assertEquals(typeof timestamp, "string");
  await client.send(
    { id: 1, method: "record.set", params: { name: "x", value: 2 } },
    { id: 2, method: "record.set", params: { name: "y", value: 2 } },
  );
  const lines = [await client.next(), await client.next(), await client.next()];
  const told = lines.find((line) => "channel" in line)!;
  assertEquals([told.channel, told.data.data], ["record.x", 2]);
  assertEquals(lines.filter((line) => "id" in line).map(({ id }) => id), [1, 2]);
});

channelTest("one subscription tells events and records, and ends both", async (client) => {
  const topics = ["build.>", "record.*"];
  const { subscription_id } = await ask(client, "event.subscribe", { topics });
  const told = [await client.next(), await client.next()];
  assertEquals(told.map(({ channel }) => channel), ["record.x", "record.y"]);
  const event = { kind: "notify", topic: "build.done", payload: 7 };
  await client.send({ id: 1, method: "event.send", params: event });
  const lines = [await client.next(), await client.next()];
  assertEquals(lines.find((line) => "channel" in line)!.channel, "build.done");
  assertEquals(await ask(client, "event.unsubscribe", { subscription_id }), {});
  for (const name of ["x", "y"]) {
    assertEquals((await ask(client, "record.set", { name, value: 3 })).sequence, 2);
  }
  await ask(client, "event.send", event);
  await ask(client, "system.ping", {});
});

channelTest(
  "record.unsubscribe ends a subscription that event.subscribe opened",
  async (client) => {
    const { subscription_id } = await ask(client, "event.subscribe", { topics: ["record.x"] });
    assertEquals((await client.next()).channel, "record.x");
    assertEquals(await ask(client, "record.unsubscribe", { subscription_id }), {});
    assertEquals((await ask(client, "record.set", { name: "x", value: 2 })).sequence, 2);
  },
);

channelTest(
  "a slow reader of a channel has the configured queue",
  async (client) => {
    await ask(client, "event.subscribe", { topics: ["record.x"] });
    const filler = "x".repeat(10_000);
    const count = 400;
    const sets = Array.from(
      { length: count },
      (_, i) => ({ id: i, method: "record.set", params: { name: "x", value: [i, filler] } }),
    );
    await client.send(...sets);
    let [told, dropped, last] = [0, 0, 0];
    while (last < count + 1) {
      const { data } = await client.next();
      if (data === undefined) continue;
      [told, dropped, last] = [told + 1, dropped + (data.dropped ?? 0), data.sequence];
    }
    assertEquals(told + dropped, count + 1);
    assertGreater(dropped, 0);
  },
  { records: { queue_size: 1 } },
);
