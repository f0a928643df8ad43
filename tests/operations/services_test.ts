/**
 * The operations on services with a provider of the test's own: what may be registered, what is checked of a call, and
 * what a provider's error becomes. Without a socket, because none carries calls to a provider by itself.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { encodeJson } from "../../src/codecs/json.ts";
import { Departure } from "../../src/core/departure.ts";
import { PosternError } from "../../src/core/errors.ts";
import type { Scope } from "../../src/core/principal.ts";
import type { CallerIdentity, Provider } from "../../src/core/service_call.ts";
import { ServiceRegistry } from "../../src/core/service_registry.ts";
import type { JsonText } from "../../src/core/text.ts";
import { Ticket } from "../../src/core/ticket.ts";
import type { Context } from "../../src/operations/operation.ts";
import { findOperation, invoke } from "../../src/operations/registry.ts";
import { providerError } from "../../src/operations/services.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { QUIET_SERVICES } from "../support/quiet_services.ts";

/** Answers each call with what it was given. */
class Echo implements Provider {
  readonly services: ServiceRegistry;

  constructor(services: ServiceRegistry) {
    this.services = services;
  }

  call(id: string, method: string, params: JsonText, caller: CallerIdentity): void {
    this.services.answer(this, id, { result: { method, params: params.text, caller } });
  }

  cancel(): void {}
}

function open() {
  const provided = new ServiceRegistry({ clock: new FakeClock(), nouns: ["event"] });
  const contextOf = (scopes: readonly Scope[], provider: Provider | null = null) => ({
    caller: {
      principal: { tokenId: "t", scopes: new Set(scopes) },
      client: { kind: "test", originator: "o-caller" },
      isRemote: false,
      departure: new Departure(),
      provider,
    },
    services: {
      ...QUIET_SERVICES,
      provided,
      limits: { requireToken: false },
    },
  } as unknown as Context);
  return { provided, echo: new Echo(provided), contextOf };
}

/** The result, which is what its schema says, or the refusal. */
async function ask(operation: string, params: unknown, context: Context): Promise<unknown> {
  try {
    const handled = invoke({ operation, params, opened: false }, context);
    const value = await (handled instanceof Ticket ? handled.promise() : handled);
    const result = JSON.parse(encodeJson(value));
    assertEquals(findOperation(operation)!.result.parse(result), result);
    return result;
  } catch (error) {
    assert(error instanceof PosternError, String(error));
    return error;
  }
}

async function refused(asked: Promise<unknown>, code: string, part: string): Promise<void> {
  const error = await asked;
  assert(error instanceof PosternError, JSON.stringify(error));
  assertEquals(error.code, code, error.message);
  assertStringIncludes(error.message, part);
}

const ADD = {
  name: "math",
  methods: [
    { name: "add", schema: { type: "object", properties: { a: { type: "number" } } } },
    { name: "deep.er" },
  ],
  routes: [{ method: "POST", path: "/api/add/:a", call: "add" }],
};

Deno.test("a service is registered, listed and called, by those whose scopes allow it", async () => {
  const { echo, contextOf } = open();
  const registered = await ask("service.register", ADD, contextOf(["serve"], echo));
  const listed = await ask("service.list", {}, contextOf(["read"]));
  assertEquals(listed, { services: [registered], has_more: false });
  assertEquals(registered, {
    ...ADD,
    providers: 1,
    max_concurrent: 16,
    running: 0,
    waiting: 0,
  });
  const call = { service: "math", method: "add", params: { a: 1 } };
  assertEquals(await ask("service.call", call, contextOf(["send", "read"])), {
    method: "math.add",
    params: '{"a":1}',
    caller: { originator: "o-caller", scopes: ["send", "read"] },
  });
  await refused(ask("service.call", call, contextOf(["read"])), "permission_denied", "send");
  await refused(
    ask("service.register", ADD, contextOf(["send"], echo)),
    "permission_denied",
    "serve",
  );
});

Deno.test("a call is cancelled by its caller's name for it, which stands for one open call", async () => {
  const { provided, contextOf } = open();
  const begun: string[] = [];
  const silent: Provider = { call: (id) => begun.push(id), cancel: () => {} };
  await ask("service.register", { ...ADD, max_concurrent: 1 }, contextOf(["serve"], silent));
  const caller = contextOf(["send"]);
  const named = (call_id: string) => ({ service: "math", method: "deep.er", call_id });
  const [first, second] = [
    ask("service.call", named("a"), caller),
    ask("service.call", named("b"), caller),
  ];
  await refused(ask("service.call", named("a"), caller), "conflict", '"a"');
  const other = contextOf(["send"]);
  await refused(ask("service.cancel", { call_id: "b" }, other), "not_found", '"b"');
  assertEquals(await ask("service.cancel", { call_id: "b" }, caller), {});
  await refused(second, "service_unavailable", "has cancelled it");
  assertEquals(await ask("service.cancel", { call_id: "a" }, caller), {});
  await refused(first, "service_unavailable", "has cancelled it");
  assertEquals(begun.length, 1, "what waited and was cancelled never began");
  await refused(ask("service.cancel", { call_id: "a" }, caller), "not_found", '"a"');
  const again = ask("service.call", named("a"), caller);
  provided.answer(silent, begun.at(-1)!, { result: 7 });
  assertEquals(await again, 7, "its name is free when it has ended");
});

