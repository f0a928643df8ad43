/** Services: each call has one outcome, whoever goes first, and no provider gets more than it takes. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Departure } from "../../src/core/departure.ts";
import { PosternError } from "../../src/core/errors.ts";
import { OWNER_ID } from "../../src/core/principal.ts";
import { pathFault, type Route } from "../../src/core/routes.ts";
import type { CallerIdentity, CallRequest, Provider } from "../../src/core/service_call.ts";
import {
  MAX_OPEN_CALLS_EACH,
  MAX_OPEN_CHARS,
  MAX_OPEN_CHARS_EACH,
} from "../../src/core/open_calls.ts";
import {
  MAX_PROVIDERS,
  MAX_SERVICES,
  MAX_SERVICES_EACH,
  MAX_WAITING,
  MAX_WAITING_EACH,
  ServiceRegistry,
} from "../../src/core/service_registry.ts";
import type { ServiceDefinition } from "../../src/core/service_definition.ts";
import { JsonText } from "../../src/core/text.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { Random } from "../support/random.ts";

const CALLER: CallerIdentity = { originator: "o-a", scopes: ["send"] };

/** A provider that notes what it is given, and answers when a test says so. */
class NotingProvider implements Provider {
  readonly calls: string[] = [];
  readonly ids: string[] = [];
  readonly cancelled: string[] = [];

  call(id: string, method: string, params: JsonText, caller: CallerIdentity): void {
    this.ids.push(id);
    this.calls.push(`${method} ${params.text} ${caller.originator}`);
  }

  cancel(id: string): void {
    this.cancelled.push(id);
  }
}

function open() {
  const clock = new FakeClock();
  return { clock, services: new ServiceRegistry({ clock, nouns: ["event", "record"] }) };
}

function definition(name: string, parts: Partial<ServiceDefinition> = {}): ServiceDefinition {
  return { name, methods: [{ name: "do", schema: null }], routes: [], ...parts };
}

function request(service: string, parts: Partial<CallRequest> = {}): CallRequest {
  return {
    service,
    method: "do",
    params: new JsonText("{}"),
    timeoutMs: 1000,
    caller: CALLER,
    tokenId: OWNER_ID,
    departure: new Departure(),
    ...parts,
  };
}

function provide(services: ServiceRegistry, name: string, maxConcurrent = 1): NotingProvider {
  const provider = new NotingProvider();
  services.register(provider, definition(name), maxConcurrent, OWNER_ID);
  return provider;
}

function refused(work: () => unknown, code: string): PosternError {
  const error = assertThrows(work, PosternError);
  assertEquals(error.code, code, error.message);
  return error;
}

async function refusedLater(promise: Promise<unknown>, code: string): Promise<void> {
  const error = await assertRejects(() => promise, PosternError);
  assertEquals(error.code, code, error.message);
}

Deno.test("a call reaches its provider with its caller, and its answer comes back", async () => {
  const { services } = open();
  const provider = provide(services, "math");
  const params = new JsonText('{"a":1.50}');
  const call = services.call(request("math", { params })).promise();
  assertEquals(provider.calls, ['math.do {"a":1.50} o-a']);
  assertEquals(services.list().map(({ running, waiting }) => [running, waiting]), [[1, 0]]);
  assert(services.hasCallOf(provider, "o-a") && !services.hasCallOf(provider, "o-b"));
  assert(services.answer(provider, provider.ids[0]!, { result: 7 }));
  assertEquals(await call, 7);
  assertEquals([services.list()[0]!.running, services.hasCallOf(provider, "o-a")], [0, false]);
});

Deno.test("a provider's error is the call's", async () => {
  const { services } = open();
  const provider = provide(services, "math");
  const call = services.call(request("math")).promise();
  services.answer(provider, provider.ids[0]!, { error: new PosternError("no_value", "nothing") });
  await refusedLater(call, "no_value");
});

