/** One line of JSON from strangers: depth, numbers as written, names that are traps. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { isObject, MAX_DEPTH, parseMessage } from "../../src/codecs/json.ts";
import { PosternError } from "../../src/core/errors.ts";

function codeOf(text: string): string {
  return assertThrows(() => parseMessage(text), PosternError).code;
}

function nested(open: string, close: string, depth: number): string {
  return open.repeat(depth) + close.repeat(depth);
}

Deno.test(`${MAX_DEPTH} levels are taken, one more is refused, of arrays, objects and both`, () => {
  const shapes = [["[", "]"], ['{"a":', "}"], ['[{"a":', "}]"]] as const;
  for (const [open, close] of shapes) {
    const levels = open.startsWith("[{") ? 2 : 1;
    const inner = open.endsWith(":") ? "1" : "";
    const wrap = (depth: number) =>
      open.repeat(depth / levels) + inner + close.repeat(depth / levels);
    assertEquals(JSON.stringify(parseMessage(wrap(MAX_DEPTH))), wrap(MAX_DEPTH));
    assertEquals(codeOf(`[${wrap(MAX_DEPTH)}]`), "invalid_request");
  }
});

Deno.test("levels count where they are, not how many there were", () => {
  const many = `[${Array.from({ length: 500 }, () => "[[]]").join(",")}]`;
  assertEquals((parseMessage(many) as unknown[]).length, 500);
  const late = `[${"[],".repeat(300)}${nested("[", "]", MAX_DEPTH)}]`;
  assertEquals(codeOf(late), "invalid_request");
});

Deno.test("brackets in strings do not count, whatever is escaped around them", () => {
  const text = "[{".repeat(500);
  const escaped = [text, `\\"${text}`, `\\\\\\"${text}`, `${text}\\\\`];
  for (const string of escaped) {
    const line = `{"a":"${string}","b":[["${string}"]]}`;
    assertEquals(parseMessage(line), JSON.parse(line));
  }
  const behind = `["\\\\",${nested("[", "]", MAX_DEPTH)}]`;
  assertEquals(codeOf(behind), "invalid_request");
});

Deno.test("20,000 levels, closed or not, are refused and harm nobody", () => {
  assertEquals(codeOf(nested("[", "]", 20_000)), "invalid_request");
  assertEquals(codeOf("[".repeat(20_000)), "invalid_request");
  assertEquals(codeOf('{"a":'.repeat(200_000)), "invalid_request");
  assertEquals(codeOf("]".repeat(20_000)), "parse_error");
});

const KEPT = [
  "12345678901234567890",
  "-12345678901234567890",
  "9007199254740993",
  "1e999",
  "-1E+400",
  "1e-400",
  "0.12345678901234567890",
  "123456789.123456789123",
  "1.00000000000000000001",
  "100000000000000000000.5",
];

for (const number of KEPT) {
  Deno.test(`the number ${number}, which a double does not hold, comes out as it went in`, () => {
    const line = `{"a":[${number},{"b":${number}}],"c":${number}}`;
    assertEquals(JSON.stringify(parseMessage(line)), line);
  });
}

const EQUAL: readonly [text: string, value: number][] = [
  ["0", 0],
  ["0.1", 0.1],
  ["1E2", 100],
  ["1e+2", 100],
  ["1.0", 1],
  ["-0", 0],
  ["-1.5e-7", -1.5e-7],
  ["9007199254740991", 9007199254740991],
  ["0.30000000000000004", 0.30000000000000004],
  ["1700000000000", 1700000000000],
  ["0e5", 0],
];

for (const [text, value] of EQUAL) {
  Deno.test(`the number ${text} is a number, and equal when it comes out`, () => {
    const parsed =
      (parseMessage(`{"a":${text},"b":"padding 0123456789012345 1e5"}`) as { a: number }).a;
    assertEquals(typeof parsed, "number");
    assert(parsed === value);
    assert(JSON.parse(JSON.stringify(parsed)) === value);
  });
}

Deno.test("digits in strings are text, and names of fields stay as they are", () => {
  const line = '{"12345678901234567890":"12345678901234567890","1e999":"1e999"}';
  assertEquals(JSON.stringify(parseMessage(line)), line);
});

Deno.test("__proto__ is a field like any other, with and without odd numbers", () => {
  for (const number of ["1", "12345678901234567890"]) {
    const message = parseMessage(
      `{"__proto__":{"cmd":"status","n":${number}},"x":{"__proto__":1}}`,
    );
    assert(isObject(message));
    assertEquals(Object.keys(message), ["__proto__", "x"]);
    assertEquals(Object.getPrototypeOf(message), Object.prototype);
    assertEquals("cmd" in message, false);
    assertEquals(({} as { cmd?: string }).cmd, undefined);
  }
});

Deno.test("what is no JSON is a parse_error whose message is short", () => {
  const wrong = [
    "",
    "{",
    "}",
    "nul",
    "[1,]",
    '{"a":1,}',
    "{'a':1}",
    '"\u0001"',
    "01",
    "1 2",
    "NaN",
    "\ufeff{}",
  ];
  for (const text of [...wrong, `{"a":${"x".repeat(100_000)}`]) {
    const error = assertThrows(() => parseMessage(text), PosternError);
    assertEquals(error.code, "parse_error", text.slice(0, 20));
    assert(error.message.length < 200);
  }
});

Deno.test("a JSON value that is no object is read, and is no object", () => {
  for (const text of ["1", '"x"', "null", "true", "[]", "12345678901234567890"]) {
    assertEquals(isObject(parseMessage(text)), false, text);
  }
  assert(isObject(parseMessage("{}")));
});
