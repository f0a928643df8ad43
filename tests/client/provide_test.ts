/** Providing a service with the client library: typed, checked, cancelled, and there again after a restart. */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { z } from "zod";
import { type Client, PosternError, type Provision } from "../../src/client/mod.ts";
import { startTestDaemon } from "../support/in_process.ts";
import { connectTo, Gate } from "./steady.ts";

const NUMBERS = z.object({ a: z.number(), b: z.number().default(1) });

function provideMath(client: Client): Promise<Provision> {
  return client.provide("math", {
    add: { params: NUMBERS, result: z.number(), handler: ({ a, b }) => a + b },
    divide: {
      params: NUMBERS,
      handler: ({ a, b }) => {
        if (b === 0) throw new PosternError("conflict", "nothing is divided by 0");
        return a / b;
      },
    },
  });
}

function call(client: Client, method: string, params: object = {}): Promise<unknown> {
  const [service, name] = method.split(/\.(.*)/s) as [string, string];
  return client.call("service.call", { service, method: name, params: { ...params } });
}

async function refusal(called: Promise<unknown>): Promise<PosternError> {
  return await assertRejects(() => called, PosternError);
}

Deno.test("a method is called with what its schema makes of the parameters, and answers its result", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await using service = await provideMath(client);
  assertEquals(await call(client, "math.add", { a: 2, b: 3 }), 5);
  assertEquals(await call(client, "math.add", { a: 2 }), 3, "with the default of b");
  assertEquals(service.name, "math");
});

Deno.test("types follow the schemas", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await using _wrong = await client.provide("wrong", {
    // @ts-expect-error: the result is a number, not a text.
    add: { params: NUMBERS, result: z.string(), handler: ({ a, b }) => a + b },
  });
  await using _other = await client.provide("other", {
    // @ts-expect-error: there is no field c.
    add: { params: NUMBERS, handler: ({ c }) => c },
  });
  const refused = await refusal(call(client, "wrong.add", { a: 1 }));
  assertEquals(refused.code, "internal");
  assertStringIncludes(refused.message, "wrong.add: its own result: ");
});

Deno.test("parameters that do not match never reach the handler: by JSON Schema, or by what it cannot say", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  let handled = 0;
  const even = z.object({ n: z.number().refine((n) => n % 2 === 0, "must be even") });
  await using _service = await client.provide("even", {
    half: { params: even, handler: ({ n }) => (handled++, n / 2) },
  });
  assertEquals((await refusal(call(client, "even.half", { n: "2" }))).code, "invalid_params");
  const odd = await refusal(call(client, "even.half", { n: 3 }));
  assertEquals([odd.code, odd.message], ["invalid_params", "even.half: params.n: must be even"]);
  assertEquals(handled, 0);
  assertEquals(await call(client, "even.half", { n: 4 }), 2);
});

Deno.test("what a handler throws is told: our codes as they are, anything else as internal", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await using _math = await provideMath(client);
  const conflict = await refusal(call(client, "math.divide", { a: 1, b: 0 }));
  assertEquals([conflict.code, conflict.message], ["conflict", "nothing is divided by 0"]);
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  await using _bad = await client.provide("bad", {
    boom: { handler: () => Promise.reject(new Error("it broke")) },
    nothing: { handler: () => undefined },
    cyclic: { handler: () => cyclic },
    huge: { handler: () => "x".repeat(2 * 1024 * 1024) },
  });
  const broke = await refusal(call(client, "bad.boom"));
  assertEquals([broke.code, broke.message], ["internal", "it broke"]);
  assertEquals(await call(client, "bad.nothing"), null);
  assertEquals((await refusal(call(client, "bad.cyclic"))).code, "internal");
  assertEquals((await refusal(call(client, "bad.huge"))).code, "too_large");
});

