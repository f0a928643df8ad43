/** What an operation asks of the caller's token at the moment it is called, whatever the connection is. */

import { assertEquals, assertThrows } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { Metrics } from "../../src/core/metrics.ts";
import type { AuditEntry } from "../../src/core/ports.ts";
import type { Principal } from "../../src/core/principal.ts";
import { RateLimits } from "../../src/core/rate_limit.ts";
import { Tokens } from "../../src/core/tokens.ts";
import { SECRETS } from "../../src/daemon/secrets.ts";
import type { Context } from "../../src/operations/operation.ts";
import { Refusals } from "../../src/operations/refusals.ts";
import { invoke } from "../../src/operations/registry.ts";
import { openTestLog } from "../support/test_log.ts";

const RATES = { read: 0, send: 0, write: 0, serve: 0, admin: 1 };

function setUp() {
  const { log, clock } = openTestLog();
  const tokens = new Tokens("0a".repeat(32), {
    documents: log,
    clock,
    secrets: SECRETS,
    stored: [],
  });
  const noted: AuditEntry[] = [];
  const audit = { note: (entry: AuditEntry) => noted.push(entry) };
  const services = {
    tokens,
    clock,
    metrics: new Metrics(),
    rateLimits: new RateLimits(RATES, clock),
    audit,
    refusals: new Refusals(audit, clock),
    provided: { has: () => false },
    limits: { requireToken: false },
    endRevoked() {},
  };
  const contextOf = (principal: Principal | null) =>
    ({
      services,
      caller: {
        principal,
        isRemote: false,
        client: null,
        transport: "socket",
        onBehalfOf: null,
      },
    }) as unknown as Context;
  const ask = (principal: Principal | null, operation: string, params: unknown = {}) =>
    invoke({ operation, params, opened: false }, contextOf(principal));
  return { tokens, clock, noted, ask, metrics: services.metrics };
}

function codeOf(action: () => unknown): string {
  return assertThrows(action, PosternError).code;
}

Deno.test("a token that has expired is refused with the next request, before its connection has ended", async () => {
  const { tokens, clock, ask } = setUp();
  const { secret } = await tokens.create("short", ["admin", "read"], 1000).promise();
  const principal = tokens.authenticate(secret)!;
  clock.step(999);
  assertEquals(ask(principal, "echo.ping", { a: 1 }) instanceof Error, false);
  clock.step(1);
  assertEquals(codeOf(() => ask(principal, "echo.ping")), "auth_failed");
  assertEquals(codeOf(() => ask(principal, "token.list")), "auth_failed");
  // It may show another one.
  assertEquals((ask(principal, "system.ping") as { pong: boolean }).pong, true);
});

Deno.test("a revoked or replaced token is refused with the next request", async () => {
  const { tokens, ask } = setUp();
  const { secret } = await tokens.create("ci", ["read"], null).promise();
  const named = tokens.authenticate(secret)!;
  const owner = tokens.authenticate("0a".repeat(32))!;
  tokens.revoke("ci");
  tokens.replaceOwner("0b".repeat(32));
  for (const principal of [named, owner]) {
    assertEquals(codeOf(() => ask(principal, "echo.ping")), "auth_failed");
  }
});

Deno.test("writing and admin operations are audited with what they came to, others are not", () => {
  const { tokens, noted, ask } = setUp();
  const owner = tokens.authenticate("0a".repeat(32))!;
  ask(owner, "token.list");
  assertEquals(codeOf(() => ask(owner, "token.list")), "rate_limited");
  assertEquals(codeOf(() => ask(null, "token.list")), "auth_required");
  assertEquals(codeOf(() => ask(owner, "record.set")), "invalid_params");
  ask(owner, "echo.ping", { secret: "x" });
  ask(null, "system.ping");
  assertEquals(codeOf(() => ask(owner, "no.such")), "unknown_operation");
  assertEquals(noted.map(({ op, outcome, tokenId }) => [op, outcome, tokenId]), [
    ["token.list", "ok", "owner"],
    ["token.list", "rate_limited", "owner"],
    ["token.list", "auth_required", null],
    ["record.set", "invalid_params", "owner"],
  ]);
});

Deno.test("requests are counted by operation and outcome, and those refused for their rate once more", () => {
  const { tokens, ask, metrics } = setUp();
  const owner = tokens.authenticate("0a".repeat(32))!;
  ask(owner, "token.list");
  for (let n = 0; n < 2; n++) codeOf(() => ask(owner, "token.list"));
  codeOf(() => ask(owner, "no.such"));
  assertEquals([...metrics.requests.keys()], ["token.list"], "names of others make no series");
  assertEquals(Object.fromEntries(metrics.requests.get("token.list")!), { ok: 1, rate_limited: 2 });
  assertEquals([metrics.rateLimited, metrics.requestCount], [2, 4]);
  assertEquals(metrics.latencies.get("token.list")!.count, 3);
});
