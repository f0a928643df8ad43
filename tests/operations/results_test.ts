/** What real handlers answer is what their result schemas say, no field more and none less. */

import { assertEquals } from "@std/assert";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

interface Case {
  readonly params?: Record<string, unknown>;
  /** Of the reply what AXON adds to its own commands, which is no part of the result. */
  readonly added?: readonly string[];
  /** What the reader's connection is refused with; another test shows the result. */
  readonly refused?: string;
}

const EVENT = { kind: "notify", payload: { a: [1, "é"] } };

/** For each operation the ways in which its result can look. */
const CASES: Readonly<
  Record<string, readonly ((daemon: TestDaemon, id: string, own: string) => Case)[]>
> = {
  "system.hello": [
    () => ({ params: { version: 2 }, added: ["daemon_max_version"] }),
    () => ({ params: { version: 2, client_kind: "test" }, added: ["daemon_max_version"] }),
  ],
  "system.ping": [() => ({})],
  "echo.ping": [() => ({ params: { a: 1 } })],
  "system.status": [() => ({})],
  "system.whoami": [() => ({})],
  "system.operations": [() => ({})],
  "auth.login": [(daemon) => ({ params: { token: daemon.token } })],
  "event.send": [
    () => ({ params: EVENT }),
    () => ({ params: { ...EVENT, topic: "a.b", dedup_key: "k", ttl_secs: 5, ref: "r" } }),
    () => ({ params: { ...EVENT, dedup_key: "k" } }),
    () => ({ params: { events: [EVENT, { ...EVENT, dedup_key: "k" }] } }),
  ],
  "event.inbox": [
    () => ({}),
    () => ({ params: { consumer: "nobody", topics: ["no.such"] } }),
  ],
  "event.ack": [() => ({ params: { up_to_seq: 1 } })],
  "event.read": [
    () => ({ params: { after: 1, limit: 2 } }),
    () => ({ params: { kinds: ["query"] } }),
  ],
  "event.subscribe": [() => ({ params: { replay: false } })],
  "event.unsubscribe": [(_daemon, id) => ({ params: { subscription_id: id } })],
  "consumer.list": [() => ({})],
  "consumer.remove": [() => ({ params: { consumer: "default" } })],
  "peer.list": [() => ({})],
  "auth.access": [() => ({}), (daemon) => ({ params: { token: daemon.token } })],
  "record.define": [
    () => ({
      params: { name: "a.b", buffer_type: "spmc_ring", capacity: 3, schema: { type: "number" } },
    }),
    () => ({ params: { name: "c", volatile: true } }),
  ],
  "record.set": [() => ({ params: { name: "a.b", value: 1 } })],
  "record.get": [() => ({ params: { name: "a.b" } })],
  "record.list": [() => ({})],
  "record.history": [() => ({ params: { name: "a.b", limit: 2 } })],
  "record.subscribe": [() => ({ params: { name: "a.>", send_initial: false } })],
  "record.unsubscribe": [(_daemon, id) => ({ params: { subscription_id: id } })],
  "record.remove": [() => ({ params: { name: "a.b" } })],
  "session.create": [
    () => ({ params: {} }),
    () => ({ params: { session_id: "s", runner: "echo", title: "A title" } }),
  ],
  "session.attach": [() => ({ params: { runner: "echo" } })],
  "session.list": [() => ({})],
  "session.reply": [() => ({ params: { session_id: "s", text: "x", target: "all" } })],
  "session.send": [() => ({ params: { session_id: "s", text: "x", data: null } })],
  "session.get": [() => ({ params: { session_id: "s" } })],
  "turn.emit": [(_daemon, id) => ({ params: { turn_id: id, type: "delta", data: 1 } })],
  "session.cancel": [(_daemon, id) => ({ params: { turn_id: id } })],
  "permission.request": [() => ({ params: { tool: "T", input: { a: 1 }, rationale: "r" } })],
  "permission.list": [() => ({})],
  "permission.refresh_timeout": [(_daemon, id) => ({ params: { request_id: id, extend_s: 1 } })],
  "permission.delegate": [(_daemon, id, own) => ({ params: { request_id: id, to: own } })],
  "permission.answer": [
    (_daemon, id) => ({ params: { request_id: id, result: { approve: true, a: [1] } } }),
  ],
  "permission.demo": [() => ({ params: { tool: "T", input: null } })],
  "permission.cancel": [(_daemon, id) => ({ params: { request_id: id } })],
  "permission.wait": [(_daemon, id) => ({ params: { request_id: id } })],
  "lease.acquire": [() => ({ params: { name: "l", ttl_secs: 60, release_on_disconnect: true } })],
  "client.list": [() => ({})],
  "lease.list": [() => ({})],
  "lease.renew": [(_daemon, id) => ({ params: { lease_id: id } })],
  "lease.release": [(_daemon, id) => ({ params: { lease_id: id } })],
  "service.list": [() => ({})],
  "service.register": [
    () => ({ params: { name: "x", methods: [{ name: "y" }] } }),
  ],
  "service.call": [
    () => ({ params: { service: "z", method: "y" }, refused: "service_unavailable" }),
  ],
  "service.cancel": [() => ({ params: { call_id: "none" }, refused: "not_found" })],
  "service.answer": [() => ({ params: { id: "c0", result: 1 }, refused: "not_found" })],
  "token.create": [
    () => ({ params: { name: "one", scopes: ["read"] } }),
    () => ({ params: { name: "two", scopes: ["read", "send"], expires_in_secs: 60 } }),
  ],
  "token.list": [() => ({})],
  "token.revoke": [() => ({ params: { id: "one" } })],
  "token.rotate": [() => ({})],
  "system.shutdown": [() => ({})],
};

Deno.test("every operation has a case here", () => {
  assertEquals(Object.keys(CASES).sort(), OPERATIONS.map(({ name }) => name).sort());
});

Deno.test("what handlers answer is what their result schemas say", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 5 } } });
  await daemon.fill(8);
  const client = await daemon.v2("reader");
  let [id, own] = ["", ""];
  for (const [name, cases] of Object.entries(CASES)) {
    for (const [i, make] of cases.entries()) {
      const reply = await expectResult(client, name, make(daemon, id, own));
      id = reply.subscription_id ?? reply.turn_id ?? reply.request_id ?? reply.lease_id ?? id;
      if (name === "system.hello") own = reply.originator ?? own;
      if (name === "event.inbox" && i === 0) assertEquals(Object.keys(reply).includes("gap"), true);
    }
  }
});

async function expectResult(
  client: RawClient,
  name: string,
  { params = {}, added = [], refused }: Case,
): Promise<Line> {
  const { ok, req_id: _, ...fields } = await client.ask({ cmd: name, ...params });
  if (refused !== undefined) {
    assertEquals([ok, fields.error], [false, refused], name);
    return fields;
  }
  assertEquals(ok, true, `${name} ${JSON.stringify(fields)}`);
  for (const field of added) delete fields[field];
  const { result = fields } = fields;
  // AXON puts the version that was negotiated where the daemon's own stood.
  if (name === "system.hello") result.version = String(result.version);
  const { result: schema } = OPERATIONS.find((operation) => operation.name === name)!;
  const parsed = schema.safeParse(result);
  assertEquals(parsed.error?.issues, undefined, name);
  assertEquals(parsed.data, result, `${name} has exactly the fields of its schema`);
  return result;
}
