/** What holds for every operation there is, and what the one way to invoke them does in which order. */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { z } from "zod";
import { PosternError } from "../../src/core/errors.ts";
import { type Principal, type Scope, SCOPES } from "../../src/core/principal.ts";
import type { Context } from "../../src/operations/operation.ts";
import { findOperation, invoke, OPERATIONS } from "../../src/operations/registry.ts";
import { QUIET_SERVICES } from "../support/quiet_services.ts";

/** What AXON needs itself in a reply or a pushed line. */
const TAKEN = ["ok", "error", "req_id", "message", "event", "inbound", "result"];
const MAY_NAME_A_GAP = ["event.inbox", "event.read"];

interface Schema {
  readonly type?: string;
  readonly properties?: Record<string, unknown>;
}

function resultSchema(name: string): Schema {
  return z.toJSONSchema(findOperation(name)!.result) as Schema;
}

function paramsSchema(name: string): Schema {
  return z.toJSONSchema(findOperation(name)!.params, { io: "input" }) as Schema;
}

Deno.test("names are noun.verb, each once, and found by name", () => {
  const names = OPERATIONS.map(({ name }) => name);
  assertEquals(new Set(names).size, names.length);
  for (const operation of OPERATIONS) {
    assertMatch(operation.name, /^[a-z]+\.[a-z]+(_[a-z]+)*$/);
    assert(findOperation(operation.name) === operation);
  }
  for (const name of ["", "constructor", "__proto__", "system", "event.", "EVENT.SEND"]) {
    assertEquals(findOperation(name), undefined);
  }
});

for (const { name, summary, scope } of OPERATIONS) {
  Deno.test(`${name} has a summary of one sentence and a scope that exists`, () => {
    assertMatch(summary, /^[A-Z][^\n]{5,118}\.$/);
    assert(scope === null || SCOPES.includes(scope), String(scope));
  });

  Deno.test(`${name} has JSON Schemas of objects, without a field that a dialect needs itself`, () => {
    const [params, result] = [paramsSchema(name), resultSchema(name)];
    assertEquals(params.type, "object");
    // What a client of AimX reads is an array; what a service answers is its own affair; all others are objects.
    const types: Record<string, unknown> = { "record.list": "array", "service.call": undefined };
    assertEquals(result.type, name in types ? types[name] : "object");
    for (const field of Object.keys(result.properties ?? {})) {
      assertEquals(TAKEN.includes(field), false, field);
      if (field === "gap") assert(MAY_NAME_A_GAP.includes(name), "gap");
    }
    for (const field of ["cmd", "req_id"]) {
      assertEquals(
        field in (params.properties ?? {}),
        false,
        `${field} stays among AXON's parameters`,
      );
    }
  });

  Deno.test(`${name} refuses parameters that are no object, and ignores fields it does not know`, () => {
    const { params } = findOperation(name)!;
    for (const wrong of [null, [], "x", 1, true, undefined]) {
      assertEquals(params.safeParse(wrong).success, false, String(wrong));
    }
    const required = (z.toJSONSchema(params, { io: "input" }) as { required?: string[] }).required;
    if (required === undefined) assert(params.safeParse({ unknown: 1 }).success);
  });
}

/** A caller with these scopes, or one without a token. */
function called(scopes: readonly Scope[] | null, requireToken = false): Context {
  const principal: Principal | null = scopes && { tokenId: "t", scopes: new Set(scopes) };
  return {
    caller: { principal, client: null, isRemote: false } as Context["caller"],
    services: {
      limits: { requireToken },
      ...QUIET_SERVICES,
    } as unknown as Context["services"],
  };
}

function refusal(
  operation: string,
  context: Context,
  more: { params?: unknown; opened?: boolean } = {},
) {
  const { params = { limit: "x", token: 1, up_to_seq: "x", consumer: 1 }, opened = false } = more;
  return assertThrows(() => invoke({ operation, params, opened }, context), PosternError).code;
}

Deno.test("an operation that does not exist is unknown_operation, whoever asks", () => {
  for (const scopes of [null, [], SCOPES]) {
    assertEquals(refusal("event.forget", called(scopes)), "unknown_operation");
    assertEquals(refusal("__proto__", called(scopes)), "unknown_operation");
  }
});

Deno.test("without a token only handshakes and what the dialect opens go beyond auth_required", () => {
  for (const { name, scope, handshake } of OPERATIONS) {
    if (handshake || scope === null) continue;
    assertEquals(refusal(name, called(null)), "auth_required", name);
  }
  assertEquals(refusal("event.inbox", called(null), { opened: true }), "invalid_params");
  assertEquals(refusal("event.inbox", called(null, true), { opened: true }), "auth_required");
  assertEquals(refusal("system.status", called(null, true)), "auth_required");
  assertEquals(refusal("auth.login", called(null, true)), "invalid_params");
});

Deno.test("a token without the scope is permission_denied before the parameters are looked at", () => {
  for (const { name, scope, handshake } of OPERATIONS) {
    if (handshake || scope === null) continue;
    const others = SCOPES.filter((one) => one !== scope);
    assertEquals(refusal(name, called(others)), "permission_denied", name);
    assertEquals(refusal(name, called(others), { opened: true }), "permission_denied", name);
  }
});

Deno.test("wrong parameters are invalid_params, with operation, field, rule and value in the message", () => {
  const cases: [string, unknown, string, string][] = [
    ["event.inbox", { limit: 0 }, "limit", "0"],
    ["event.inbox", { limit: 1001 }, "limit", "1001"],
    ["event.inbox", { limit: 1.5 }, "limit", "1.5"],
    ["event.inbox", { kinds: ["notify", "nothing"] }, "kinds.1", '"nothing"'],
    ["event.inbox", { topics: ["a..b"] }, "topics.0", '"a..b"'],
    ["event.ack", {}, "up_to_seq", "missing"],
    ["event.ack", { up_to_seq: -1 }, "up_to_seq", "-1"],
    ["event.ack", { up_to_seq: 2 ** 53 }, "up_to_seq", "9007199254740992"],
    ["event.ack", { up_to_seq: 1, consumer: "a\u0000b" }, "consumer", '"a?b"'],
    ["event.subscribe", { consumer: "é".repeat(33) }, "consumer", "64 bytes"],
    ["event.send", { kind: "notify", payload: 1, topic: "a b" }, "topic", '"a b"'],
    ["event.send", { kind: "notify", payload: 1, ttl_secs: 0 }, "ttl_secs", "0"],
    [
      "event.send",
      { kind: "notify", payload: 1, dedup_key: "€".repeat(86) },
      "dedup_key",
      "256 bytes",
    ],
    ["event.send", { events: [] }, "events", "an array"],
    [
      "event.send",
      { events: [{ kind: "notify", payload: 1, ref: "x".repeat(257) }] },
      "events.0.ref",
      "256",
    ],
  ];
  for (const [operation, params, field, seen] of cases) {
    const error = assertThrows(
      () => invoke({ operation, params, opened: false }, called(SCOPES)),
      PosternError,
    );
    assertEquals(
      [error.code, error.details],
      ["invalid_params", { field }],
      JSON.stringify(params),
    );
    assert(error.message.startsWith(`${operation}: ${field}: `), error.message);
    assert(error.message.includes(seen), error.message);
    assert(error.message.length < 400);
  }
});

Deno.test("a name as long as a line in a parameter does not come back in the message", () => {
  const error = assertThrows(
    () => invoke({ operation: "x".repeat(1_000_000), params: {}, opened: false }, called(SCOPES)),
    PosternError,
  );
  assert(error.message.length < 300);
});
