/** What a batch of requests may cost: its replies are bounded, and what is beyond is refused, not dropped. */

import { assert, assertEquals, assertLess } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";

Deno.test("json-rpc.md: a batch stops carrying out what its replies have no room for", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(1, { payload: "x".repeat(400_000) });
  const client = await daemon.connect();
  const login = { jsonrpc: "2.0", id: "l", method: "auth.login", params: { token: daemon.token } };
  await client.send(login);
  assertEquals((await client.next()).id, "l");
  const reads = Array.from(
    { length: 50 },
    (_, id) => ({ jsonrpc: "2.0", id, method: "event.read" }),
  );
  await client.send(reads);
  const replies = JSON.parse(await client.text());
  assertEquals(replies.length, 50);
  assertLess(JSON.stringify(replies).length, 2 * 1024 * 1024);
  assert("result" in replies[0]);
  assertEquals(replies[49].error.data.code, "too_large");
});
