/** Sizes in UTF-8, against what the platform's encoder makes. */

import { assertEquals } from "@std/assert";
import { utf8Length } from "../../src/core/text.ts";
import { Random } from "../support/random.ts";

const encoder = new TextEncoder();

Deno.test("utf8Length is what an encoder writes, at every border", () => {
  const units = [
    "",
    "a",
    "\u007f",
    "\u0080",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "🚪",
  ];
  // Halves of a pair: an encoder writes a replacement character for each.
  const halves = [
    "\ud800",
    "\udbff",
    "\udc00",
    "\udfff",
    "\ud800a",
    "\ud800\ue000",
    "\udc00\ud800",
    "\ud83d\ud83d\udeaa",
  ];
  for (const text of [...units, ...halves, [...units, ...halves].join("")]) {
    assertEquals(utf8Length(text), encoder.encode(text).byteLength, JSON.stringify(text));
  }
});

Deno.test("utf8Length is what an encoder writes, on random text", () => {
  const random = new Random(11);
  for (let round = 0; round < 5000; round++) {
    let text = "";
    for (let i = random.below(20); i > 0; i--) {
      const below = random.pick([0x80, 0x800, 0x10000]);
      text += random.oneIn(3)
        ? String.fromCharCode(0xd800 + random.below(0x800))
        : String.fromCharCode(random.below(below));
    }
    assertEquals(utf8Length(text), encoder.encode(text).byteLength, JSON.stringify(text));
  }
});