Deno.test("nobody answers a call but the provider that has it, and only once", async () => {
  const { services } = open();
  const [provider, other] = [provide(services, "math"), provide(services, "other")];
  const call = services.call(request("math")).promise();
  const id = provider.ids[0]!;
  assertEquals(services.answer(other, id, { result: "forged" }), false);
  assertEquals(services.answer(provider, "c99", { result: "another" }), false);
  assert(services.answer(provider, id, { result: 1 }));
  assertEquals(services.answer(provider, id, { result: 2 }), false);
  assertEquals(await call, 1);
});

Deno.test("what is not there is refused by what is missing", () => {
  const { services } = open();
  refused(() => services.call(request("math")), "service_unavailable");
  provide(services, "math");
  refused(() => services.call(request("math", { method: "no" })), "not_found");
});

Deno.test("the nouns of operations, and what a provider's wire says itself, are no service's name", () => {
  const { services } = open();
  for (const name of ["event", "record", "call", "rpc", "postern", "Event", "RPC"]) {
    refused(() => provide(services, name), "permission_denied");
  }
  assertEquals(services.list(), []);
});

Deno.test("calls beyond what a provider takes wait, in order, and no longer than their time-out", async () => {
  const { services, clock } = open();
  const provider = provide(services, "math", 2);
  const calls = [1, 2, 3, 4].map((n) =>
    services.call(request("math", { params: new JsonText(`${n}`), timeoutMs: n * 1000 })).promise()
  );
  assertEquals(provider.calls, ["math.do 1 o-a", "math.do 2 o-a"]);
  services.answer(provider, provider.ids[1]!, { result: "second" });
  assertEquals(provider.calls.at(-1), "math.do 3 o-a");
  assertEquals(await calls[1], "second");
  clock.step(999);
  services.expire();
  assertEquals(provider.cancelled, []);
  clock.step(1);
  services.expire();
  await refusedLater(calls[0]!, "timeout");
  assertEquals(provider.cancelled, [provider.ids[0]]);
  assertEquals(provider.calls.at(-1), "math.do 4 o-a", "its place is free");
  assertEquals(services.answer(provider, provider.ids[0]!, { result: "late" }), false);
});

Deno.test("a call that never got its turn times out without a word to the provider", async () => {
  const { services, clock } = open();
  const provider = provide(services, "math", 1);
  services.call(request("math", { timeoutMs: 5000 }));
  const waiting = services.call(request("math")).promise();
  clock.step(1000);
  services.expire();
  await refusedLater(waiting, "timeout");
  assertEquals([provider.ids.length, provider.cancelled.length], [1, 0]);
});

Deno.test("a clock that steps back lengthens no time-out beyond what was asked for", async () => {
  const { services, clock } = open();
  provide(services, "math");
  const call = services.call(request("math", { timeoutMs: 1000 })).promise();
  clock.step(-3_600_000);
  services.expire();
  clock.step(1000);
  services.expire();
  await refusedLater(call, "timeout");
});

Deno.test("when the caller goes its calls are cancelled, those at a provider and those that wait", async () => {
  const { services } = open();
  const provider = provide(services, "math", 1);
  const departure = new Departure();
  const calls = [1, 2].map(() => services.call(request("math", { departure })).promise());
  const other = services.call(request("math")).promise();
  departure.end();
  for (const call of calls) await refusedLater(call, "service_unavailable");
  assertEquals(provider.cancelled, [provider.ids[0]]);
  services.answer(provider, provider.ids[1]!, { result: 3 });
  assertEquals([await other, provider.ids.length], [3, 2]);
});

Deno.test("a call of a caller that has gone already is not made", async () => {
  const { services } = open();
  const provider = provide(services, "math");
  const departure = new Departure();
  departure.end();
  await refusedLater(
    services.call(request("math", { departure })).promise(),
    "service_unavailable",
  );
  assertEquals([provider.ids, services.list()[0]!.running], [[], 0]);
});

