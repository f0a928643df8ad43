/**
 * Who may change a record, in every combination of policy, opt-in, scopes and dialect; and what the schemas of
 * records allow. Without a socket, because no socket has all these callers.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { encodeJson } from "../../src/codecs/json.ts";
import { PosternError } from "../../src/core/errors.ts";
import { type Scope, SCOPES } from "../../src/core/principal.ts";
import { Producer } from "../../src/core/producer.ts";
import { RecordPolicy, type RecordPolicySettings } from "../../src/core/record_policy.ts";
import { Ticket } from "../../src/core/ticket.ts";
import type { Context } from "../../src/operations/operation.ts";
import { typeIdOf } from "../../src/operations/records.ts";
import { invoke, OPERATIONS } from "../../src/operations/registry.ts";
import { QUIET_SERVICES } from "../support/quiet_services.ts";
import { define, openRecords, type TestRecords } from "../support/test_records.ts";

interface TestCaller {
  /** `null` without a token. */
  readonly scopes: readonly Scope[] | null;
  readonly isRemote: boolean;
  readonly policy?: RecordPolicySettings["policy"];
  readonly writable?: readonly string[];
}

const OWNER: TestCaller = { scopes: SCOPES, isRemote: false };

function contextOf({ records }: TestRecords, caller: TestCaller): Context {
  const { scopes, isRemote, policy = "read_only", writable = [] } = caller;
  const principal = scopes && { tokenId: "t", scopes: new Set(scopes) };
  return {
    caller: { principal, isRemote, producer: new Producer() } as unknown as Context["caller"],
    services: {
      records,
      recordPolicy: new RecordPolicy({ policy, writable }),
      limits: { requireToken: false, recordQueueSize: 100, maxSubscriptions: 32 },
      ...QUIET_SERVICES,
    } as unknown as Context["services"],
  };
}

/** `ok`, or the code of the refusal; with the message for whoever asks. */
async function outcome(
  operation: string,
  params: unknown,
  context: Context,
): Promise<{ code: string; message: string }> {
  try {
    const handled = invoke({ operation, params, opened: false }, context);
    await (handled instanceof Ticket ? handled.promise() : handled);
    return { code: "ok", message: "" };
  } catch (error) {
    assert(error instanceof PosternError, String(error));
    return { code: error.code, message: error.message };
  }
}

const SCOPE_OF: Record<string, Scope> = {
  "record.set": "write",
  "record.define": "admin",
  "record.remove": "admin",
};

/** What must come out, said in another way than the code says it. */
function expected(
  operation: string,
  { scopes, isRemote, policy }: TestCaller,
  isOptedIn: boolean,
): string {
  if (isRemote && policy === "read_only") return "permission_denied";
  if (scopes === null) return "auth_required";
  const hasScope = scopes.includes(SCOPE_OF[operation]!);
  return hasScope && (!isRemote || isOptedIn) ? "ok" : "permission_denied";
}

const SCOPE_SETS: readonly (readonly Scope[] | null)[] = [
  null,
  [],
  ["read"],
  ["write"],
  ["admin"],
  ["read", "send", "serve"],
  ["read", "send", "write", "serve"],
  SCOPES,
];

for (const operation of Object.keys(SCOPE_OF)) {
  Deno.test(`${operation} is allowed by scope, policy and opt-in together, and by nothing less`, async () => {
    const outcomes = { ok: 0, refused: 0 };
    for (const scopes of SCOPE_SETS) {
      for (const isRemote of [true, false]) {
        for (const policy of ["read_only", "read_write"] as const) {
          for (const optIn of ["none", "definition", "pattern"]) {
            const opened = openRecords();
            await define(opened, "conf.x", { writable: optIn === "definition" });
            const writable = optIn === "pattern" ? ["conf.*"] : [];
            const caller: TestCaller = { scopes, isRemote, policy, writable };
            const params = { name: "conf.x", value: 1, writable: optIn === "definition" };
            const { code } = await outcome(operation, params, contextOf(opened, caller));
            const shown = JSON.stringify({ ...caller, optIn });
            assertEquals(code, expected(operation, caller, optIn !== "none"), shown);
            if (code === "ok") outcomes.ok++;
            else outcomes.refused++;
          }
        }
      }
    }
    assert(outcomes.ok > 0 && outcomes.refused > outcomes.ok);
  });
}