Deno.test("a call that is given up, by its signal or its time, is aborted at its handler and frees its place", async () => {
  await using daemon = await startTestDaemon();
  await using provider = await connectTo(daemon);
  await using caller = await connectTo(daemon);
  const begun: AbortSignal[] = [];
  const first = Promise.withResolvers<void>();
  await using _service = await provider.provide("slow", {
    down: {
      handler: async (_params, { signal }) => {
        begun.push(signal);
        first.resolve();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    },
    quick: { handler: () => "here" },
  }, { maxConcurrent: 1 });
  const params = { service: "slow", method: "down" };
  const giveUp = new AbortController();
  const aborted = caller.call("service.call", params, { signal: giveUp.signal });
  await first.promise;
  giveUp.abort(new Error("no longer wanted"));
  assertEquals((await assertRejects(() => aborted, Error)).message, "no longer wanted");
  const late = await refusal(caller.call("service.call", params, { timeoutMs: 1 }));
  assertEquals(late.code, "timeout");
  // Where there is one place, it is free only when both are over, whether the second ever began or not.
  assertEquals(await call(caller, "slow.quick"), "here");
  assert(begun.every(({ aborted }) => aborted));
});

Deno.test("a handler knows who calls, and its signal is aborted when nobody waits any more", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon, { options: { clientKind: "editor" } });
  const begun = Promise.withResolvers<string | null>();
  const aborted = Promise.withResolvers<string>();
  await using _service = await client.provide("slow", {
    wait: {
      handler: (_params, { caller, signal }) => {
        begun.resolve(caller.originator);
        signal.addEventListener("abort", () => aborted.resolve(signal.reason.message));
        return aborted.promise;
      },
    },
  });
  const other = await connectTo(daemon, { options: { clientKind: "repl" } });
  const called = call(other, "slow.wait").catch(() => {});
  assertEquals(await begun.promise, other.originator);
  await other.close();
  assertEquals(await aborted.promise, "nobody waits for the answer any more");
  await called;
});

Deno.test("on its own connection a provider may ask permission of whoever calls", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon, { options: { clientKind: "tool" } });
  await using person = await connectTo(daemon, { options: { clientKind: "person" } });
  await using _service = await client.provide("tool", {
    run: {
      handler: async (_params, { caller, daemon }) => {
        const asked = { tool: "run", input: null, originator: caller.originator! };
        const { request_id } = await daemon.call("permission.request", asked);
        return await daemon.call("permission.wait", { request_id });
      },
    },
  });
  await using asked = person.subscribe({ topics: ["permission.requested"], consumer: null });
  const called = call(person, "tool.run") as Promise<{ approved: boolean }>;
  const { request_id } = (await asked.next()).value!.envelope.payload as { request_id: string };
  await person.call("permission.answer", { request_id, result: { approve: true } });
  assertEquals((await called).approved, true);
});

Deno.test("after a restart of the daemon the service is there again", async () => {
  await using daemon = await startTestDaemon();
  const gate = new Gate();
  await using client = await connectTo(daemon, { gate });
  await using _service = await provideMath(client);
  const aborted = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  await using _slow = await client.provide("slow", {
    wait: {
      handler: (_params, { signal }) => {
        begun.resolve();
        signal.addEventListener("abort", () => aborted.resolve());
        return aborted.promise;
      },
    },
  });
  const lost = call(client, "slow.wait").catch((error: Error) => error);
  await begun.promise;
  await daemon.restart();
  await aborted.promise;
  assert(await lost instanceof Error);
  gate.open();
  await using other = await connectTo(daemon);
  for (;;) {
    const { services } = await other.call("service.list");
    if (services.length === 2) break;
  }
  assertEquals(await call(other, "math.add", { a: 1 }), 2);
});

Deno.test("a closed service is gone, with its client as well", async () => {
  await using daemon = await startTestDaemon();
  await using other = await connectTo(daemon);
  const client = await connectTo(daemon);
  const math = await provideMath(client);
  const second = await client.provide("second", { m: { handler: () => 1 } });
  math.close();
  assertEquals(await math.closed, null);
  const names = async () => (await other.call("service.list")).services.map(({ name }) => name);
  while ((await names()).includes("math"));
  assertEquals(await names(), ["second"]);
  await client.close();
  assertEquals(await second.closed, null);
  while ((await names()).length > 0);
});

Deno.test("a name that is taken or the daemon's own is refused, and leaves nothing behind", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await using _service = await provideMath(client);
  const other = { handler: () => 1 };
  assertEquals((await refusal(client.provide("math", { other }))).code, "conflict");
  assertEquals((await refusal(client.provide("event", { other }))).code, "permission_denied");
  while ((await client.call("client.list")).clients.length > 2);
});

Deno.test("at most maxConcurrent calls come at once; the others wait and come all", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  let [running, most] = [0, 0];
  await using _service = await client.provide("few", {
    work: {
      handler: async () => {
        most = Math.max(most, ++running);
        await client.call("system.ping");
        running--;
      },
    },
  }, { maxConcurrent: 3 });
  await Promise.all(Array.from({ length: 50 }, () => call(client, "few.work")));
  assertEquals([running, most], [0, 3]);
});

Deno.test("a route is a call", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connectTo(daemon);
  await using _service = await client.provide("hello", {
    greet: {
      params: z.object({ name: z.string() }),
      handler: ({ name }) => ({ text: `hello ${name}` }),
    },
  }, { routes: [{ method: "GET", path: "/api/hello/:name", call: "greet" }] });
  const answer = await daemon.http().ask("/api/hello/world");
  assertEquals([answer.status, answer.body], [200, { text: "hello world" }]);
});
