/** Rate limits on a running daemon: the same in every way of talking, for each token by itself. */

import { assert, assertEquals } from "@std/assert";
import { eventually } from "../support/expect.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { TALKERS } from "../support/talkers.ts";

/** So slow that no test sees a bucket fill again. */
const RATE = { read: 2, send: 1 };

async function tokenOf(daemon: TestDaemon, name: string): Promise<string> {
  using owner = await daemon.v2();
  const scopes = ["read", "send", "write"];
  return (await owner.ask({ cmd: "token.create", name, scopes })).token;
}

for (const [way, open] of Object.entries(TALKERS)) {
  Deno.test(`${way}: a token that asks too often is told when to ask again, and no other token is`, async () => {
    await using daemon = await startTestDaemon({ config: { limits: { rate: RATE } } });
    const [busy, calm] = [await tokenOf(daemon, "busy"), await tokenOf(daemon, "calm")];
    using talker = await open(daemon, busy);
    using other = await open(daemon, calm);
    let refused = await talker.ask("record.list");
    while (refused.code === "ok") refused = await talker.ask("record.list");
    const { code, reply, retryAfterMs } = refused;
    assertEquals(code, "rate_limited");
    assert(retryAfterMs! > 0 && retryAfterMs! <= 500, JSON.stringify(reply));
    assertEquals((await other.ask("record.list")).code, "ok");
    assertEquals((await talker.ask("system.ping")).code, "ok", "what needs no scope has no limit");
    if (way === "HTTP") assertEquals([reply.status, reply.retryAfter], [429, "1"]);
    if (way === "AimX") assertEquals(reply.error.code, "QUEUE_FULL");
    if (way === "JSON-RPC") assertEquals(reply.error.code, -32000);
    if (way === "AXON") {
      assertEquals([reply.error, typeof reply.message], ["rate_limited", "string"]);
    }
  });
}

Deno.test("the connections of one token share its limit, and classes have limits of their own", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { rate: RATE } } });
  const token = await tokenOf(daemon, "ci");
  const open = TALKERS["JSON-RPC"]!;
  using one = await open(daemon, token);
  using two = await open(daemon, token);
  const sent = { kind: "notify", payload: 1 };
  assertEquals((await one.ask("event.send", sent)).code, "ok");
  assertEquals((await two.ask("event.send", sent)).code, "rate_limited");
  assertEquals((await two.ask("event.read")).code, "ok");
});

Deno.test("strangers without a token share one limit", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { rate: RATE } } });
  using one = await TALKERS["AimX"]!(daemon, null);
  using two = await TALKERS["AimX"]!(daemon, null);
  await eventually(async () => (await one.ask("record.list")).code === "rate_limited");
  const { code, retryAfterMs } = await two.ask("record.list");
  assert(code === "rate_limited" && retryAfterMs! > 0, code);
  using owner = await TALKERS["AimX"]!(daemon, daemon.token);
  assertEquals((await owner.ask("record.list")).code, "ok");
});

Deno.test("limits.rate is taken over by a reload", async () => {
  await using daemon = await startTestDaemon();
  using talker = await TALKERS["JSON-RPC"]!(daemon, daemon.token);
  for (let n = 0; n < 20; n++) assertEquals((await talker.ask("event.read")).code, "ok");
  assertEquals(await daemon.reload({ limits: { rate: RATE } }), []);
  await eventually(async () => (await talker.ask("event.read")).code === "rate_limited");
  await daemon.reload({});
  for (let n = 0; n < 20; n++) assertEquals((await talker.ask("event.read")).code, "ok");
});

Deno.test("GET /events is limited as its operation is, with 429", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { rate: RATE } } });
  const http = daemon.http();
  await eventually(async () => (await http.ask("/events?follow=0")).status === 429);
  const { status, headers, body } = await http.ask("/events?follow=0");
  assertEquals([status, headers.get("retry-after"), body.error.code], [429, "1", "rate_limited"]);
});