Deno.test("an opt-in by definition lets whoever may define take it back, remotely too", async () => {
  const opened = openRecords();
  await define(opened, "x", { writable: true });
  const context = contextOf(opened, { scopes: SCOPES, isRemote: true, policy: "read_write" });
  assertEquals((await outcome("record.define", { name: "x" }, context)).code, "ok");
  assertEquals((await outcome("record.define", { name: "x" }, context)).code, "permission_denied");
});

Deno.test("no operation of the admin scope is open to remote access, but changes of one record", async () => {
  const opened = openRecords();
  const context = contextOf(opened, {
    scopes: SCOPES,
    isRemote: true,
    policy: "read_write",
    writable: [">"],
  });
  for (const { name, scope, changesRecord } of OPERATIONS) {
    if (scope !== "admin" || changesRecord) continue;
    assertEquals((await outcome(name, {}, context)).code, "permission_denied", name);
  }
  assertEquals(
    OPERATIONS.filter(({ changesRecord }) => changesRecord).map(({ name }) => name),
    ["record.define", "record.set", "record.remove"],
  );
});

const OWN = ["aimx", "aimx.metrics", "aimx.x.y", "postern", "postern.anything"];

for (const name of OWN) {
  Deno.test(`${name} is the daemon's own, even for the owner`, async () => {
    const opened = openRecords();
    const context = contextOf(opened, OWNER);
    assertEquals((await outcome("record.define", { name }, context)).code, "permission_denied");
    await define(opened, name);
    for (const operation of ["record.set", "record.remove"]) {
      const { code, message } = await outcome(operation, { name, value: 1 }, context);
      assertEquals(code, "permission_denied");
      assert(message.includes(`"${name}"`), message);
    }
  });
}

/** Schemas that are followed, with a value that fits and one that does not, and where. */
const SCHEMAS: readonly (readonly [schema: unknown, fits: unknown, not: unknown, path: string])[] =
  [
    [{ type: "number" }, 1, "1", ""],
    [{ type: ["string", "null"] }, null, 1, ""],
    [{ type: "integer" }, 3, 3.5, ""],
    [{ enum: ["a", 1] }, 1, "b", ""],
    [{ const: { a: 1 } }, { a: 1 }, { a: 2 }, ""],
    [{ minimum: 0, maximum: 10 }, 10, 11, ""],
    [{ properties: { a: { type: "string" } } }, {}, { a: 1 }, "/a"],
    [{ additionalProperties: false, properties: { a: true } }, { a: 1 }, { b: 1 }, "/b"],
    [{ items: { minLength: 2 } }, ["ab"], ["ab", "c"], "/1"],
    [{ prefixItems: [{ type: "string" }, { type: "number" }] }, ["a", 1], ["a", "b"], "/1"],
    [{ pattern: "^a+$" }, "aaa", "b", ""],
    [{ $defs: { n: { type: "number" } }, properties: { x: { $ref: "#/$defs/n" } } }, { x: 1 }, {
      x: "1",
    }, "/x"],
    [{ properties: { "a/b": { type: "number" } } }, { "a/b": 1 }, { "a/b": "x" }, "/a~1b"],
    [true, { any: 1 }, undefined, ""],
  ];

for (const [schema, fits, not, path] of SCHEMAS) {
  Deno.test(`the schema ${JSON.stringify(schema)} refuses ${JSON.stringify(not)}`, async () => {
    const opened = openRecords();
    const context = contextOf(opened, OWNER);
    assertEquals((await outcome("record.define", { name: "x", schema }, context)).code, "ok");
    const set = (value: unknown) => outcome("record.set", { name: "x", value }, context);
    assertEquals((await set(fits)).code, "ok");
    if (not === undefined) return;
    const { code, message } = await set(not);
    assertEquals(code, "invalid_params");
    assert(message.startsWith(`record.set: value${path}: does not match`), message);
    assertEquals(opened.records.get("test", "x").sequence, 1);
  });
}

