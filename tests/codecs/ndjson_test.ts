/** Cutting bytes into lines: however they arrive, the same lines come out. */

import { assert, assertEquals } from "@std/assert";
import { LineSplitter } from "../../src/codecs/ndjson.ts";
import { Random } from "../support/random.ts";

const encoder = new TextEncoder();
const MAX = 1000;

function bytesOf(...parts: (string | number[])[]): Uint8Array {
  return new Uint8Array(
    parts.flatMap((part) => typeof part === "string" ? [...encoder.encode(part)] : part),
  );
}

/** Feeds bytes in pieces of at most `pieces()`, as a socket would, until a line is too long. */
function feed(splitter: LineSplitter, bytes: Uint8Array, piece: () => number): (string | null)[] {
  const lines: (string | null)[] = [];
  for (let at = 0; at < bytes.byteLength && !splitter.overlong;) {
    const space = splitter.space();
    const count = Math.min(space.byteLength, piece(), bytes.byteLength - at);
    assert(count > 0, "there is always space while no line is too long");
    space.set(bytes.subarray(at, at + count));
    lines.push(...splitter.take(count));
    at += count;
  }
  return lines;
}

function linesOf(bytes: Uint8Array, max = MAX): (string | null)[] {
  return feed(new LineSplitter(max), bytes, () => Infinity);
}

/** Everything at once: CRLF, blank lines, bad UTF-8, characters of every length, a replacement character. */
const MIXED = bytesOf(
  'a\r\n\n  \n\r\n{"b":1}\nö€🚪\n',
  [0xff, 0xfe, 0x0a],
  "good\n",
  [0x61, 0xe2, 0x82, 0x0a],
  "sent \ufffd as one\n",
  [0xf0, 0x9f, 0x0d, 0x0a],
  "last\nunfin",
);
const MIXED_LINES = [
  "a",
  '{"b":1}',
  "ö€🚪",
  null,
  "good",
  null,
  "sent \ufffd as one",
  null,
  "last",
];

Deno.test("lines come out whole, without their ends and without blank ones", () => {
  assertEquals(linesOf(MIXED), MIXED_LINES);
});

Deno.test("lines come out the same byte by byte", () => {
  const splitter = new LineSplitter(MAX);
  assertEquals(feed(splitter, MIXED, () => 1), MIXED_LINES);
  assertEquals(splitter.unfinished, true);
});

Deno.test("lines come out the same wherever the bytes are split", () => {
  for (let first = 0; first <= MIXED.byteLength; first++) {
    for (const second of [1, 2, 3, 7, MIXED.byteLength]) {
      const splitter = new LineSplitter(MAX);
      const pieces = [first || 1, second];
      assertEquals(
        feed(splitter, MIXED, () => pieces.shift() ?? Infinity),
        MIXED_LINES,
        `${first} ${second}`,
      );
    }
  }
});

Deno.test("lines come out the same in random pieces, through every size of the buffer", () => {
  const random = new Random(3);
  for (let round = 0; round < 40; round++) {
    const lines = Array.from({ length: 60 }, () => {
      const length = random.pick([1, 5, 50, 700, 3000, 90_000 * (random.oneIn(20) ? 1 : 0) + 1]);
      return random.pick(["x", "ö", "€"]).repeat(Math.ceil(length / 3));
    });
    const bytes = bytesOf(lines.map((line) => line + random.pick(["\n", "\r\n", "\n\n"])).join(""));
    const size = random.pick([10, 1000, 70_000]);
    const splitter = new LineSplitter(100_000);
    assertEquals(feed(splitter, bytes, () => random.between(1, size)), lines);
    assertEquals([splitter.unfinished, splitter.overlong], [false, false]);
  }
});

Deno.test("one CR before the LF belongs to the end, others to the line", () => {
  assertEquals(linesOf(bytesOf("a\r\nb\r\r\nc\rd\n")), ["a", "b\r", "c\rd"]);
});

Deno.test("a line that is not UTF-8 is told as null and does not harm its neighbours", () => {
  const bad = [[0x80], [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x9a], [0xc0, 0x80], [0xed, 0xa0, 0x80]];
  for (const bytes of bad) {
    assertEquals(linesOf(bytesOf("a\n", bytes, "\nb\n")), ["a", null, "b"], String(bytes));
    assertEquals(linesOf(bytesOf("a\nx", bytes, "y\r\nb\n")), ["a", null, "b"], String(bytes));
  }
});

Deno.test("a character that is cut by the end of its line does not take from the next line", () => {
  assertEquals(linesOf(bytesOf([0xe2, 0x82, 0x0a, 0xac, 0x0a], "a\n")), [null, null, "a"]);
});

