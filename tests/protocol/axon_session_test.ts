/**
 * One session, typed from the AXON specification example by example; each answer is what it shows there.
 *
 * Where an example cuts a value short ("ed25519.a1b2c3d4...") or leaves it to the daemon (a time, a seq, an
 * id), the shape is compared; everything else to the letter.
 */

import { assertEquals } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import type { Line } from "../support/raw_client.ts";
import { expectError } from "../support/expect.ts";

Deno.test("a session typed from the specification is answered as it shows", async () => {
  await using daemon = await startTestDaemon({ config: { name: "human-readable-name" } });
  for (const kind of ["query", "delegate", "notify"]) await daemon.fill(1, { kind });
  const client = await daemon.connect();

  const hello = await client.askText(
    '{"cmd": "hello", "req_id": "1", "version": 2, "consumer": "default"}',
  );
  expectShape(hello, {
    ok: true,
    req_id: "1",
    version: 2,
    daemon_max_version: 2,
    agent_id: daemon.agentId,
    features: ["buffer", "subscribe", "auth"],
  }, ["epoch"]);

  const early = await client.askText('{"cmd": "whoami", "req_id": "3"}');
  expectError(early, "auth_required");

  const auth = await client.askText(`{"cmd": "auth", "req_id": "2", "token": "${daemon.token}"}`);
  assertEquals(auth, { ok: true, req_id: "2", auth: "accepted" });

  const whoami = await client.askText('{"cmd": "whoami", "req_id": "3"}');
  expectShape(whoami, {
    ok: true,
    req_id: "3",
    agent_id: daemon.agentId,
    name: "human-readable-name",
    ipc_version: 2,
  }, ["public_key", "version", "uptime_secs"]);

  const inbox = await client.askText(
    '{"cmd": "inbox", "req_id": "4", "limit": 50, "kinds": ["query", "delegate"]}',
  );
  expectShape(inbox, { ok: true, req_id: "4", next_seq: 2, has_more: false }, ["messages"]);
  for (const [i, message] of inbox.messages.entries()) {
    expectShape(message, { seq: i + 1 }, ["buffered_at_ms", "envelope"]);
  }

  const ack = await client.askText('{"cmd": "ack", "req_id": "5", "up_to_seq": 2}');
  assertEquals(ack, { ok: true, req_id: "5", acked_seq: 2 });

  const subscribe = await client.askText(
    '{"cmd": "subscribe", "req_id": "6", "kinds": ["query", "delegate", "notify"], "replay": true}',
  );
  assertEquals(subscribe, {
    ok: true,
    req_id: "6",
    subscribed: true,
    replayed: 1,
    replay_to_seq: 3,
  });
  const replayed = { event: "inbound", replay: true, seq: 3 };
  expectShape(await client.pushed(), replayed, ["buffered_at_ms", "envelope"]);
  await daemon.fill(1);
  const live = { event: "inbound", replay: false, seq: 4 };
  expectShape(await client.pushed(), live, ["buffered_at_ms", "envelope"]);

  await client.askText('{"cmd": "ack", "req_id": "7", "up_to_seq": 4}');
  assertEquals(await client.askText('{"cmd": "inbox", "req_id": "4"}'), {
    ok: true,
    req_id: "4",
    messages: [],
    next_seq: null,
    has_more: false,
  });
});

/** Expects exactly these values, and beside them exactly the fields named. */
function expectShape(line: Line, values: Line, others: string[]): void {
  assertEquals(Object.keys(line).sort(), [...Object.keys(values), ...others].sort());
  for (const key of Object.keys(values)) assertEquals(line[key], values[key], key);
}
