/** Lines of people's input, counted and named, and messages made of them. */

import { assertEquals, assertThrows } from "@std/assert";
import { InputLines, type Line } from "../../src/cli/input_lines.ts";
import { BadMessage, messageFromFields, messageFromLine } from "../../src/cli/message.ts";

function linesOf(text: string | Uint8Array, step: number, maxBytes = 10): Line[] {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const lines = new InputLines(maxBytes);
  const found: Line[] = [];
  for (let at = 0; at < bytes.length; at += step) {
    found.push(...lines.push(bytes.slice(at, at + step)));
  }
  const last = lines.end();
  return last === null ? found : [...found, last];
}

for (const step of [1, 2, 3, 100]) {
  Deno.test(`lines are the same in pieces of ${step}`, () => {
    assertEquals(linesOf("a\n\näöü\r\n€\n\nend", step), ["a", "", "äöü", "€", "", "end"]);
  });

  Deno.test(`an overlong line is reported in its place, in pieces of ${step}`, () => {
    const tooLong = { fault: "too long" } as const;
    assertEquals(linesOf("1\n0123456789x\n3\n", step), ["1", tooLong, "3"]);
    assertEquals(linesOf("0123456789\n", step), ["0123456789"]);
    assertEquals(linesOf(`1\n${"x".repeat(50)}`, step), ["1", tooLong]);
  });

  Deno.test(`bad UTF-8 spoils its own line only, in pieces of ${step}`, () => {
    const bytes = Uint8Array.of(0x61, 0x0a, 0xff, 0x0a, 0xc3, 0x0a, 0x62, 0x0a);
    const bad = { fault: "not UTF-8" } as const;
    assertEquals(linesOf(bytes, step), ["a", bad, bad, "b"]);
  });
}

Deno.test("a message stays as it is written, and defaults fill in what is missing", () => {
  const defaults = { kind: '"notify"', topic: '"a.b"' };
  assertEquals(
    messageFromLine(' { "payload": 1.50e400, "kind":"query"}', defaults),
    '{"topic":"a.b", "payload": 1.50e400, "kind":"query"}',
  );
  assertEquals(messageFromLine("{ }", defaults), '{"kind":"notify","topic":"a.b"}');
  assertEquals(messageFromLine('{"kind":"query"}', {}), '{"kind":"query"}');
  assertEquals(messageFromFields({ payload: "7.0" }), '{"payload":7.0}');
});

for (
  const line of [
    "",
    "{",
    "[]",
    "7",
    "null",
    '"x"',
    '{"kindd":"x"}',
    '{"cmd":"x"}',
    '{"__proto__":1}',
  ]
) {
  Deno.test(`a line that is no message is refused: ${JSON.stringify(line)}`, () => {
    assertThrows(() => messageFromLine(line, {}), BadMessage);
  });
}
