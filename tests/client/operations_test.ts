/** The types of `call` against the registry that they are taken from, and what they let through. */

import { assertEquals } from "@std/assert";
import { z } from "zod";
import {
  type Client,
  connect,
  type OperationName,
  type OperationParams,
  type OperationResult,
} from "../../src/client/mod.ts";
import { defineOperation } from "../../src/operations/operation.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { startTestDaemon } from "../support/in_process.ts";

/** The parameters of an operation that must be given. */
type Required<P> = {
  [K in keyof P as string extends K ? never : Record<never, never> extends Pick<P, K> ? never : K]:
    true;
};

/** The type check holds this to the types: every operation, and of each what it requires. */
const REQUIRED: { [N in OperationName]: Required<OperationParams<N>> } = {
  "auth.access": {},
  "auth.login": { token: true },
  "consumer.list": {},
  "consumer.remove": { consumer: true },
  "echo.ping": {},
  "event.ack": { up_to_seq: true },
  "event.inbox": {},
  "event.read": {},
  "event.send": {},
  "event.subscribe": {},
  "event.unsubscribe": { subscription_id: true },
  "lease.acquire": { name: true, ttl_secs: true },
  "client.list": {},
  "lease.list": {},
  "lease.release": {},
  "lease.renew": { lease_id: true },
  "peer.list": {},
  "permission.answer": { request_id: true, result: true },
  "permission.cancel": { request_id: true },
  "permission.delegate": { request_id: true, to: true },
  "permission.demo": { tool: true, input: true },
  "permission.list": {},
  "permission.refresh_timeout": { request_id: true, extend_s: true },
  "permission.request": { tool: true, input: true },
  "permission.wait": { request_id: true },
  "record.define": { name: true },
  "record.get": {},
  "record.history": {},
  "record.list": {},
  "record.remove": {},
  "record.set": { value: true },
  "record.subscribe": {},
  "record.unsubscribe": { subscription_id: true },
  "service.answer": { id: true },
  "service.cancel": { call_id: true },
  "service.call": { service: true, method: true },
  "service.list": {},
  "service.register": { name: true, methods: true },
  "session.attach": {},
  "session.cancel": { turn_id: true },
  "session.create": {},
  "session.get": { session_id: true },
  "session.list": {},
  "session.reply": { session_id: true, text: true },
  "session.send": { session_id: true, text: true },
  "system.hello": {},
  "system.operations": {},
  "system.ping": {},
  "system.shutdown": {},
  "system.status": {},
  "system.whoami": {},
  "turn.emit": { turn_id: true, type: true },
  "token.create": { name: true, scopes: true },
  "token.list": {},
  "token.revoke": { id: true },
  "token.rotate": {},
};

Deno.test("the types name every operation of the registry and no other", () => {
  assertEquals(Object.keys(REQUIRED).sort(), OPERATIONS.map(({ name }) => name).sort());
});

for (const { name, params } of OPERATIONS) {
  Deno.test(`${name}: the types require what the registry requires`, () => {
    const { required = [] } = z.toJSONSchema(params, { io: "input" });
    const typed = Object.keys(REQUIRED[name as OperationName] ?? { unknown: true });
    assertEquals(typed.sort(), required.toSorted());
  });
}

Deno.test("results have the registry's types, and wrong calls are errors of the type check", async () => {
  await using daemon = await startTestDaemon();
  await using client = await connect({ dir: daemon.directory, env: new Map() });
  const { seq, msg_id } = await client.call("event.send", { kind: "notify", payload: [1] });
  const page: OperationResult<"event.read"> = await client.call("event.read", { after: 0 });
  const [event] = page.events;
  assertEquals([event?.seq, event?.envelope.id, event?.envelope.payload], [seq, msg_id, [1]]);
  const { operations } = await client.call("system.operations");
  assertEquals(operations.length, OPERATIONS.length);
  const asText = await client.call("event.read", '{"after":0,"limit":1}');
  assertEquals(asText.has_more, false);
  const unknown: Record<string, unknown> = await client.call("status");
  assertEquals(typeof unknown.uptime_secs, "number");
});

Deno.test("a field with a default may be left out, whatever its name, and keeps its type", () => {
  const defined = defineOperation({
    name: "test.defaults",
    summary: "Nothing.",
    scope: null,
    params: z.object({
      pace: z.number().default(1),
      inner: z.object({ on: z.boolean().default(true) }),
    }),
    result: z.object({ sum: z.number() }),
    handle: ({ pace, inner: { on } }) => ({ sum: pace + Number(on satisfies boolean) }),
  });
  type Input = z.input<typeof defined.params>;
  const least: Input = { inner: {} };
  assertEquals(defined.params.parse(least), { pace: 1, inner: { on: true } });
  const name: "test.defaults" = defined.name;
  assertEquals(name, "test.defaults");
});

/** Never called: the defaults of every operation may be left out, alone or together. */
export function allowedByTypes(client: Client): void {
  client.call("event.inbox", { consumer: "c" });
  client.call("event.read", { limit: 1 });
  client.call("event.read", { after: 0, kinds: ["notify"] as const });
  client.call("event.subscribe", { replay: false });
  client.call("event.subscribe", { consumer: null, since: 0 });
  client.call("event.send", { events: [{ kind: "notify", payload: 1 }] });
}

/** Never called: each line behind a directive would be an error if the types let it through. */
export function refusedByTypes(client: Client): void {
  // @ts-expect-error a parameter that must be given
  client.call("event.ack");
  // @ts-expect-error a parameter of another type
  client.call("event.ack", { up_to_seq: "7" });
  // @ts-expect-error a kind that there is none of
  client.call("event.send", { kind: "nonsense", payload: 1 });
  // @ts-expect-error a parameter that the operation does not have
  client.call("event.read", { after: 0, before: 9 });
  // @ts-expect-error a default of another type
  client.call("event.read", { limit: "1" });
  // @ts-expect-error a default that is null
  client.call("event.subscribe", { replay: null });
  // @ts-expect-error an operation that takes nothing
  client.call("peer.list", { limit: 1 });
  // @ts-expect-error a field that the result does not have
  client.call("event.ack", { up_to_seq: 7 }).then(({ acked }) => acked);
  // @ts-expect-error a message of a batch has no address of its own
  client.sendAll([{ kind: "notify", payload: 1, to: "self" }]);
}
