/** What a filter lets through, and what a topic and a pattern are. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { isReservedTopic, isTopic, isTopicPattern, type LogEvent } from "../../src/core/event.ts";
import { ALL_EVENTS, Filter } from "../../src/core/filter.ts";
import { Random } from "../support/random.ts";

function event(topic: string | null, kind: LogEvent["kind"] = "notify"): LogEvent {
  return { seq: 1, bufferedAtMs: 1, kind, topic, expiresAtMs: null, envelope: "{}" };
}

const MATCHES: readonly [pattern: string, topic: string, matches: boolean][] = [
  ["a", "a", true],
  ["a", "b", false],
  ["a", "a.b", false],
  ["a.b", "a", false],
  ["*", "a", true],
  ["*", "a.b", false],
  ["*.*", "a.b", true],
  ["*.*", "a", false],
  ["a.*", "a.b", true],
  ["a.*", "a", false],
  ["a.*", "a.b.c", false],
  ["build.*.done", "build.web.done", true],
  ["build.*.done", "build.web.failed", false],
  ["build.*.done", "build.done", false],
  [">", "a", true],
  [">", "a.b.c", true],
  ["a.>", "a.b", true],
  ["a.>", "a.b.c.d", true],
  ["a.>", "a", false],
  ["a.>", "ab.c", false],
  ["*.>", "a.b", true],
  ["*.>", "a", false],
  ["a.*.>", "a.b.c", true],
  ["a.*.>", "a.b", false],
  ["A", "a", false],
];

for (const [pattern, topic, matches] of MATCHES) {
  Deno.test(`the pattern ${pattern} ${matches ? "lets" : "does not let"} ${topic} through`, () => {
    assert(isTopicPattern(pattern) && isTopic(topic));
    assertEquals(new Filter({ topics: [pattern] }).matches(event(topic)), matches);
  });
}

Deno.test("a filter without kinds and topics lets everything through", () => {
  for (const filter of [ALL_EVENTS, new Filter(), new Filter({})]) {
    assert(filter.passesAll);
    assert(filter.matches(event(null)) && filter.matches(event("a.b", "query")));
  }
});

Deno.test("an event without a topic passes no list of patterns, not even >", () => {
  assertEquals(new Filter({ topics: [">"] }).matches(event(null)), false);
  assertEquals(new Filter({ kinds: ["notify"], topics: ["*"] }).matches(event(null)), false);
});

Deno.test("an empty list of kinds or topics lets nothing through", () => {
  assertEquals(new Filter({ kinds: [] }).matches(event("a")), false);
  assertEquals(new Filter({ topics: [] }).matches(event("a")), false);
  assertEquals([new Filter({ kinds: [] }).passesAll, new Filter({ topics: [] }).passesAll], [
    false,
    false,
  ]);
});

Deno.test("kinds and topics must both match, and one pattern of several is enough", () => {
  const filter = new Filter({ kinds: ["notify", "query"], topics: ["a.*", "b"] });
  assert(filter.matches(event("a.x", "query")) && filter.matches(event("b")));
  assertEquals(filter.matches(event("a.x", "result")), false);
  assertEquals(filter.matches(event("c")), false);
});

Deno.test("filters that let the same through by the same rules have equal keys", () => {
  const key = new Filter({ kinds: ["query", "notify"], topics: ["b", "a"] }).key;
  assertEquals(
    new Filter({ kinds: ["notify", "query", "query"], topics: ["a", "b", "a"] }).key,
    key,
  );
  const others = [
    ALL_EVENTS,
    new Filter({ kinds: ["notify"] }),
    new Filter({ topics: ["a", "b"] }),
    new Filter({ kinds: ["notify", "query"], topics: ["a"] }),
    new Filter({ kinds: ["notify", "query"], topics: [] }),
    new Filter({ kinds: [], topics: ["a", "b"] }),
    new Filter({ kinds: [] }),
    new Filter({ topics: [] }),
  ].map((filter) => filter.key);
  for (const other of others) assertNotEquals(other, key);
  assertEquals(new Set(others).size, others.length);
});

Deno.test("a topic is dot-separated segments of A-Z a-z 0-9 _ -, at most 256 bytes", () => {
  for (const topic of ["a", "A-b_9.c", "-", "0", "a.".repeat(127) + "ab"]) assert(isTopic(topic));
  const wrong = ["", ".", "a.", ".a", "a..b", "a b", "é", "a/b", "*", ">", "a.>", "a\n", "\na"];
  for (const topic of [...wrong, "a".repeat(257)]) assertEquals(isTopic(topic), false, topic);
});

Deno.test("a pattern may have * for a segment and > as its last one, and nothing more", () => {
  for (const pattern of ["a", "*", ">", "*.>", "a.*.b.>", "*.*"]) assert(isTopicPattern(pattern));
  const wrong = ["", ">.a", "a.>.b", "a*", "**", "a>", ">>", "a.", ".>", "a..b", "a.*b", ">\n"];
  for (const pattern of [...wrong, "a".repeat(257)]) {
    assertEquals(isTopicPattern(pattern), false, pattern);
  }
});

Deno.test("only the daemon's own first segments are reserved, and only as whole segments", () => {
  for (const topic of ["permission", "turn.started", "session.x.y", "lease", "postern.a"]) {
    assert(isReservedTopic(topic), topic);
  }
  for (const topic of [null, "permissions", "a.turn", "Postern", "postern-x", "leases.a"]) {
    assertEquals(isReservedTopic(topic), false, String(topic));
  }
});

Deno.test("patterns agree with regular expressions made of them, on random topics", () => {
  const random = new Random(7);
  const segment = () => random.pick(["a", "b", "ab", "c-1"]);
  for (let round = 0; round < 3000; round++) {
    const topic = Array.from({ length: random.between(1, 4) }, segment).join(".");
    const parts = Array.from(
      { length: random.between(1, 4) },
      () => random.oneIn(3) ? "*" : segment(),
    );
    const pattern = (random.oneIn(3) ? [...parts, ">"] : parts).join(".");
    const expression = pattern.replaceAll(".", "\\.").replaceAll("*", "[^.]+").replace(">", ".+");
    assertEquals(
      new Filter({ topics: [pattern] }).matches(event(topic)),
      new RegExp(`^${expression}$`).test(topic),
      `${pattern} ${topic}`,
    );
  }
});