Deno.test("a replacement character that was sent as one is text", () => {
  assertEquals(linesOf(bytesOf("\ufffd\n\ufffdx\n")), ["\ufffd", "\ufffdx"]);
});

Deno.test("a NUL, a byte order mark and line separators of Unicode are text", () => {
  const lines = ["a\u0000b", "\ufeffc", "d\u2028e\u2029f\u0085g\u000b\u000ch"];
  assertEquals(linesOf(bytesOf(lines.join("\n") + "\n")), lines);
});

for (const max of [10, 1000, 1022, 5000, 70_000]) {
  for (const end of ["\n", "\r\n"]) {
    const name = end === "\n" ? "LF" : "CR LF";
    Deno.test(`of at most ${max} bytes, ${max} before ${name} are a line and ${max + 1} are not`, () => {
      for (const size of [1, 1024, Infinity]) {
        const exact = new LineSplitter(max);
        const line = "x".repeat(max);
        assertEquals(feed(exact, bytesOf(`a\n${line}${end}b\n`), () => size), ["a", line, "b"]);
        assertEquals(exact.overlong, false);
        const over = new LineSplitter(max);
        assertEquals(feed(over, bytesOf(`a\n${line}x${end}b\n`), () => size), ["a"]);
        assertEquals(over.overlong, true);
      }
    });
  }

  Deno.test(`of at most ${max} bytes, a line that never ends is too long with the next byte`, () => {
    const splitter = new LineSplitter(max);
    feed(splitter, bytesOf("x".repeat(max)), () => Infinity);
    assertEquals([splitter.unfinished, splitter.overlong], [true, false]);
    feed(splitter, bytesOf("xx"), () => 1);
    assertEquals(splitter.overlong, true);
  });
}

Deno.test("the bound is in bytes, not in characters", () => {
  for (const [character, size] of [["ö", 2], ["€", 3], ["🚪", 4]] as const) {
    const fits = character.repeat(1200 / size);
    assertEquals(linesOf(bytesOf(fits + "\n"), 1200), [fits]);
    const splitter = new LineSplitter(1200);
    assertEquals(feed(splitter, bytesOf(fits + "x\n"), () => Infinity), []);
    assertEquals(splitter.overlong, true);
  }
});

Deno.test("a line that is too long and not UTF-8 is too long", () => {
  for (const max of [10, 1000, 5000]) {
    const splitter = new LineSplitter(max);
    const bytes = bytesOf("a\n", [0xff], "x".repeat(max), "\nb\n");
    assertEquals(feed(splitter, bytes, () => Infinity), ["a"]);
    assertEquals(splitter.overlong, true, String(max));
  }
});

Deno.test("many lines that together are longer than one may be are fine", () => {
  const lines = Array.from({ length: 500 }, (_, i) => `line ${i}`);
  assertEquals(linesOf(bytesOf(lines.join("\n") + "\n"), 10), lines);
});

Deno.test("the buffer grows to what an unfinished line needs, never beyond the bound, and shrinks", () => {
  const max = 1024 * 1024;
  const splitter = new LineSplitter(max);
  const small = splitter.capacity;
  assert(small <= 1024);
  feed(splitter, bytesOf("x".repeat(300_000)), () => 10_000);
  assert(splitter.capacity >= 300_000 && splitter.capacity <= 2 * 300_000);
  feed(splitter, bytesOf("x".repeat(max - 300_000)), () => 64 * 1024);
  assert(splitter.capacity <= max + 2);
  assertEquals(feed(splitter, bytesOf("\n"), () => 1), ["x".repeat(max)]);
  feed(splitter, bytesOf("a\n"), () => 2);
  assert(splitter.capacity <= 64 * 1024, "one short line is enough to give most of it back");
  for (let i = 0; i < 200; i++) assertEquals(feed(splitter, bytesOf("a\n"), () => 2), ["a"]);
  assertEquals(splitter.capacity, small, "a quiet connection costs little again");
});

Deno.test("the buffer grows for throughput to 64 KiB and no further", () => {
  const splitter = new LineSplitter(1024 * 1024);
  const bytes = bytesOf("0123456789\n".repeat(100_000));
  assertEquals(feed(splitter, bytes, () => Infinity).length, 100_000);
  assertEquals(splitter.capacity, 64 * 1024);
});

Deno.test("a small bound keeps the buffer small", () => {
  const splitter = new LineSplitter(10);
  feed(splitter, bytesOf("0123456789\n".repeat(1000)), () => Infinity);
  assert(splitter.capacity <= 1024);
});

Deno.test("blank lines alone are no unfinished line", () => {
  const splitter = new LineSplitter(MAX);
  assertEquals(feed(splitter, bytesOf("\n\r\n  \n"), () => 1), []);
  assertEquals(splitter.unfinished, false);
});
