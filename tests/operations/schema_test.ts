/**
 * JSON Schemas of records: which are taken, what they say of values, and that no schema with any value takes long.
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { z } from "zod";
import { checkValue, MAX_STEPS } from "../../src/operations/schema_check.ts";
import { Pattern } from "../../src/operations/schema_pattern.ts";
import { readSchema } from "../../src/operations/schema_shape.ts";

const NO_STEPS = () => {};

function faultOf(schema: unknown, value: unknown) {
  return checkValue(readSchema(schema), value);
}

function repeat<T>(count: number, make: (at: number) => T): T[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

/** Each schema with a value that matches, one that does not, and where. */
const SAYINGS: readonly (readonly [schema: unknown, fits: unknown, not: unknown, path: string])[] =
  [
    [{ allOf: [{ minimum: 1 }, { maximum: 3 }] }, 2, 4, ""],
    [{ anyOf: [{ type: "string" }, { minimum: 5 }] }, 5, 4, ""],
    [{ oneOf: [{ minimum: 2 }, { maximum: 5 }] }, 1, 3, ""],
    [{ not: { type: "null" } }, 0, null, ""],
    [{ if: { minimum: 5 }, then: { multipleOf: 2 }, else: false }, 6, 7, ""],
    [{ if: { minimum: 5 }, else: { type: "integer" } }, 1, 1.5, ""],
    [{ multipleOf: 0.1 }, 0.3, 0.35, ""],
    [{ exclusiveMinimum: 1, exclusiveMaximum: 2 }, 1.5, 2, ""],
    [{ minLength: 2, maxLength: 2 }, "😀😀", "😀", ""],
    [{ required: ["a"] }, { a: 1 }, { b: 1 }, ""],
    [{ required: ["toString"] }, { toString: 1 }, {}, ""],
    [{ dependentRequired: { a: ["b"] } }, { a: 1, b: 1 }, { a: 1 }, ""],
    [{ dependentSchemas: { a: { required: ["b"] } } }, { c: 1 }, { a: 1 }, ""],
    [{ minProperties: 1, maxProperties: 1 }, { a: 1 }, {}, ""],
    [{ propertyNames: { maxLength: 1 } }, { a: 1 }, { ab: 1 }, "/ab"],
    [{ patternProperties: { "^x": { type: "number" } } }, { x1: 1, y: "" }, { x1: "" }, "/x1"],
    [{ properties: { a: true }, additionalProperties: { type: "null" } }, { a: 1 }, { b: 1 }, "/b"],
    [{ prefixItems: [true], items: { type: "null" } }, [1, null], [1, 1], "/1"],
    [{ contains: { const: 1 }, maxContains: 2 }, [1, 1], [1, 1, 1], ""],
    [{ contains: { const: 1 }, minContains: 0 }, [], undefined, ""],
    [{ minItems: 1, maxItems: 2 }, [1], [], ""],
    [{ uniqueItems: true }, [1, "1", { a: 1, b: 2 }], [{ a: 1, b: 2 }, { b: 2, a: 1 }], ""],
    [{ enum: [{ a: [1] }, "x"] }, { a: [1] }, { a: 1 }, ""],
    [
      { allOf: [{ properties: { a: true } }], unevaluatedProperties: false },
      { a: 1 },
      { b: 1 },
      "/b",
    ],
    [{ anyOf: [{ prefixItems: [true] }], unevaluatedItems: false }, [1], [1, 2], "/1"],
    [
      { allOf: [{ properties: { a: true } }, { unevaluatedProperties: false }] },
      {},
      { a: 1 },
      "/a",
    ],
    [{ not: { properties: { a: false } }, unevaluatedProperties: { type: "null" } }, { a: null }, {
      a: 1,
    }, "/a"],
    [{ type: ["array", "number"], items: { $ref: "#" } }, [[1], []], [[1, ["x"]]], "/0/1/0"],
    [{ $defs: { n: { $anchor: "n", type: "number" } }, items: { $ref: "#n" } }, [1], ["x"], "/0"],
    [{ $defs: { "a/b c": { type: "null" } }, $ref: "#/$defs/a~1b%20c" }, null, 1, ""],
    [{ format: "date-time" }, "2024-02-29T10:00:00Z", "2023-02-29T10:00:00Z", ""],
    [{ format: "date" }, "2024-02-29", "2024-02-30", ""],
    [{ format: "time" }, "10:00:00.5+02:00", "10:00", ""],
    [{ format: "duration" }, "P1DT2H", "P1S", ""],
    [{ format: "email" }, "a.b@example.org", "a..b@example.org", ""],
    [{ format: "hostname" }, "a-b.example", "-a.example", ""],
    [{ format: "ipv4" }, "192.0.2.1", "192.0.2.256", ""],
    [{ format: "ipv6" }, "2001:db8::192.0.2.1", "2001:db8::1::2", ""],
    [{ format: "uri" }, "https://example.org/a?b#c", "example.org", ""],
    [{ format: "uuid" }, "123e4567-e89b-42d3-a456-426614174000", "123e4567", ""],
    [{ format: "json-pointer" }, "/a~1b/0", "a", ""],
  ];

