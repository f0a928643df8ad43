/** Tokens that are not valid, many of them: what is carried out, what the audit and the log have of it, and for how long. */

import { assert, assertEquals, assertLess } from "@std/assert";
import { range } from "../support/expect.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line } from "../support/raw_client.ts";

const login = (id: number): Line => (
  { jsonrpc: "2.0", id, method: "auth.login", params: { token: `wrong-${id}` } }
);

async function failures(daemon: TestDaemon): Promise<number> {
  const { text } = await daemon.http().ask("/metrics");
  return Number(/^postern_auth_failures_total (\d+)$/m.exec(text)![1]);
}

/** How many refusals the lines of the audit stand for. */
const counted = (lines: readonly Line[]): number =>
  lines.reduce((sum, { count = 1 }) => sum + count, 0);

Deno.test("behind the third failed auth.login of a batch nothing is carried out", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const send = { method: "event.send", params: { kind: "notify", payload: 1 } };
  const batch = [...range(1, 500).map(login), { jsonrpc: "2.0", id: 501, ...send }];
  const { body } = await http.post(batch);
  assertEquals(body.length, 501);
  assertEquals(new Set(body.map(({ error }: Line) => error.data.code)), new Set(["auth_failed"]));
  assertEquals(await failures(daemon), 3);
  assertEquals((await http.call("event.read")).events, []);
});

Deno.test("while 64 failures wait, auth.login over HTTP is 429 and looks at no token", async () => {
  await using daemon = await startTestDaemon();
  const wrong = daemon.http("wrong");
  const waiting = range(1, 64).map(() => wrong.ask("/readyz"));
  while (await failures(daemon) < 64) { /* until they are there */ }
  const stranger = daemon.http(null);
  const { status, body } = await stranger.post(login(1));
  assertEquals([status, body.error.data.code], [429, "rate_limited"]);
  assertEquals(await failures(daemon), 64);
  assertEquals((await daemon.http().ask("/readyz")).status, 200);
  await Promise.all(waiting);
});

Deno.test("beyond a few the audit and the log have one line a second with a count", async () => {
  const daemon = await startTestDaemon();
  try {
    const wrong = daemon.http("wrong");
    await Promise.all(range(1, 200).map(() => wrong.ask("/readyz")));
    const stranger = daemon.http(null);
    for (const method of ["token.create", "record.set", "record.define"]) {
      await stranger.post(range(1, 50).map((id) => ({ jsonrpc: "2.0", id, method })));
    }
    const client = await daemon.connect();
    await client.send(...range(1, 50).map((id) => ({ jsonrpc: "2.0", id, method: "token.list" })));
    for (const id of range(1, 50)) assertEquals((await client.next()).id, id);
    await daemon.stop();
    const lines = daemon.audit().filter(({ outcome }) => outcome.startsWith("auth_"));
    assertEquals(counted(lines.filter(({ outcome }) => outcome === "auth_failed")), 200);
    assertEquals(counted(lines.filter(({ outcome }) => outcome === "auth_required")), 200);
    assertLess(lines.length, 40);
    assert(lines.some(({ op }) => op === "audit.refused"));
    const told = daemon.logged.filter(({ message }) => message === "a token was not valid");
    assertEquals(told.length, lines.filter(({ outcome }) => outcome === "auth_failed").length);
    await daemon.start();
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
});

Deno.test("what a token is refused has a few lines, then counts with its id; what is done has a line each", async () => {
  const daemon = await startTestDaemon();
  try {
    const owner = daemon.http();
    const few = await owner.call("token.create", { name: "few", scopes: ["read"] });
    const other = await owner.call("token.create", { name: "other", scopes: ["read"] });
    const create = (id: number) => ({ jsonrpc: "2.0", id, method: "token.create", params: {} });
    const asked = range(1, 10).map(() => daemon.http(few.token).post(range(1, 100).map(create)));
    await Promise.all(asked);
    await daemon.http(other.token).post(create(1));
    for (const n of range(1, 20)) {
      await owner.call("token.create", { name: `n${n}`, scopes: ["read"] });
    }
    await daemon.stop();
    const lines = daemon.audit().filter(({ op }) => op === "token.create");
    const of = (tokenId: string) => lines.filter(({ token_id }) => token_id === tokenId);
    assertEquals(counted(of(few.id)), 1000);
    assertLess(of(few.id).length, 20);
    assertEquals(of(other.id).map(({ count = null }) => count), [null]);
    assertEquals(of("owner").map(({ count = null }) => count), Array(22).fill(null));
    await daemon.start();
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
});
