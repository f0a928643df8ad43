/** The shape of AimX's errors, and each of its codes, provoked through the socket. */

import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { AimxClient, greet, localClient, OPEN_POLICY, openAimx } from "../support/aimx_client.ts";
import { startTestDaemon } from "../support/in_process.ts";
import type { Line } from "../support/raw_client.ts";

function expectErrorShape(error: Line, code: string): void {
  assertEquals(Object.keys(error).sort(), ["code", "details", "message"]);
  assertEquals(error.code, code);
  assertMatch(error.message, /\S/);
  assertMatch(error.details.code, /^[a-z_]+$/);
}

/** A client with the token, who may set everything. */
async function withClient(play: (client: AimxClient) => Promise<void>): Promise<void> {
  await using daemon = await startTestDaemon({ config: OPEN_POLICY });
  await play(await openAimx(daemon, { token: true }));
}

/** A request after records `x` (of numbers) and `box` are there, the code it is refused with, and ours. */
const REFUSALS: readonly (readonly [string, unknown, string, string])[] = [
  ["no.such", {}, "PROTOCOL_ERROR", "unknown_operation"],
  ["record.get", [1], "VALIDATION_ERROR", "invalid_params"],
  ["record.get", null, "VALIDATION_ERROR", "invalid_params"],
  ["record.get", {}, "VALIDATION_ERROR", "invalid_params"],
  ["record.get", { name: "nobody" }, "NOT_FOUND", "not_found"],
  ["record.get", { name: "box" }, "NO_VALUE", "no_value"],
  ["record.history", { name: "x" }, "NO_BUFFER", "no_value"],
  ["record.history", { name: "box" }, "NO_BUFFER", "no_value"],
  ["record.set", { name: "nobody", value: 1 }, "NOT_FOUND", "not_found"],
  ["record.set", { name: "x", value: "one" }, "VALIDATION_ERROR", "invalid_params"],
  ["record.set", { name: "x", value: 1, if_sequence: 9 }, "VALIDATION_ERROR", "conflict"],
  ["record.set", { name: "aimx.metrics", value: 1 }, "PERMISSION_DENIED", "permission_denied"],
  ["record.unsubscribe", { subscription_id: "sub-9" }, "NOT_FOUND", "not_found"],
  ["record.define", { name: "x", volatile: true }, "VALIDATION_ERROR", "conflict"],
  [
    "record.define",
    { name: "y", schema: { a: "x".repeat(33_000) } },
    "PROTOCOL_ERROR",
    "too_large",
  ],
  ["system.shutdown", {}, "PERMISSION_DENIED", "permission_denied"],
  ["event.ack", { up_to_seq: 9 }, "VALIDATION_ERROR", "ack_out_of_range"],
  ["auth.login", { token: "no" }, "AUTH_FAILED", "auth_failed"],
];

for (const [method, params, code, ours] of REFUSALS) {
  const shown = JSON.stringify(params).slice(0, 60);
  Deno.test(`${method} ${shown} is ${code}, and details say ${ours}`, async () => {
    await withClient(async (client) => {
      await client.call("record.define", { name: "x", schema: { type: "number" } });
      await client.call("record.define", { name: "box", buffer_type: "mailbox" });
      const { error } = await client.ask(method, params);
      expectErrorShape(error, code);
      assertEquals(error.details.code, ours);
      await client.call("system.ping");
    });
  });
}

Deno.test("a conflict tells the sequence, a wrong value the path", async () => {
  await withClient(async (client) => {
    const schema = { properties: { a: { items: { type: "number" } } } };
    await client.call("record.define", { name: "x", schema });
    await client.call("record.set", { name: "x", value: {} });
    const conflict = await client.ask("record.set", { name: "x", value: {}, if_sequence: 5 });
    assertEquals(conflict.error.details, { sequence: 1, code: "conflict" });
    const wrong = await client.ask("record.set", { name: "x", value: { a: [1, "b"] } });
    assertEquals(wrong.error.details, { field: "value", path: "/a/1", code: "invalid_params" });
  });
});

Deno.test("AUTH_REQUIRED is what needs a token on a connection without one", async () => {
  await using daemon = await startTestDaemon({ config: OPEN_POLICY });
  await (await localClient(daemon))("record.define", { name: "x" });
  const client = await openAimx(daemon);
  const closed = ["record.set", "record.define", "record.remove", "event.send", "system.whoami"];
  for (const method of closed) {
    const { error } = await client.ask(method, { name: "x", value: 1 });
    expectErrorShape(error, "AUTH_REQUIRED");
  }
  for (const method of ["system.ping", "system.status", "record.list"]) await client.call(method);
});

Deno.test("INTERNAL_ERROR is what is nobody's fault here, such as values that fill all room", async () => {
  await withClient(async (client) => {
    await client.call("record.define", {
      name: "x",
      buffer_type: "spmc_ring",
      capacity: 100,
      volatile: true,
    });
    const line = `{"id":1,"method":"record.set","params":{"name":"x","value":"${
      "x".repeat(1_000_000)
    }"}}\n`;
    let last: Line = {};
    for (let i = 0; i < 70 && last.error === undefined; i++) {
      await client.raw.write(line);
      last = await client.raw.reply();
    }
    expectErrorShape(last.error, "INTERNAL_ERROR");
    assertEquals(last.error.details.code, "storage_full");
    await client.call("record.remove", { name: "x" });
  });
});

