/** The types of `call` against the registry that they are taken from, and what they let through. */

import { assertEquals } from "@std/assert";
import { z } from "zod";
import {
  type Client,
  connect,
  type OperationName,
  type OperationResult,
} from "../../src/client/mod.ts";
import { defineOperation } from "../../src/operations/operation.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { startTestDaemon } from "../support/in_process.ts";
import { EXAMPLES } from "../support/operation_examples.ts";

for (const { name, params } of OPERATIONS) {
  Deno.test(`${name}: the registry takes what the types take, and nothing less`, () => {
    const given = { token: "t", id: "i", own: "o", text: "x" };
    const examples = EXAMPLES[name as OperationName].map((make) => make(given));
    for (const example of examples) params.parse(example);
    const { required = [] } = z.toJSONSchema(params, { io: "input" });
    for (const field of required) {
      const { [field]: _, ...rest } = examples[0] as Record<string, unknown>;
      assertEquals(params.safeParse(rest).success, false, `without ${field}`);
    }
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