Deno.test("when the last provider goes its calls fail, and the service is there no more", async () => {
  const { services } = open();
  const provider = provide(services, "math", 1);
  const kept = provide(services, "other");
  const calls = [1, 2].map(() => services.call(request("math")).promise());
  services.gone(provider);
  services.gone(provider);
  for (const call of calls) await refusedLater(call, "service_unavailable");
  assertEquals(services.list().map(({ name }) => name), ["other"]);
  assertEquals(services.answer(provider, provider.ids[0]!, { result: 1 }), false);
  refused(() => services.call(request("math")), "service_unavailable");
  services.call(request("other"));
  assertEquals(kept.ids.length, 1);
});

Deno.test("two providers with the same methods take turns; what waits outlives the one that goes", async () => {
  const { services } = open();
  const [one, two] = [provide(services, "math", 2), provide(services, "math", 1)];
  const calls = [1, 2, 3, 4].map(() => services.call(request("math")).promise());
  assertEquals([one.ids.length, two.ids.length], [2, 1]);
  assertEquals(services.list().map((one) => [one.providers, one.maxConcurrent, one.waiting]), [
    [2, 3, 1],
  ]);
  services.gone(one);
  await refusedLater(calls[0]!, "service_unavailable");
  await refusedLater(calls[2]!, "service_unavailable");
  services.answer(two, two.ids[0]!, { result: "b" });
  services.answer(two, two.ids[1]!, { result: "d" });
  assertEquals([await calls[1], await calls[3]], ["b", "d"]);
});

Deno.test("calls go to the providers in turn, one after the other", () => {
  const { services } = open();
  const providers = [1, 2, 3].map(() => provide(services, "math", 10));
  for (let i = 0; i < 9; i++) services.call(request("math"));
  assertEquals(providers.map(({ ids }) => ids.length), [3, 3, 3]);
});

Deno.test("a second provider with other methods, schemas or routes is refused", () => {
  const { services } = open();
  const route: Route = { method: "GET", path: "/api/math", call: "do" };
  const first = new NotingProvider();
  services.register(first, definition("math", { routes: [route] }), 1, OWNER_ID);
  const others: Partial<ServiceDefinition>[] = [
    { routes: [] },
    { routes: [{ ...route, path: "/api/maths" }] },
    { routes: [route], methods: [{ name: "do", schema: "{}" }] },
    { routes: [route], methods: [{ name: "other", schema: null }] },
    {
      routes: [route],
      methods: [{ name: "do", schema: null }, { name: "more", schema: null }],
    },
  ];
  for (const other of others) {
    const register = () =>
      services.register(new NotingProvider(), definition("math", other), 1, OWNER_ID);
    refused(register, "conflict");
  }
  assertEquals(services.list()[0]!.providers, 1);
  services.register(first, definition("math", others[0]), 1, OWNER_ID);
  assertEquals(services.routeMethods(route.path), [], "a route that is offered no more");
  services.register(first, definition("math", others[2]), 4, OWNER_ID);
  assertEquals(
    [services.list()[0]!.maxConcurrent, services.route("GET", "/api/math")?.service],
    [4, "math"],
    "the only one may change what it offers",
  );
  services.register(new NotingProvider(), definition("math", others[2]), 1, OWNER_ID);
  refused(() => services.register(first, definition("math", others[1]), 1, OWNER_ID), "conflict");
});

Deno.test("a route belongs to one service, whatever its parameters are called, and goes with it", () => {
  const { services } = open();
  const [one, two] = [new NotingProvider(), new NotingProvider()];
  const route: Route = { method: "GET", path: "/api/jobs/:id", call: "do" };
  const same: Route = { ...route, path: "/api/jobs/:job" };
  services.register(one, definition("a", { routes: [route] }), 1, OWNER_ID);
  refused(
    () => services.register(two, definition("b", { routes: [same] }), 1, OWNER_ID),
    "conflict",
  );
  assertEquals(services.list().length, 1);
  services.gone(one);
  assertEquals(services.route("GET", "/api/jobs/7"), null);
  services.register(two, definition("b", { routes: [same] }), 1, OWNER_ID);
  assertEquals(services.route("GET", "/api/jobs/7")?.service, "b");
});

