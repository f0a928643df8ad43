/**
 * What holds of records and their values in every dialect: the same scenarios, played in each.
 *
 * What the policy forbids to AimX alone is in tests/protocol/aimx_policy_test.ts; here it allows everything.
 */

import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { range } from "../support/expect.ts";
import type { Line } from "../support/raw_client.ts";
import { define, get, set, watch } from "./records.ts";
import { expectRefused, PUSHED, resultOf, scenario } from "./scenario.ts";

scenario("what is set is what is read, one sequence further each time", async ({ speaker }) => {
  await define(speaker, "room.temp");
  expectRefused(speaker, await speaker.call("record.get", { name: "room.temp" }), "no_value");
  for (const [i, value] of [21.5, null, { a: ["é", 1e21] }, "", []].entries()) {
    const { sequence, timestamp } = resultOf(await set(speaker, "room.temp", value));
    const got = resultOf(await speaker.call("record.get", { name: "room.temp" }));
    assertEquals(got, { value, sequence, timestamp });
    assertEquals(sequence, i + 1);
    assertMatch(timestamp, /^\d{10,}\.\d{9}$/);
  }
});

scenario("records are listed by name with all their metadata", async ({ speaker, another }) => {
  const schema = { type: "number" };
  const defined = await define(speaker, "b", {
    buffer_type: "spmc_ring",
    capacity: 3,
    schema,
    volatile: true,
  });
  await define(speaker, "a");
  resultOf(await set(speaker, "b", 7));
  resultOf(await watch(await another(), "b"));
  const listed = resultOf(await speaker.call("record.list")) as unknown as Line[];
  assertEquals(listed.map(({ name }) => name), ["a", "aimx.metrics", "b"]);
  const { created_at, last_update, type_id, ...others } = listed[2]!;
  assertEquals(others, {
    name: "b",
    buffer_type: "spmc_ring",
    buffer_capacity: 3,
    producer_count: 1,
    consumer_count: 1,
    writable: true,
    volatile: true,
    sequence: 1,
    schema,
  });
  assertEquals([created_at, type_id], [defined.created_at, defined.type_id]);
  assertMatch(last_update, /^\d{10,}\.\d{9}$/);
  assertMatch(type_id, /^0x[0-9a-f]{16}$/);
  assertEquals([listed[0]!.last_update, "schema" in listed[0]!], [null, false]);
}, { except: PUSHED });

scenario("the same definition again changes nothing, another buffer is conflict", async (scene) => {
  const { speaker } = scene;
  const first = await define(speaker, "x", { buffer_type: "spmc_ring", capacity: 5 });
  resultOf(await set(speaker, "x", 1));
  const again = await define(speaker, "x", { buffer_type: "spmc_ring", capacity: 5 });
  assertEquals([again.created_at, again.sequence], [first.created_at, 1]);
  for (
    const other of [
      {},
      { buffer_type: "spmc_ring", capacity: 6 },
      { buffer_type: "spmc_ring", capacity: 5, volatile: true },
    ]
  ) {
    const params = { name: "x", ...other };
    expectRefused(speaker, await speaker.call("record.define", params), "conflict");
  }
  const changed = await define(speaker, "x", {
    buffer_type: "spmc_ring",
    capacity: 5,
    schema: { type: "integer" },
  });
  assert(changed.type_id !== first.type_id, "the type id is over the schema");
  const schema = { type: "string" };
  const unlike = { name: "x", buffer_type: "spmc_ring", capacity: 5, schema };
  expectRefused(speaker, await speaker.call("record.define", unlike), "conflict");
});

scenario("a record is found by name and by type_id, in either field", async ({ speaker }) => {
  const { type_id } = await define(speaker, "x", { buffer_type: "spmc_ring" });
  for (const params of [{ name: "x" }, { record: "x" }, { name: type_id }, { record: type_id }]) {
    resultOf(await speaker.call("record.set", { ...params, value: params }));
    assertEquals(resultOf(await speaker.call("record.get", params)).value, params);
    assertGreater(resultOf(await speaker.call("record.history", params)).values.length, 0);
    resultOf(await speaker.call("record.subscribe", params));
    assertEquals((await speaker.update()).name, "x");
  }
  const two = { name: "x", record: "y" };
  for (const wrong of [{}, two, { name: "" }, { name: 7 }, { name: "x".repeat(257) }]) {
    for (const operation of ["record.get", "record.history", "record.subscribe"]) {
      expectRefused(speaker, await speaker.call(operation, wrong), "invalid_params");
    }
  }
}, { except: PUSHED });