/** What is no schema, or none that can be followed. */
const NO_SCHEMAS: readonly unknown[] = [
  "string",
  7,
  null,
  [],
  { type: "nummer" },
  { type: ["string", "nummer"] },
  { properties: { a: { type: "text" } } },
  { pattern: "(" },
  { patternProperties: { "[": true } },
  { $ref: "#/nowhere" },
  { properties: { a: { $ref: "https://example.org/other.json" } } },
];

for (const schema of NO_SCHEMAS) {
  Deno.test(`${JSON.stringify(schema)} is refused as a schema when it is given`, async () => {
    const opened = openRecords();
    const { code, message } = await outcome(
      "record.define",
      { name: "x", schema },
      contextOf(opened, OWNER),
    );
    assertEquals(code, "invalid_params");
    assertMatch(message, /^record\.define: schema: ./);
    assertEquals(opened.records.find("x"), undefined);
  });
}

Deno.test("a schema has at most 32 KiB of text", async () => {
  const opened = openRecords();
  const context = contextOf(opened, OWNER);
  const schemaOf = (bytes: number) => ({
    description: "x".repeat(bytes - '{"description":""}'.length),
  });
  const largest = { name: "x", schema: schemaOf(32 * 1024) };
  assertEquals((await outcome("record.define", largest, context)).code, "ok");
  const larger = { name: "y", schema: schemaOf(32 * 1024 + 1) };
  assertEquals((await outcome("record.define", larger, context)).code, "too_large");
  const wide = { name: "z", schema: { description: "é".repeat(17_000) } };
  assertEquals((await outcome("record.define", wide, context)).code, "too_large");
});

Deno.test("a value that takes too long to check is refused and says so", async () => {
  const opened = openRecords();
  const context = contextOf(opened, OWNER);
  await outcome("record.define", { name: "x", schema: { pattern: "(?=.*b)a" } }, context);
  const { code, message } = await outcome(
    "record.set",
    { name: "x", value: "a".repeat(100_000) },
    context,
  );
  assertEquals(code, "invalid_params");
  assertMatch(message, /^record\.set: value: .*takes too many steps/);
});

Deno.test("a new schema that the present value does not match is conflict, and names where", async () => {
  const opened = openRecords();
  const context = contextOf(opened, OWNER);
  await outcome("record.define", { name: "x" }, context);
  await outcome("record.set", { name: "x", value: { a: [1] } }, context);
  const schema = { properties: { a: { items: { type: "string" } } } };
  const { code, message } = await outcome("record.define", { name: "x", schema }, context);
  assertEquals(code, "conflict");
  assertMatch(message, /"x" does not match it at \/a\/0: /);
  assertEquals((await outcome("record.set", { name: "x", value: { a: [2] } }, context)).code, "ok");
});

Deno.test("a type_id is SHA-256 over name and schema: the same for the same, else another", async () => {
  const ids = await Promise.all([
    typeIdOf("a", null),
    typeIdOf("a", '{"type":"number"}'),
    typeIdOf("b", null),
    typeIdOf("b", '{"type":"number"}'),
  ]);
  assertEquals(new Set(ids).size, 4);
  for (const id of ids) assertMatch(id, /^0x[0-9a-f]{16}$/);
  assertEquals(await typeIdOf("a", null), ids[0]);
  const digest = new Uint8Array(
    await crypto.subtle.digest("SHA-256", new TextEncoder().encode('a\n{"type":"number"}')),
  );
  assertEquals(ids[1], `0x${digest.toHex().slice(0, 16)}`);
});

Deno.test("a history stops before a megabyte, with the newest, and says that there is more", async () => {
  const opened = openRecords();
  const context = contextOf(opened, OWNER);
  await define(opened, "x", { type: "spmc_ring", capacity: 100, volatile: true });
  const value = "x".repeat(100_000);
  for (let i = 0; i < 20; i++) await outcome("record.set", { name: "x", value }, context);
  const call = { operation: "record.history", params: { name: "x" }, opened: false };
  const text = encodeJson(await invoke(call, context));
  const { values, has_more } = JSON.parse(text);
  assert(text.length < 1024 * 1024);
  assertEquals([values.length, values.at(-1).sequence, has_more], [10, 20, true]);
});