Deno.test("a path leads to the route that is more exact, with what stands in its parameters' places", () => {
  const { services } = open();
  const routes: Route[] = [
    { method: "GET", path: "/api/:what/last", call: "c" },
    { method: "GET", path: "/api/jobs/:id", call: "a" },
    { method: "POST", path: "/api/jobs/:id", call: "b" },
    { method: "GET", path: "/api/jobs/all", call: "d" },
  ];
  services.register(new NotingProvider(), definition("s", { routes }), 1, OWNER_ID);
  const found = (method: string, path: string) => {
    const match = services.route(method, path);
    return match === null ? null : [match.route.call, Object.fromEntries(match.params)];
  };
  assertEquals(found("GET", "/api/jobs/7"), ["a", { id: "7" }]);
  assertEquals(found("POST", "/api/jobs/7"), ["b", { id: "7" }]);
  assertEquals(found("GET", "/api/jobs/all"), ["d", {}]);
  assertEquals(found("GET", "/api/jobs/last"), ["a", { id: "last" }]);
  assertEquals(found("GET", "/api/x/last"), ["c", { what: "x" }]);
  for (const path of ["/api/jobs", "/api/jobs/", "/api/jobs/7/8", "/jobs/7"]) {
    assertEquals([found("GET", path), services.routeMethods(path)], [null, []], path);
  }
  assertEquals([found("PUT", "/api/jobs/7"), services.routeMethods("/api/jobs/7")], [
    null,
    ["GET", "POST"],
  ]);
});

Deno.test("paths that are none are told apart from paths", () => {
  for (const path of ["/api/a", "/api/a.b/:id/c-d_~1", "/api/..a"]) {
    assertEquals(pathFault(path), null, path);
  }
  const wrong = ["", "/", "/api", "/api/", "api/a", "/API/a", "/api//a", "/api/../x", "/api/."];
  wrong.push("/api/a b", "/api/%2e", "/api/:", "/api/:1", "/api/:a/:a", `/api/${"a".repeat(252)}`);
  for (const path of wrong) assert(pathFault(path) !== null, path);
});

Deno.test("everything is bounded: services, their providers, and calls that wait", () => {
  const { services } = open();
  for (let i = 0; i < MAX_SERVICES; i++) provide(services, `s${i}`);
  refused(() => provide(services, "one-more"), "too_many");
  for (let i = 1; i < MAX_PROVIDERS; i++) provide(services, "s0");
  refused(() => provide(services, "s0"), "too_many");
  for (let i = 0; i < MAX_WAITING + 1; i++) services.call(request("s1"));
  refused(() => services.call(request("s1")), "too_many");
  services.call(request("s2"));
  const large = new JsonText("x".repeat(MAX_OPEN_CHARS));
  refused(() => services.call(request("s3", { params: large })), "too_many");
});

Deno.test("a token that is not the owner's has a quarter of the services, on however many connections", () => {
  const { services } = open();
  const register = (name: string, provider = new NotingProvider(), tokenId = "serve") =>
    services.register(provider, definition(name), 1, tokenId);
  const provider = new NotingProvider();
  for (let i = 0; i < MAX_SERVICES_EACH; i++) register(`s${i}`, i === 0 ? provider : undefined);
  provide(services, "owners");
  for (const name of ["more", "owners"]) {
    const { details } = refused(() => register(name), "too_many");
    assertEquals(details, { limit: MAX_SERVICES / 4 });
  }
  register("s0");
  register("s0", provider);
  register("others", new NotingProvider(), "other");
  services.gone(provider);
  refused(() => register("more"), "too_many");
  provide(services, "owners.more");
});