for (const [schema, fits, not, path] of SAYINGS) {
  Deno.test(`${JSON.stringify(schema)} takes ${JSON.stringify(fits)}, not ${JSON.stringify(not)}`, () => {
    assertEquals(faultOf(schema, fits), null);
    if (not !== undefined) assertEquals(faultOf(schema, not)?.path, path);
  });
}

/** What is no schema, with a word of the refusal. */
const REFUSED: readonly (readonly [schema: unknown, says: string])[] = [
  [{ $ref: "#" }, "leads back to itself"],
  [{ allOf: [{ $ref: "#" }] }, "leads back to itself"],
  [{ $defs: { a: { not: { $ref: "#/$defs/b" } }, b: { $ref: "#/$defs/a" } } }, "leads back"],
  [{ $recursiveRef: "#" }, '"$recursiveRef"'],
  [{ $dynamicRef: "#nowhere" }, '"$dynamicRef"'],
  [{ __absolute_ref__: "#/x" }, '"__absolute_ref__"'],
  [{ $ref: "#/$defs/a/minimum", $defs: { a: { minimum: 1 } } }, "leads nowhere"],
  [{ enum: 5 }, "enum"],
  [{ enum: [] }, "enum"],
  [{ anyOf: [5, null] }, "anyOf/0"],
  [{ anyOf: [] }, "anyOf"],
  [{ not: null }, "not"],
  [{ dependentRequired: { a: 5 } }, "dependentRequired/a"],
  [{ properties: 5 }, "properties"],
  [JSON.parse('{"properties":{"__proto__":5}}'), "must be a schema"],
  [{ patternProperties: { "^a": 5 } }, "patternProperties/^a"],
  [{ format: "nonsense" }, '"nonsense"'],
  [{ required: "abc" }, "required"],
  [{ items: [{ type: "number" }] }, "items"],
  [{ proprties: {} }, '"proprties"'],
  [{ properties: { a: { minimun: 1 } } }, "#/properties/a/minimun"],
  [{ minimum: "1" }, "minimum"],
  [{ multipleOf: 0 }, "multipleOf"],
  [{ maxLength: -1 }, "maxLength"],
  [{ $schema: "http://json-schema.org/draft-07/schema#" }, "2020-12"],
  [{ items: { $id: "https://example.org/x" } }, "$id"],
  [{ pattern: "(a)\\1" }, "back references"],
  [{ pattern: "(?<=a)b" }, "lookbehind"],
  [{ pattern: "(?:a{1000}){1000}" }, "at most 4000 steps"],
  [{ anyOf: repeat(20, (at) => ({ pattern: `a{1500}${at}` })) }, "at most 20000 steps"],
  [JSON.parse(`${'{"not":'.repeat(70)}true${"}".repeat(70)}`), "64 deep"],
];

for (const [schema, says] of REFUSED) {
  Deno.test(`${JSON.stringify(schema).slice(0, 80)} is refused, for ${says}`, () => {
    const { message } = assertThrows(() => readSchema(schema), Error);
    assert(message.includes(says), message);
  });
}

Deno.test("words about a schema are taken, and so are keywords of one's own", () => {
  const $schema = "https://json-schema.org/draft/2020-12/schema";
  const words = { title: "t", description: "d", $comment: "c", deprecated: true, readOnly: true };
  assertEquals(faultOf({ $schema, ...words, default: 1, examples: [1], "x-unit": "K" }, 1), null);
});

Deno.test("a format that is not known is taken where a pattern says what it is", () => {
  const schema = { format: "cuid2", pattern: "^[0-9a-z]+$" };
  assertEquals(faultOf(schema, "abc1"), null);
  assertEquals(faultOf(schema, "ABC")?.path, "");
});

const ZODS = {
  email: z.email(),
  uuid: z.uuid(),
  ipv4: z.ipv4(),
  ipv6: z.ipv6(),
  base64: z.base64(),
  date: z.iso.date(),
  time: z.iso.time(),
  "date-time": z.iso.datetime(),
};
for (const [name, schema] of Object.entries(ZODS)) {
  Deno.test(`what zod makes of ${name} is taken`, () => {
    readSchema(JSON.parse(JSON.stringify(z.toJSONSchema(schema))));
  });
}

