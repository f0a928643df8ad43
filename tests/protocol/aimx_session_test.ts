/**
 * The AimX specification's example session, line by line, and its test of the whole flow.
 *
 * What a client writes is to the letter what the specification prints; of an answer it prints the shape.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { VERSION } from "../../src/core/version.ts";
import { localClient, openAimx } from "../support/aimx_client.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

/** A program that publishes `SensorData`, as the specification's example has it. */
async function publisher(daemon: TestDaemon) {
  const call = await localClient(daemon);
  await call("record.define", { name: "SensorData" });
  await call("record.set", { name: "SensorData", value: { celsius: 20 } });
  return (celsius: number) => call("record.set", { name: "SensorData", value: { celsius } });
}

Deno.test("the specification's example session is answered as it shows", async () => {
  await using daemon = await startTestDaemon();
  const publish = await publisher(daemon);
  const client = await daemon.connect();

  const { welcome } = await client.askText(
    '{"hello": {"version": "1.0", "client": "aimdb-cli/0.1.0"}}',
  );
  assertEquals(welcome, {
    version: "1.0",
    server: `postern/${VERSION}`,
    permissions: ["read", "subscribe"],
    writable_records: [],
    max_subscriptions: 32,
    authenticated: false,
  });

  const list = await client.askText('{"id": 1, "method": "record.list"}');
  assertEquals([list.id, list.result[0].name], [1, "SensorData"]);
  assertMatch(list.result[0].type_id, /^0x[0-9a-f]{16}$/);

  const get = await client.askText(
    '{"id": 2, "method": "record.get", "params": {"name": "SensorData"}}',
  );
  const { timestamp } = get.result;
  assertEquals(get, { id: 2, result: { value: { celsius: 20 }, timestamp, sequence: 1 } });
  assertMatch(timestamp, /^\d{10,}\.\d{9}$/);

  const subscribe = await client.askText(
    '{"id": 3, "method": "record.subscribe", "params": {"name": "SensorData"}}',
  );
  const { subscription_id } = subscribe.result;
  assertEquals(subscribe, { id: 3, result: { subscription_id, queue_size: 100 } });
  assertMatch(subscription_id, /^sub-\d+$/);

  await publish(21);
  for (const [sequence, celsius] of [[1, 20], [2, 21]]) {
    const { event } = await client.next();
    const { timestamp } = event;
    assertEquals(event, {
      subscription_id,
      name: "SensorData",
      sequence,
      data: { celsius },
      timestamp,
    });
  }

  const unsubscribe = await client.askText(
    `{"id": 4, "method": "record.unsubscribe", "params": {"subscription_id": "${subscription_id}"}}`,
  );
  assertEquals(unsubscribe, { id: 4, result: {} });
  await publish(22);
  const after = await client.askText('{"id": 5, "method": "system.ping"}');
  assertEquals(after.id, 5, "nothing came in between");
});

Deno.test("test_remote_access_flow", async () => {
  await using daemon = await startTestDaemon();
  const publish = await publisher(daemon);
  const observer = await openAimx(daemon);
  assertEquals(observer.welcome.permissions, ["read", "subscribe"]);

  const [record] = await observer.call("record.list") as unknown as { name: string }[];
  assertEquals(record!.name, "SensorData");
  const { name } = record!;
  assertEquals((await observer.call("record.get", { name })).value, { celsius: 20 });

  const opened = await observer.call("record.subscribe", { name, send_initial: false });
  for (const celsius of [21, 22, 23]) {
    await publish(celsius);
    const event = await observer.event();
    assertEquals([event.subscription_id, event.data], [opened.subscription_id, { celsius }]);
  }

  assertEquals(await observer.call("record.unsubscribe", opened), {});
  await publish(24);
  await observer.expectNothingPushed();

  observer.raw.close();
  const other = await openAimx(daemon);
  assertEquals((await other.call("record.get", { name })).value, { celsius: 24 });
});

Deno.test("a line of the session in another order is answered, too", async () => {
  await using daemon = await startTestDaemon();
  await publisher(daemon);
  const client = await daemon.connect();
  await client.write(
    '{"client":"x","hello":{"client":"aimdb-cli/0.1.0","version":"1.0"}}\r\n' +
      '\n{"params":{"name":"SensorData"},"method":"record.get","id":2}\n' +
      '{"method":"record.unsubscribe","params":{"subscription_id":"sub-1"},"id":4}\n' +
      '{"id":1,"method":"record.list","params":{}}\n',
  );
  assertEquals(Object.keys(await client.next()), ["welcome"]);
  assertEquals((await client.next()).result.sequence, 1);
  assertEquals((await client.next()).error.code, "NOT_FOUND");
  assertEquals((await client.next()).id, 1);
});
