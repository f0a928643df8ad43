/** What real handlers answer is what their result schemas say, no field more and none less. */

import { assertEquals } from "@std/assert";
import { OPERATIONS } from "../../src/operations/registry.ts";
import type { OperationName } from "../../src/client/mod.ts";
import { startTestDaemon } from "../support/in_process.ts";
import { EXAMPLES } from "../support/operation_examples.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

/** What the reader's connection is refused with, which provides nothing; another test shows the result. */
const REFUSED: Partial<Record<OperationName, string>> = {
  "service.call": "service_unavailable",
  "service.cancel": "not_found",
  "service.answer": "not_found",
};

/** Of the reply what AXON adds to its own commands, which is no part of the result. */
const ADDED: Partial<Record<OperationName, string>> = { "system.hello": "daemon_max_version" };

Deno.test("every operation of the registry has an example, and no other", () => {
  assertEquals(Object.keys(EXAMPLES).sort(), OPERATIONS.map(({ name }) => name).sort());
});

Deno.test("what handlers answer is what their result schemas say", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 5 } } });
  await daemon.fill(8);
  const client = await daemon.v2("reader");
  let [id, own] = ["", ""];
  for (const [operation, examples] of Object.entries(EXAMPLES)) {
    const name = operation as OperationName;
    for (const [i, make] of examples.entries()) {
      const params = make({ token: daemon.token, id, own, text: "é" });
      const reply = await expectResult(client, name, params);
      id = reply.subscription_id ?? reply.turn_id ?? reply.request_id ?? reply.lease_id ?? id;
      if (name === "system.hello") own = reply.originator ?? own;
      if (name === "event.inbox" && i === 0) assertEquals(Object.keys(reply).includes("gap"), true);
    }
  }
});

async function expectResult(
  client: RawClient,
  name: OperationName,
  params: object,
): Promise<Line> {
  const { ok, req_id: _, ...fields } = await client.ask({ cmd: name, ...params });
  const refused = REFUSED[name];
  if (refused !== undefined) {
    assertEquals([ok, fields.error], [false, refused], name);
    return fields;
  }
  assertEquals(ok, true, `${name} ${JSON.stringify(fields)}`);
  const added = ADDED[name];
  if (added !== undefined) delete fields[added];
  const { result = fields } = fields;
  // AXON puts the version that was negotiated where the daemon's own stood.
  if (name === "system.hello") result.version = String(result.version);
  const { result: schema } = OPERATIONS.find((operation) => operation.name === name)!;
  const parsed = schema.safeParse(result);
  assertEquals(parsed.error?.issues, undefined, name);
  assertEquals(parsed.data, result, `${name} has exactly the fields of its schema`);
  return result;
}
