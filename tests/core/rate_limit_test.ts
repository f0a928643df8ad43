/** Rate limits: a second's worth at once, then as fast as it fills; each token and class by itself. */

import { assertEquals, assertThrows } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import type { Scope } from "../../src/core/principal.ts";
import { RateLimits } from "../../src/core/rate_limit.ts";
import { FakeClock } from "../support/fake_clock.ts";

const NONE = { read: 0, send: 0, write: 0, serve: 0, admin: 0 };

/** How many of `wanted` are let through at once, and what the first refusal says. */
function taken(limits: RateLimits, token: string, scope: Scope, wanted = 100): [number, unknown] {
  for (let n = 0; n < wanted; n++) {
    try {
      limits.take(token, scope);
    } catch (error) {
      const { code, details } = error as PosternError;
      assertEquals(code, "rate_limited");
      return [n, details?.retry_after_ms];
    }
  }
  return [wanted, undefined];
}

Deno.test("a rate of 0 is no limit", () => {
  const limits = new RateLimits(NONE, new FakeClock());
  assertEquals(taken(limits, "t", "read", 10_000), [10_000, undefined]);
});

Deno.test("a second's worth passes at once, and what is refused is told when to come again", () => {
  const clock = new FakeClock();
  const limits = new RateLimits({ ...NONE, send: 10 }, clock);
  assertEquals(taken(limits, "t", "send"), [10, 100]);
  clock.step(99);
  assertEquals(taken(limits, "t", "send"), [0, 1]);
  clock.step(1);
  assertEquals(taken(limits, "t", "send"), [1, 100]);
  clock.step(60_000);
  assertEquals(taken(limits, "t", "send"), [10, 100], "it fills to a second's worth and no more");
});

Deno.test("whoever comes again after retry_after_ms is let through, at every rate", () => {
  for (const rate of [1, 3, 7, 1000, 100_000]) {
    const clock = new FakeClock();
    const limits = new RateLimits({ ...NONE, read: rate }, clock);
    const [count, retryAfterMs] = taken(limits, "t", "read", 2 * rate);
    clock.step(retryAfterMs as number);
    assertEquals([count, taken(limits, "t", "read", 1)[0]], [rate, 1], `${rate}`);
  }
});

Deno.test("tokens and classes do not share, strangers without a token do", () => {
  const limits = new RateLimits({ ...NONE, read: 3, write: 2 }, new FakeClock());
  assertEquals(taken(limits, "one", "read")[0], 3);
  assertEquals(taken(limits, "two", "read")[0], 3);
  assertEquals(taken(limits, "one", "write")[0], 2);
  assertEquals(taken(limits, "one", "admin")[0], 100);
  assertEquals([taken(limits, "", "read", 2)[0], taken(limits, "", "read")[0]], [2, 1]);
});

Deno.test("other limits hold from the moment on at which they are set", () => {
  const limits = new RateLimits({ ...NONE, read: 3 }, new FakeClock());
  taken(limits, "t", "read");
  limits.replace({ ...NONE, read: 5, send: 1 });
  assertEquals([taken(limits, "t", "read")[0], taken(limits, "t", "send")[0]], [5, 1]);
  limits.replace(NONE);
  assertEquals(taken(limits, "t", "read")[0], 100);
});

Deno.test("a clock that is set back gives nothing and does not lock anyone out", () => {
  const clock = new FakeClock();
  const limits = new RateLimits({ ...NONE, read: 10 }, clock);
  taken(limits, "t", "read");
  clock.step(-3_600_000);
  assertEquals(taken(limits, "t", "read")[0], 0);
  clock.step(1000);
  assertEquals(taken(limits, "t", "read")[0], 10);
});

Deno.test("idle tokens are forgotten, and nobody gains by it who is not idle", () => {
  const clock = new FakeClock();
  const limits = new RateLimits({ ...NONE, read: 1 }, clock);
  for (let n = 0; n < 5000; n++) limits.take(`idle ${n}`, "read");
  clock.step(999);
  limits.take("late", "read");
  clock.step(1);
  limits.take("one more", "read");
  assertThrows(() => limits.take("late", "read"), PosternError);
});