scenario("what is not there is not_found", async ({ speaker }) => {
  for (const operation of ["record.get", "record.history", "record.subscribe", "record.remove"]) {
    for (const name of ["no.such", "0x0123456789abcdef"]) {
      const outcome = await speaker.call(operation, { name });
      expectRefused(speaker, outcome, "not_found");
    }
  }
  expectRefused(speaker, await set(speaker, "no.such", 1), "not_found");
  const unknown = { subscription_id: "sub-9" };
  expectRefused(speaker, await speaker.call("record.unsubscribe", unknown), "not_found");
});

scenario("a ring keeps its last values, oldest first", async ({ speaker }) => {
  await define(speaker, "ring", { buffer_type: "spmc_ring", capacity: 3 });
  assertEquals(resultOf(await speaker.call("record.history", { name: "ring" })), {
    values: [],
    has_more: false,
  });
  for (const value of range(1, 5)) resultOf(await set(speaker, "ring", value));
  const all = resultOf(await speaker.call("record.history", { name: "ring" }));
  assertEquals(all.values.map(({ value }: Line) => value), [3, 4, 5]);
  assertEquals(all.values.map(({ sequence }: Line) => sequence), [3, 4, 5]);
  assertEquals(all.has_more, false);
  const newest = resultOf(await speaker.call("record.history", { name: "ring", limit: 2 }));
  assertEquals(newest.values.map(({ value }: Line) => value), [4, 5]);
  assertEquals(newest.has_more, true);
  for (const limit of [0, 10_001, 1.5, "2"]) {
    const outcome = await speaker.call("record.history", { name: "ring", limit });
    expectRefused(speaker, outcome, "invalid_params");
  }
});

scenario("if_sequence sets only where nobody was faster", async ({ speaker }) => {
  await define(speaker, "x");
  resultOf(await set(speaker, "x", "first", { if_sequence: 0 }));
  expectRefused(speaker, await set(speaker, "x", "again", { if_sequence: 0 }), "conflict");
  const both = await speaker.callAll([
    ["record.set", { name: "x", value: "one", if_sequence: 1 }],
    ["record.set", { name: "x", value: "other", if_sequence: 1 }],
    ["record.set", { name: "x", value: "unconditional" }],
    ["record.get", { name: "x" }],
  ]);
  assertEquals(resultOf(both[0]!).sequence, 2);
  expectRefused(speaker, both[1]!, "conflict");
  assertEquals(resultOf(both[2]!).sequence, 3);
  assertEquals(resultOf(both[3]!).value, "unconditional");
});

scenario("a value that does not match the schema is refused with its path", async ({ speaker }) => {
  const schema = {
    type: "object",
    properties: { readings: { type: "array", items: { type: "number" } } },
    required: ["readings"],
  };
  await define(speaker, "x", { schema });
  resultOf(await set(speaker, "x", { readings: [1, 2.5] }));
  const outcome = await set(speaker, "x", { readings: [1, "two"] });
  expectRefused(speaker, outcome, "invalid_params");
  assert(!outcome.ok);
  assertMatch(outcome.message, /^record\.set: value\/readings\/1: does not match the schema/);
  expectRefused(speaker, await set(speaker, "x", {}), "invalid_params");
  expectRefused(speaker, await speaker.call("record.set", { name: "x" }), "invalid_params");
  assertEquals(await get(speaker, "x"), [{ readings: [1, 2.5] }, 1]);
});

scenario("a wrong definition is refused", async ({ speaker }) => {
  for (
    const params of [
      { name: "a..b" },
      { name: "" },
      { name: "a b" },
      { name: "0x0123456789abcdef" },
      { name: "x".repeat(257) },
      { name: "x", buffer_type: "queue" },
      { name: "x", capacity: 2 },
      { name: "x", buffer_type: "mailbox", capacity: 2 },
      { name: "x", buffer_type: "spmc_ring", capacity: 0 },
      { name: "x", buffer_type: "spmc_ring", capacity: 10_001 },
      { name: "x", schema: "number" },
      { name: "x", schema: { type: "nummer" } },
      { name: "x", schema: { pattern: "(" } },
      { name: "x", schema: { $ref: "#/nowhere" } },
    ]
  ) {
    expectRefused(speaker, await speaker.call("record.define", params), "invalid_params");
  }
  const long = { name: "x", schema: { description: "x".repeat(33_000) } };
  expectRefused(speaker, await speaker.call("record.define", long), "too_large");
  expectRefused(speaker, await speaker.call("record.get", { name: "x" }), "not_found");
});