/** Patterns of every construct. */
const PATTERNS = [
  "^(a+)+$",
  "a{2,3}b?",
  "^[^a-z\\]]\\d*$",
  "(x|xy)(z|yz)$",
  "\\bab\\b",
  "\\Bb",
  "^(?!.*\\.\\.)[a-z.]+$",
  "(?=a)a.|^b",
  "^\\p{L}+$",
  "^\\u{1F600}.$",
  "^\\uD83D\\uDE00$",
  "()*a",
  "(a*)*b",
  "(?<n>a|b){2}$",
  "^[\\]a-]+$",
  "^$",
  "a{0}b",
  "a*?b+?",
  "^(?:a?){5}aaaaa$",
  "[^]x",
  "^(?:){1000000}x",
];
const POINTS = ["", "a", "b", "x", "y", "z", ".", "1", " ", "\n", "]", "é", "😀"];

/** Every text of up to four of these. */
function* texts(length = 4): Iterable<string> {
  if (length === 0) return yield "";
  for (const text of texts(length - 1)) for (const point of POINTS) yield text + point;
}

for (const source of PATTERNS) {
  Deno.test(`the pattern ${source} matches what the language's own engine matches`, () => {
    const [pattern, own] = [new Pattern(source), new RegExp(source, "u")];
    for (const text of texts()) {
      if (pattern.test(text, NO_STEPS) !== own.test(text)) throw new Error(JSON.stringify(text));
    }
    for (const text of ["aaaaa", "aaaaaaaaaa", "ab ab", "xyyz", "a..b"]) {
      assertEquals(pattern.test(text, NO_STEPS), own.test(text), text);
    }
  });
}

Deno.test("a pattern takes steps by the length of the text, whatever it nests", () => {
  for (const source of ["^(a+)+$", "^(a|a)*$", "^(a*)*(a*)*b$"]) {
    const stepsFor = (length: number) => {
      let count = 0;
      assert(!new Pattern(source).test("a".repeat(length) + "!", (steps) => count += steps));
      return count;
    };
    assert(stepsFor(2000) < 2.1 * stepsFor(1000), source);
  }
});

Deno.test("60,000 items are known to be different, and the same ones found", () => {
  const items: unknown[] = repeat(60_000, (at) => at);
  assertEquals(faultOf({ uniqueItems: true }, items), null);
  assertEquals(
    faultOf({ uniqueItems: true }, [...items, 59_999])?.reason,
    "items 59999 and 60000 are the same",
  );
});

/** Each takes forever if nobody counts. */
const LONG: Readonly<Record<string, readonly [schema: unknown, value: unknown]>> = {
  "anyOf over chained references": [chain("anyOf"), 1],
  "oneOf over chained references": [chain("oneOf"), 1],
  "a lookahead at every place of a long text": [{ pattern: "(?=.*b)a" }, "a".repeat(500_000)],
  "many patterns over many names": [
    { patternProperties: Object.fromEntries(repeat(500, (at) => [`^k.*${at}z`, true])) },
    Object.fromEntries(repeat(60_000, (at) => [`k${at}`, 1])),
  ],
  "a large value compared a thousand times": [
    { anyOf: repeat(1000, (at) => ({ const: [at] })) },
    repeat(100_000, (at) => at),
  ],
};

function chain(keyword: string): unknown {
  const defs = repeat(40, (at) => [`d${at}`, { [keyword]: both(at + 1) }] as const);
  return { $ref: "#/$defs/d0", $defs: { ...Object.fromEntries(defs), d40: false } };
}

function both(at: number): unknown[] {
  return [{ $ref: `#/$defs/d${at}` }, { $ref: `#/$defs/d${at}` }];
}

for (const [name, [schema, value]] of Object.entries(LONG)) {
  Deno.test(`${name}: refused after ${MAX_STEPS} steps`, () => {
    assertEquals(faultOf(schema, value), { path: "", reason: "to check it takes too many steps" });
  });
}

Deno.test("a long way of references for each of many levels is refused before the stack is full", () => {
  const $defs = Object.fromEntries(repeat(200, (at) => [`d${at}`, { $ref: `#/$defs/d${at + 1}` }]));
  const schema = { $ref: "#/$defs/d0", $defs: { ...$defs, d200: { items: { $ref: "#" } } } };
  const value = JSON.parse("[".repeat(100) + "]".repeat(100));
  assertEquals(faultOf(schema, value)?.reason, "to check it leads too deep");
});
