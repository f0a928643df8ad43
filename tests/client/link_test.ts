/** The way to the daemon over several connections, in memory: who waits, who fails, who is sent again, and when. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Exchange } from "../../src/client/exchange.ts";
import type { Link } from "../../src/client/link.ts";
import { ConnectionError, PosternError } from "../../src/client/mod.ts";
import { delayBefore, toPolicy } from "../../src/client/reconnect.ts";
import { isRepeatable } from "../../src/client/repeatable.ts";
import { FakeSocket } from "../support/fake_axon.ts";
import { Stage } from "./stage.ts";

interface Asked {
  readonly repeatable?: boolean;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

function ask(link: Link, name: string, { repeatable = false, ...options }: Asked = {}) {
  const exchange = new Exchange(name, "{}", options);
  exchange.repeatable = repeatable;
  link.carry(exchange);
  exchange.outcome.catch(() => {});
  return exchange.outcome;
}

function commands(socket: FakeSocket): unknown[] {
  return socket.heard.map(({ cmd }) => cmd);
}

function gone(code: "ENOENT" | "ECONNREFUSED" | "EPROTO" = "ECONNREFUSED"): ConnectionError {
  return new ConnectionError(code, "nobody listens");
}

Deno.test("waits double from 100 ms to 30 s, and the jitter is up to half of each", () => {
  const at = (random: number) =>
    Array.from({ length: 11 }, (_, n) => delayBefore(n, toPolicy({ random: () => random })!));
  assertEquals(at(0), [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000, 15_000]);
  assertEquals(at(1), [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000]);
  assertEquals(delayBefore(5000, toPolicy({ random: () => 1 })!), 30_000);
});

Deno.test("a shortest wait that is 0, or above the longest, is refused", () => {
  for (const minDelayMs of [0, -1, NaN, 31_000]) {
    assertEquals(assertThrows(() => toPolicy({ minDelayMs }), PosternError).code, "invalid_params");
  }
});

Deno.test("attempts go on at growing waits until one succeeds, and a new loss begins anew", async () => {
  const [first, second, third] = [new FakeSocket(), new FakeSocket(), new FakeSocket()];
  const stage = new Stage([first, gone("ENOENT"), gone(), second, third]);
  const link = await stage.open();
  first.end();
  for (let n = 0; n < 3; n++) await stage.goOn();
  const served = ask(link, "x");
  await second.hears(1);
  assertEquals(stage.waits, [200, 400, 800]);
  second.say({ ok: true, req_id: "1" });
  await served;
  second.end();
  await stage.goOn();
  ask(link, "y");
  await third.hears(1);
  assertEquals(stage.waits, [200, 400, 800, 200]);
  assertEquals(stage.notices.map(({ type }) => type), [
    ...["lost", "retrying", "retrying", "connected"],
    ...["lost", "connected"],
  ]);
  const resets = stage.notices.flatMap((told) => told.type === "connected" ? [told.reset] : []);
  assertEquals(resets, [false, true]);
  link.close();
});

Deno.test("of the requests in flight those with a key go to the next connection, the others fail", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const stage = new Stage([first, second]);
  const link = await stage.open();
  const kept = ask(link, "kept", { repeatable: true });
  const lost = ask(link, "lost");
  const also = ask(link, "also", { repeatable: true });
  await first.hears(3);
  first.end();
  assertEquals((await assertRejects(() => lost, ConnectionError)).code, "ECONNRESET");
  const later = ask(link, "later");
  await stage.goOn();
  await second.hears(3);
  assertEquals(commands(second), ["kept", "also", "later"]);
  for (const req_id of ["1", "2", "3"]) second.say({ ok: true, req_id, n: req_id });
  assertEquals(await Promise.all([kept, also, later]), [{ n: "1" }, { n: "2" }, { n: "3" }]);
  link.close();
});

Deno.test("requests that were not written yet wait for the next connection, with a key or without", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const stage = new Stage([first, second]);
  const link = await stage.open();
  // No more than 1,024 are written before a reply.
  const asked = Array.from({ length: 1500 }, (_, n) => ask(link, `x${n}`));
  await first.hears(1024);
  first.end();
  const outcomes = Promise.allSettled(asked);
  await stage.goOn();
  await second.hears(1500 - 1024);
  assertEquals(commands(second).slice(0, 2), ["x1024", "x1025"]);
  for (let id = 1; id <= 1500 - 1024; id++) second.say({ ok: true, req_id: String(id) });
  const failed = (await outcomes).filter(({ status }) => status === "rejected");
  assertEquals(failed.length, 1024);
  link.close();
});

Deno.test("who gives up while there is no connection is not served later", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const stage = new Stage([first, second]);
  const link = await stage.open();
  first.end();
  await stage.isDown();
  const controller = new AbortController();
  const last = ask(link, "while it is down", { timeoutMs: 1 });
  const error = await assertRejects(() => last, PosternError, "could not be sent");
  assertEquals(error.code, "timeout");
  const aborted = ask(link, "aborted", { signal: controller.signal });
  controller.abort(new Error("changed my mind"));
  await assertRejects(() => aborted, Error, "changed my mind");
  const served = ask(link, "served");
  await stage.goOn();
  await second.hears(1);
  assertEquals(commands(second), ["served"]);
  second.say({ ok: true, req_id: "1" });
  await served;
  link.close();
});

Deno.test("at most 65,536 requests wait for a connection, and who gave up makes room", async () => {
  const first = new FakeSocket();
  const stage = new Stage([first]);
  const link = await stage.open();
  first.end();
  const controller = new AbortController();
  const { signal } = controller;
  await stage.isDown();
  const given = ask(link, "first", { signal });
  for (let n = 1; n < 65_536; n++) ask(link, "x");
  const error = await assertRejects(() => ask(link, "one more"), PosternError);
  assertEquals(error.code, "too_many");
  controller.abort(new Error("changed my mind"));
  await assertRejects(() => given, Error, "changed my mind");
  const fits = ask(link, "fits");
  link.close();
  assertEquals((await assertRejects(() => fits, ConnectionError)).code, "ECONNRESET");
});

Deno.test("closing ends the attempts, fails what waits, and is told as this program's doing", async () => {
  const first = new FakeSocket();
  const stage = new Stage([first]);
  const link = await stage.open();
  first.end();
  const held = ask(link, "held", { repeatable: true });
  link.close("had enough");
  await assertRejects(() => held, ConnectionError, "had enough");
  const { by, reason } = await link.closed;
  assertEquals([by, reason], ["client", "had enough"]);
  await assertRejects(() => ask(link, "later"), ConnectionError, "had enough");
});

Deno.test("after so many attempts as were allowed the link ends, with what the last one met", async () => {
  const first = new FakeSocket();
  const stage = new Stage([first, gone(), gone("ENOENT")]);
  const link = await stage.open({ attempts: 2 });
  first.end();
  await stage.isDown();
  const held = ask(link, "held");
  await stage.goOn();
  await stage.goOn();
  assertEquals((await assertRejects(() => held, ConnectionError)).code, "ENOENT");
  const { by, reason, error } = await link.closed;
  assertEquals([by, (error as ConnectionError).code], ["error", "ENOENT"]);
  assert(reason.includes("gave up"));
});

Deno.test("a daemon that stops is tried for as long as it takes, and then may refuse four times", async () => {
  const no = (code: "auth_failed" | "shutting_down") => new PosternError(code, "no");
  const passing = Array.from({ length: 7 }, () => no("shutting_down"));
  const first = new FakeSocket();
  const stage = new Stage([first, ...passing, ...passing.slice(3).map(() => no("auth_failed"))]);
  const link = await stage.open();
  first.end();
  for (let n = 0; n < 11; n++) await stage.goOn();
  await stage.isDown();
  assertEquals([stage.waits.length, stage.notices.at(-1)?.type], [12, "retrying"]);
  link.close();
});

Deno.test("five refusals in a row end the link with the daemon's own code", async () => {
  const first = new FakeSocket();
  const refusals = Array.from({ length: 5 }, () => new PosternError("auth_failed", "no"));
  const stage = new Stage([first, ...refusals]);
  const link = await stage.open();
  first.end();
  for (let n = 0; n < 5; n++) await stage.goOn();
  const { by, error } = await link.closed;
  assertEquals([by, error.code], ["error", "auth_failed"]);
});

Deno.test("without a policy the first connection is the only one", async () => {
  const first = new FakeSocket();
  const stage = new Stage([first]);
  const link = await stage.open(null);
  const asked = ask(link, "x", { repeatable: true });
  await first.hears(1);
  first.end();
  assertEquals((await assertRejects(() => asked, ConnectionError)).code, "ECONNRESET");
  assertEquals((await link.closed).by, "daemon");
  assertEquals(stage.waits, []);
});

Deno.test("a send with a key that a stopping daemon refuses goes to the next connection", async () => {
  const [first, second] = [new FakeSocket(), new FakeSocket()];
  const stage = new Stage([first, second]);
  const link = await stage.open();
  const kept = ask(link, "kept", { repeatable: true });
  const lost = ask(link, "lost");
  await first.hears(2);
  for (const req_id of ["1", "2"]) first.say({ ok: false, req_id, error: "shutting_down" });
  assertEquals((await assertRejects(() => lost, PosternError)).code, "shutting_down");
  first.end();
  await stage.goOn();
  await second.hears(1);
  second.say({ ok: true, req_id: "1", served: true });
  assertEquals(await kept, { served: true });
  link.close();
});

Deno.test("repeatable are sends whose every message has a dedup_key, and nothing else", () => {
  const keyed = { kind: "notify", payload: 1, dedup_key: "k" };
  const { dedup_key: _, ...bare } = keyed;
  for (
    const [expected, operation, params] of [
      [true, "event.send", keyed],
      [true, "send", JSON.stringify(keyed)],
      [true, "event.send", { events: [keyed, keyed] }],
      [false, "event.send", bare],
      [false, "event.send", { events: [keyed, bare] }],
      [false, "event.send", { ...bare, payload: keyed }],
      [false, "send", JSON.stringify({ ...bare, payload: keyed })],
      [false, "consumer.remove", keyed],
    ] as const
  ) assertEquals(isRepeatable(operation, params), expected, JSON.stringify([operation, params]));
});