scenario("the daemon's own records are nobody's to change", async ({ speaker, byRequests }) => {
  const metrics = resultOf(await speaker.call("record.get", { name: "aimx.metrics" })).value;
  assertEquals(metrics.connections, byRequests ? 0 : 1);
  for (const name of ["aimx.metrics", "aimx.mine", "postern.mine", "aimx", "postern"]) {
    const params = { name };
    expectRefused(speaker, await speaker.call("record.define", params), "permission_denied");
  }
  expectRefused(speaker, await set(speaker, "aimx.metrics", {}), "permission_denied");
  const removal = await speaker.call("record.remove", { name: "aimx.metrics" });
  expectRefused(speaker, removal, "permission_denied");
  await define(speaker, "aimxing.x");
});

scenario("a removed record is gone, and one of the same name begins at 1", async ({ speaker }) => {
  await define(speaker, "x", { buffer_type: "spmc_ring" });
  for (const value of range(1, 3)) resultOf(await set(speaker, "x", value));
  assertEquals(resultOf(await speaker.call("record.remove", { name: "x" })), {});
  expectRefused(speaker, await speaker.call("record.get", { name: "x" }), "not_found");
  expectRefused(speaker, await set(speaker, "x", 1), "not_found");
  await define(speaker, "x");
  expectRefused(speaker, await speaker.call("record.get", { name: "x" }), "no_value");
  assertEquals(resultOf(await set(speaker, "x", 1)).sequence, 1);
});

scenario("values, sequences and definitions are there after a restart", async (scene) => {
  const { daemon, speaker } = scene;
  const schema = { type: "array" };
  const before = [
    await define(speaker, "kept", { schema, writable: true }),
    await define(speaker, "ring", { buffer_type: "spmc_ring", capacity: 2 }),
    await define(speaker, "gone", { volatile: true }),
  ];
  for (const value of [[1], [2], [3]]) {
    for (const name of ["kept", "ring", "gone"]) resultOf(await set(speaker, name, value));
  }
  await daemon.restart();
  const again = await scene.another();
  assertEquals(await get(again, "kept"), [[3], 3]);
  const { values } = resultOf(await again.call("record.history", { name: "ring" }));
  assertEquals(values.map(({ value, sequence }: Line) => [value, sequence]), [[[2], 2], [[3], 3]]);
  expectRefused(again, await again.call("record.get", { name: "gone" }), "no_value");
  const listed = resultOf(await again.call("record.list")) as unknown as Line[];
  for (const { name, created_at, type_id, schema, writable, volatile } of before) {
    const found = listed.find((record) => record.name === name)!;
    assertEquals([found.created_at, found.type_id], [created_at, type_id]);
    assertEquals([found.schema, found.writable, found.volatile], [schema, writable, volatile]);
  }
  for (const name of ["kept", "ring", "gone"]) {
    assertEquals(resultOf(await set(again, name, [4])).sequence, 4);
  }
});

scenario("numbers in a value come back as they were written", async ({ speaker }) => {
  const numbers = ["12345678901234567890", "1e999", "0.1", "1E-400"];
  await define(speaker, "x", { schema: { items: { type: "number" } } });
  resultOf(await set(speaker, "x", numbers.map((number) => JSON.rawJSON(number))));
  resultOf(await watch(speaker, "x"));
  const told = await speaker.text();
  assert(told.includes(`[${numbers.join(",")}]`), told);
}, { except: PUSHED });

scenario("before a token records are read where the dialect opens them", async (scene) => {
  await define(scene.speaker, "x");
  resultOf(await set(scene.speaker, "x", 1));
  const stranger = await scene.another({ token: false });
  const reading = ["record.list", "record.get", "record.subscribe"];
  for (const operation of reading) {
    const outcome = await stranger.call(operation, { name: "x" });
    if (scene.dialect === "AimX") resultOf(outcome);
    else expectRefused(stranger, outcome, "auth_required");
  }
  for (const operation of ["record.set", "record.define", "record.remove"]) {
    const outcome = await stranger.call(operation, { name: "x", value: 2 });
    expectRefused(stranger, outcome, "auth_required");
  }
  assertEquals(await get(scene.speaker, "x"), [1, 1]);
}, { except: PUSHED });