async function resultOf(operation: string, params: unknown, context: Context): Promise<unknown> {
  const handled = invoke({ operation, params, opened: false }, context);
  return JSON.parse(encodeJson(await (handled instanceof Ticket ? handled.promise() : handled)));
}

async function namesListed(params: unknown, context: Context): Promise<string[]> {
  const list = await resultOf("record.list", params, context) as { name: string }[];
  return list.map(({ name }) => name);
}

Deno.test("a list is of the names that match, after one of them, at most so many", async () => {
  const opened = openRecords();
  for (const name of ["a.x", "a.y", "a.z", "b.x"]) await define(opened, name);
  const context = contextOf(opened, OWNER);
  assertEquals(await namesListed({}, context), ["a.x", "a.y", "a.z", "b.x"]);
  assertEquals(await namesListed({ pattern: "*.x" }, context), ["a.x", "b.x"]);
  assertEquals(await namesListed({ after: "a.x", limit: 2 }, context), ["a.y", "a.z"]);
  assertEquals(await namesListed({ after: "a.xx", pattern: "a.>" }, context), ["a.y", "a.z"]);
  assertEquals(await namesListed({ after: "b.x" }, context), []);
});

Deno.test("a list of many large schemas stops before 1 MiB, and goes on after its last name to all of them", async () => {
  const opened = openRecords();
  const context = contextOf(opened, OWNER);
  const schema = { type: "number", description: "x".repeat(30_000) };
  const names = Array.from({ length: 100 }, (_, i) => `r${1000 + i}`);
  for (const name of names) await resultOf("record.define", { name, schema }, context);
  const listed: string[] = [];
  for (let after = "", pages = 0;; pages++) {
    const handled = await invoke(
      { operation: "record.list", params: { after }, opened: false },
      context,
    );
    const text = encodeJson(handled);
    const page = JSON.parse(text) as { name: string; schema: unknown }[];
    assert(text.length < 1024 * 1024 && pages < 10, `${text.length} characters`);
    if (page.length === 0) break;
    assertEquals(page[0]!.schema, schema);
    listed.push(...page.map(({ name }) => name));
    after = page.at(-1)!.name;
  }
  assertEquals(listed, names);
});

Deno.test("a record that is defined anew holds no value that its schema refuses, however the two cross", async () => {
  const opened = openRecords();
  const context = contextOf(opened, OWNER);
  await resultOf("record.define", { name: "a" }, context);
  const release = opened.store.holdCommits();
  const set = outcome("record.set", { name: "a", value: "text" }, context);
  const narrowed = outcome("record.define", { name: "a", schema: { type: "number" } }, context);
  release();
  assertEquals([(await set).code, (await narrowed).code], ["ok", "conflict"]);
  await resultOf("record.set", { name: "a", value: 1 }, context);
  const releaseAgain = opened.store.holdCommits();
  const defining = outcome("record.define", { name: "a", schema: { type: "number" } }, context);
  // The type id is made asynchronously; the set must come after the definition has begun.
  await opened.store.commitBegins();
  const crossing = outcome("record.set", { name: "a", value: "text" }, context);
  releaseAgain();
  assertEquals([(await defining).code, (await crossing).code], ["ok", "invalid_params"]);
  const { value } = await resultOf("record.get", { name: "a" }, context) as { value: unknown };
  assertEquals(value, 1);
});

Deno.test("the daemon's own records are never shown as writable, whatever is opted in", async () => {
  const opened = openRecords();
  await define(opened, "aimx.x", { volatile: true });
  await define(opened, "b");
  const context = contextOf(opened, { ...OWNER, policy: "read_write", writable: [">"] });
  const list = await resultOf("record.list", {}, context) as { name: string; writable: boolean }[];
  assertEquals(list.map(({ name, writable }) => [name, writable]), [["aimx.x", false], [
    "b",
    true,
  ]]);
});