Deno.test("calls that wait for a method which is registered anew without it, or otherwise, end", async () => {
  const { services } = open();
  const provider = new NotingProvider();
  const register = (methods: Record<string, string | null>) => {
    const named = Object.entries(methods).map(([name, schema]) => ({ name, schema }));
    services.register(provider, definition("math", { methods: named }), 1, OWNER_ID);
  };
  register({ gone: null, changed: null, same: '{"type":"object"}' });
  const call = (method: string) => services.call(request("math", { method })).promise();
  const calls = ["same", "gone", "changed", "gone", "same"].map(call);
  register({ changed: "true", same: '{"type":"object"}' });
  for (const i of [1, 2, 3]) await refusedLater(calls[i]!, "not_found");
  assertEquals(provider.calls, ["math.same {} o-a"]);
  services.answer(provider, provider.ids[0]!, { result: 1 });
  assertEquals(provider.calls, ["math.same {} o-a", "math.same {} o-a"]);
  services.answer(provider, provider.ids[1]!, { result: 2 });
  assertEquals([await calls[0], await calls[4]], [1, 2]);
});

Deno.test("calls without an outcome are bounded over all services", () => {
  const { services } = open();
  const providers: NotingProvider[] = [];
  for (let i = 0; i < 10; i++) {
    providers.push(provide(services, `s${i}`, 1000));
    for (let n = 0; n < 1000; n++) services.call(request(`s${i}`));
  }
  provide(services, "more", 1000);
  refused(() => services.call(request("more")), "too_many");
  services.answer(providers[0]!, providers[0]!.ids[0]!, { result: 1 });
  services.call(request("more"));
});

Deno.test("a token that is not the owner's has a quarter of the calls without an outcome, and others go on", () => {
  const { services } = open();
  const providers = [0, 1, 2].map((i) => provide(services, `s${i}`, 1000));
  const call = (n: number, tokenId = "send") =>
    services.call(request(`s${Math.floor(n / 1000)}`, { tokenId }));
  for (let n = 0; n < MAX_OPEN_CALLS_EACH; n++) call(n);
  const { message, details } = refused(() => call(MAX_OPEN_CALLS_EACH), "too_many");
  assert(message.includes("2500 calls of this token have no answer yet"), message);
  assertEquals(details, { limit: 2500 });
  for (const tokenId of ["other", OWNER_ID]) call(MAX_OPEN_CALLS_EACH, tokenId);
  services.answer(providers[0]!, providers[0]!.ids[0]!, { result: 1 });
  call(0);
  refused(() => call(0), "too_many");
  services.gone(providers[0]!);
  call(1000);
});

Deno.test("a token that is not the owner's has a quarter of the characters of open calls, and others go on", () => {
  const { services } = open();
  const provider = provide(services, "math", 1000);
  const params = new JsonText("x".repeat(MAX_OPEN_CHARS_EACH / 2));
  const call = (tokenId = "send") => services.call(request("math", { tokenId, params }));
  call();
  call();
  const { message, details } = refused(() => call(), "too_many");
  assert(message.includes("characters of parameters of this token"), message);
  assertEquals(details, { limit: MAX_OPEN_CHARS / 4 });
  for (const tokenId of ["other", OWNER_ID, OWNER_ID, OWNER_ID]) call(tokenId);
  services.answer(provider, provider.ids[0]!, { result: 1 });
  call();
  refused(() => call(), "too_many");
});

Deno.test("a token that is not the owner's has a quarter of the calls that wait for a service, and others go on", () => {
  const { services } = open();
  const provider = provide(services, "math");
  const call = (tokenId = "send", service = "math") => services.call(request(service, { tokenId }));
  for (let n = 0; n < MAX_WAITING_EACH + 1; n++) call();
  const { message, details } = refused(() => call(), "too_many");
  assert(message.includes('250 calls of this token wait for the service "math"'), message);
  assertEquals(details, { limit: MAX_WAITING / 4 });
  for (const tokenId of ["other", OWNER_ID]) call(tokenId);
  provide(services, "free");
  call("send", "free");
  services.answer(provider, provider.ids[0]!, { result: 1 });
  call();
  refused(() => call(), "too_many");
});

