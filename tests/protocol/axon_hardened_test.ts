/** AXON, sections 2.4, 7 and 8: `ipc.allow_v1 = false`. */

import { assertEquals } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import { expectError } from "../support/expect.ts";

const HARDENED = { config: { ipc: { allow_v1: false } } };

const COMMANDS = [
  { cmd: "status" },
  { cmd: "peers" },
  { cmd: "send", to: "self", kind: "notify", payload: {} },
  { cmd: "auth", token: "0".repeat(64) },
  { cmd: "whoami" },
  { cmd: "inbox" },
  { cmd: "ack", up_to_seq: 1 },
  { cmd: "subscribe" },
  { cmd: "event.inbox" },
];

for (const command of COMMANDS) {
  Deno.test(`2.4 with allow_v1 false, ${command.cmd} before hello is hello_required`, async () => {
    await using daemon = await startTestDaemon(HARDENED);
    const client = await daemon.connect();
    const reply = await client.ask({ ...command, req_id: "q" });
    expectError(reply, "hello_required");
  });
}

Deno.test("2.4 with allow_v1 false, the right token before hello does not help", async () => {
  await using daemon = await startTestDaemon(HARDENED);
  const client = await daemon.connect();
  expectError(await client.ask({ cmd: "auth", token: daemon.token }), "hello_required");
});

Deno.test("2.4 with allow_v1 false, a hello that negotiates version 1 is unsupported_version", async () => {
  await using daemon = await startTestDaemon(HARDENED);
  const client = await daemon.connect();
  expectError(await client.ask({ cmd: "hello", version: 1 }), "unsupported_version");
});

Deno.test("2.4 with allow_v1 false, a refused hello is no hello", async () => {
  await using daemon = await startTestDaemon(HARDENED);
  const client = await daemon.connect();
  await client.send(
    { cmd: "hello", req_id: "1", version: 1 },
    { cmd: "status", req_id: "2" },
  );
  const [first, ...others] = await readBoth();
  expectError(first!, "unsupported_version");
  for (const line of others) expectError(line, "hello_required");

  async function readBoth() {
    const first = await client.reply();
    try {
      return [first, await client.reply()];
    } catch {
      return [first];
    }
  }
});

Deno.test("2.4 with allow_v1 false, version 2 works as ever", async () => {
  await using daemon = await startTestDaemon(HARDENED);
  await daemon.fill(2);
  const client = await daemon.v2();
  assertEquals((await client.ask({ cmd: "inbox" })).messages.length, 2);
  await client.ask({ cmd: "subscribe", replay: false });
  await daemon.fill(1);
  assertEquals((await client.pushed()).seq, 3);
});

Deno.test("2.4 with allow_v1 false, a version 2 connection cannot go back to version 1", async () => {
  await using daemon = await startTestDaemon(HARDENED);
  const client = await daemon.v2();
  expectError(await client.ask({ cmd: "hello", version: 1 }), "unsupported_version");
});

Deno.test("7 with allow_v1 false, an unknown command of a version 2 client is invalid_command", async () => {
  await using daemon = await startTestDaemon(HARDENED);
  const client = await daemon.v2();
  expectError(await client.ask({ cmd: "nonsense" }), "invalid_command");
});

Deno.test("axon.md: with allow_v1 false, a connection that says nothing is closed and hears nothing", async () => {
  const config = { ipc: { allow_v1: false }, limits: { hello_timeout_ms: 500 } };
  await using daemon = await startTestDaemon({ config });
  const silent = await daemon.connect();
  await daemon.fill(1);
  const lines = await silent.untilClosed();
  assertEquals(lines.filter((line) => "inbound" in line || "event" in line), []);
});

Deno.test("axon.md: with allow_v1 false, a connection that said hello in time stays", async () => {
  const config = { ipc: { allow_v1: false }, limits: { hello_timeout_ms: 500 } };
  await using daemon = await startTestDaemon({ config });
  const client = await daemon.v2();
  const silent = await daemon.connect();
  await silent.untilClosed();
  assertEquals((await client.ask({ cmd: "inbox" })).ok, true);
});