Deno.test("a call's parameters match the method's schema, and a number stays as it was written", async () => {
  const { echo, contextOf } = open();
  await ask("service.register", ADD, contextOf(["serve"], echo));
  const call = (method: string, params: unknown) =>
    ask("service.call", { service: "math", method, params }, contextOf(["send"]));
  await refused(call("add", { a: "x" }), "invalid_params", "params/a");
  await refused(call("add", []), "invalid_params", "params");
  await refused(call("sub", {}), "not_found", '"sub"');
  const params = { a: JSON.rawJSON("123456789012345678901234567890") };
  const { params: given } = await call("add", params) as { params: string };
  assertEquals(given, '{"a":123456789012345678901234567890}');
  assertEquals((await call("deep.er", { any: [1] }) as { params: string }).params, '{"any":[1]}');
});

Deno.test("what cannot be registered is refused by what is wrong with it", async () => {
  const { echo, contextOf } = open();
  const [method] = ADD.methods;
  const [route] = ADD.routes;
  const wrong: [unknown, string, string][] = [
    [{ ...ADD, name: "a.b" }, "invalid_params", "a service's name"],
    [{ ...ADD, name: "event" }, "permission_denied", '"event"'],
    [{ ...ADD, methods: [] }, "invalid_params", "methods"],
    [{ ...ADD, methods: [{ name: "a..b" }] }, "invalid_params", "a method's name"],
    [{ ...ADD, methods: [method, method] }, "invalid_params", '"add" twice'],
    [{ ...ADD, methods: [{ name: "add", schema: { type: "no" } }] }, "invalid_params", '"no"'],
    [
      { ...ADD, methods: [{ name: "add", schema: { title: "x".repeat(33_000) } }] },
      "too_large",
      "methods.0.schema",
    ],
    [{ ...ADD, routes: [{ ...route, path: "/x" }] }, "invalid_params", "routes.0.path"],
    [{ ...ADD, routes: [{ ...route, call: "sub" }] }, "invalid_params", "routes.0.call"],
    [{ ...ADD, routes: [route, { ...route, path: "/api/add/:b" }] }, "invalid_params", "twice"],
    [{ ...ADD, routes: [{ ...route, method: "HEAD" }] }, "invalid_params", "routes.0.method"],
    [{ ...ADD, max_concurrent: 0 }, "invalid_params", "max_concurrent"],
  ];
  for (const [params, code, part] of wrong) {
    await refused(ask("service.register", params, contextOf(["serve"], echo)), code, part);
  }
  const large = { title: "x".repeat(30_000) };
  const methods = Array.from({ length: 9 }, (_, i) => ({ name: `m${i}`, schema: large }));
  await refused(
    ask("service.register", { name: "large", methods }, contextOf(["serve"], echo)),
    "too_large",
    "together",
  );
  assertEquals(await ask("service.list", {}, contextOf(["read"])), {
    services: [],
    has_more: false,
  });
});

Deno.test("nobody registers where no call can come to", async () => {
  const { contextOf } = open();
  await refused(
    ask("service.register", ADD, contextOf(["serve"])),
    "invalid_request",
    "calls cannot come",
  );
});

Deno.test("a provider's error keeps our code where it may use it, and is the provider's own otherwise", () => {
  const cases: [Parameters<typeof providerError>[0], string, string][] = [
    [{ code: -32000, message: "gone", data: { code: "not_found" } }, "not_found", "gone"],
    [{ code: -32602, message: "no" }, "invalid_params", "no"],
    [{ code: -32601, message: "no" }, "not_found", "no"],
    [{ code: 7, message: "broken", data: { code: "auth_failed" } }, "internal", "broken"],
    [{ code: 7, message: "broken", data: { code: "nonsense" } }, "internal", "broken"],
    [{ message: 5, data: null }, "internal", "without a message"],
  ];
  for (const [given, code, part] of cases) {
    const error = providerError(given);
    assertEquals(error.code, code);
    assertStringIncludes(error.message, part);
  }
  assertEquals(providerError({ code: 7, message: "x" }).details, { service_code: 7 });
  assert(providerError({ message: "x".repeat(1e6) }).message.length <= 4096);
});

Deno.test("names that are taken in the objects of some languages are no service's and no method's", async () => {
  const { provided, echo, contextOf } = open();
  const context = contextOf(["serve", "send"], echo);
  for (const name of ["__proto__", "constructor", "prototype", "Constructor"]) {
    for (
      const wrong of [
        { ...ADD, name },
        { name: "math", methods: [{ name }] },
        { name: "math", methods: [{ name: `deep.${name}` }] },
        { name: "math", methods: [{ name: `${name}.deep` }] },
      ]
    ) {
      await refused(ask("service.register", wrong, context), "invalid_params", "must not be");
    }
  }
  assertEquals(provided.list(), []);
  await ask("service.register", { name: "proto", methods: [{ name: "constructors" }] }, context);
});