Deno.test("TOO_MANY_SUBSCRIPTIONS is the 33rd, and unsubscribing makes room", async () => {
  await withClient(async (client) => {
    assertEquals(client.welcome.max_subscriptions, 32);
    const ids: string[] = [];
    for (let i = 0; i < 32; i++) {
      ids.push((await client.call("record.subscribe", { name: "a.>" })).subscription_id);
    }
    assertEquals(new Set(ids).size, 32);
    for (let i = 0; i < 300; i++) {
      const { error } = await client.ask("record.subscribe", { name: "a.>" });
      expectErrorShape(error, "TOO_MANY_SUBSCRIPTIONS");
      assertEquals(error.details.limit, 32);
    }
    await client.call("record.unsubscribe", { subscription_id: ids[7] });
    const { subscription_id } = await client.call("record.subscribe", { name: "a.>" });
    assertEquals(ids.includes(subscription_id), false, "an id is used once");
    assertEquals(await client.codeOf("record.subscribe", { name: ">" }), "TOO_MANY_SUBSCRIPTIONS");
  });
});

const IDS: Record<string, string | null> = {
  "1": "1",
  "0": "0",
  "-7": "-7",
  "9007199254740993": "9007199254740993",
  "123456789012345678901234567890": "123456789012345678901234567890",
  "-123456789012345678901234567890": "-123456789012345678901234567890",
  "1.5": null,
  '"1"': null,
  "null": null,
  "true": null,
  "{}": null,
  "[1]": null,
  "1e400": null,
  "12345678901234567890.5": null,
};

for (const [id, echoed] of Object.entries(IDS)) {
  Deno.test(`an id ${id} is ${echoed === null ? "PROTOCOL_ERROR" : "echoed as it is"}`, async () => {
    await using daemon = await startTestDaemon();
    const { raw } = await openAimx(daemon);
    await raw.write(`{"id":${id},"method":"system.ping"}\n`);
    const text = await raw.text();
    assertEquals(text.startsWith(`{"id":${echoed ?? "null"},`), true, text);
    assertEquals(text.includes("PROTOCOL_ERROR"), echoed === null, text);
  });
}

const MALFORMED: Record<string, unknown> = {
  '{"method":"system.ping"}': null,
  '{"id":1}': 1,
  '{"id":1,"method":7}': 1,
  '{"id":1,"method":""}': 1,
  '{"id":1,"method":null}': 1,
  '{"id":1,"method":["system.ping"]}': 1,
  '{"id":1,"method":"constructor"}': 1,
  '{"id":1,"method":"__proto__"}': 1,
  "{}": null,
  "[]": null,
  '[{"id":1,"method":"system.ping"}]': null,
  "7": null,
  '"hello"': null,
  "null": null,
  '{"cmd":"status"}': null,
  '{"id":1,"method":"system.ping"': null,
  "{": null,
  "not JSON at all": null,
  "\u0000": null,
};

for (const [text, id] of Object.entries(MALFORMED)) {
  Deno.test(`${JSON.stringify(text)} is PROTOCOL_ERROR, and the next request is answered`, async () => {
    await using daemon = await startTestDaemon();
    const client = await openAimx(daemon);
    const line = await client.raw.askText(text);
    assertEquals([Object.keys(line), line.id], [["id", "error"], id]);
    expectErrorShape(line.error, "PROTOCOL_ERROR");
    await client.call("system.ping");
  });
}

Deno.test("a line that is not UTF-8 is PROTOCOL_ERROR, and the next request is answered", async () => {
  await using daemon = await startTestDaemon();
  const client = await openAimx(daemon);
  await client.raw.write(new Uint8Array([0x22, 0xff, 0x22, 0x0a]));
  expectErrorShape((await client.raw.reply()).error, "PROTOCOL_ERROR");
  await client.call("system.ping");
});

Deno.test("a line that is too long is PROTOCOL_ERROR, and the end", async () => {
  const config = { limits: { max_line_bytes: 4096 } };
  await using daemon = await startTestDaemon({ config });
  const { raw } = await openAimx(daemon);
  await raw.write("x".repeat(5000));
  const [line, ...more] = await raw.untilClosed();
  assertEquals([line!.id, line!.error.code, more], [null, "PROTOCOL_ERROR", []]);
  assertEquals(line!.error.details, { limit: 4096, code: "too_large" });
});

Deno.test("a long method does not come back whole", async () => {
  await using daemon = await startTestDaemon();
  const client = await openAimx(daemon);
  const reply = await client.ask("m".repeat(100_000));
  assertLess(JSON.stringify(reply).length, 1000);
  const name = await client.ask("record.get", { name: "n".repeat(200) });
  assertLess(JSON.stringify(name).length, 1000);
});

Deno.test("a connection too many is told so before its first line, in AXON's form", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_connections: 1 } } });
  await openAimx(daemon);
  const [line, ...more] = await (await daemon.connect()).untilClosed();
  assertEquals([line!.ok, line!.error, more], [false, "too_many", []]);
});

Deno.test("replies come in the order of the requests, refused ones too", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await greet(client);
  const methods = ["system.ping", "no.such", "record.list", "record.set", "system.status"];
  const requests = Array.from({ length: 200 }, (_, id) => ({ id, method: methods[id % 5] }));
  await client.send(...requests);
  for (const { id } of requests) assertEquals((await client.next()).id, id);
});