Deno.test("calls whose time ends together give no place to one another", () => {
  const { services, clock } = open();
  const provider = provide(services, "math", 1);
  for (let i = 0; i < 3; i++) services.call(request("math"));
  clock.step(1000);
  services.expire();
  assertEquals([provider.ids.length, provider.cancelled], [1, provider.ids]);
});

Deno.test("a provider that answers as it is told of a cancellation ends the call once", async () => {
  const { services } = open();
  const provider = provide(services, "math");
  provider.cancel = (id) => void services.answer(provider, id, { result: "just now" });
  const departure = new Departure();
  const half = new JsonText("x".repeat(MAX_OPEN_CHARS / 2));
  const call = services.call(request("math", { departure, params: half })).promise();
  departure.end();
  assertEquals(await call, "just now");
  // All the room is there again, and not more of it.
  services.call(request("math", { params: half }));
  services.call(request("math", { params: half }));
  refused(() => services.call(request("math")), "too_many");
});

Deno.test("a call that has ended is forgotten by its caller's end", () => {
  const { services } = open();
  const provider = provide(services, "math");
  const departure = new Departure();
  services.call(request("math", { departure }));
  assertEquals(departure.size, 1);
  services.answer(provider, provider.ids[0]!, { result: 1 });
  assertEquals(departure.size, 0);
});

Deno.test("what was taken back is not done when the caller goes, even by what is done then", () => {
  const departure = new Departure();
  const done: string[] = [];
  departure.add(() => {
    done.push("first");
    takeBack();
  });
  const takeBack = departure.add(() => done.push("second"));
  departure.end();
  departure.end();
  assertEquals([done, departure.size, departure.isOver], [["first"], 0, true]);
});

for (let seed = 1; seed <= 20; seed++) {
  Deno.test(`every call has one outcome, and none is lost, whoever goes when (seed ${seed})`, () => {
    const random = new Random(seed);
    const { services, clock } = open();
    const providers = new Map<NotingProvider, Set<string>>();
    let departure = new Departure();
    let [asked, ended] = [0, 0];
    /** A provider that answers some calls in the turn in which it gets them. */
    const enter = () => {
      const running = new Set<string>();
      const provider = new NotingProvider();
      provider.call = (id) => {
        running.add(id);
        assert(running.size <= 3, "it gets no more than it takes");
        if (random.oneIn(5) && running.delete(id)) services.answer(provider, id, { result: 0 });
      };
      provider.cancel = (id) => void assert(running.delete(id), "only what it has is cancelled");
      providers.set(provider, running);
      services.register(provider, definition("math"), 3, OWNER_ID);
    };
    enter();
    for (let step = 0; step < 2000; step++) {
      const [provider, running] = random.pick([...providers]);
      switch (random.below(8)) {
        case 0:
        case 1:
        case 2:
          services.call(request("math", { departure, timeoutMs: random.between(1, 50) }))
            .whenSettled(() => ended++);
          asked++;
          break;
        case 3:
        case 4: {
          const [id] = running;
          if (id !== undefined && running.delete(id)) {
            assert(services.answer(provider, id, { result: 1 }), "its answer counts");
          }
          break;
        }
        case 5:
          clock.step(random.between(-5, 10));
          services.expire();
          break;
        case 6:
          if (random.oneIn(3)) departure.end();
          if (random.oneIn(3)) departure = new Departure();
          break;
        default:
          if (random.oneIn(2)) enter();
          else if (providers.size > 1 && providers.delete(provider)) services.gone(provider);
      }
      const [{ running: told, waiting } = { running: 0, waiting: 0 }] = services.list();
      const known = [...providers.values()].reduce((sum, { size }) => sum + size, 0);
      assertEquals([told, told + waiting], [known, asked - ended]);
    }
    for (const provider of providers.keys()) services.gone(provider);
    assertEquals([ended, services.list()], [asked, []]);
    assert(asked > 500);
  });
}
