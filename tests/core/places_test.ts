/** Places are bounded, for one token too, and some are kept for the owner's. */

import { assertEquals, assertThrows } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { Places, quarters } from "../../src/core/places.ts";
import { range } from "../support/expect.ts";

const WHAT = { of: "x", what: "things" };

Deno.test("one token has no more than its places, and gives them back once", () => {
  const places = new Places({ ...WHAT, limit: 3, perToken: 2 });
  const giveBack = places.take("a");
  places.take("a");
  assertThrows(() => places.take("a"), PosternError, "at most 2 things at once by one token");
  places.take("b");
  assertThrows(() => places.take("c"), PosternError, "at most 3 things at once");
  giveBack();
  giveBack();
  places.take("c");
  assertThrows(() => places.take("c"), PosternError, "at most 3 things at once");
});

Deno.test("a quarter of the places is kept for the owner, who may have all", () => {
  const places = new Places({ ...WHAT, ...quarters(8) });
  for (const token of ["a", "b", "c"]) places.add(token, 2);
  assertThrows(() => places.take("d"), PosternError, "by all tokens but the owner's");
  places.add("owner", 2);
  assertThrows(() => places.take("owner"), PosternError, "at most 8 things at once");
  for (const token of ["a", "b", "c"]) places.giveBack(token, 2);
  places.add("owner", 6);
  assertThrows(() => places.take("a"), PosternError, "at most 8 things at once");
});

Deno.test("where there are fewer than four places, the owner may have them all the same", () => {
  const places = new Places({ ...WHAT, ...quarters(3) });
  assertEquals(range(1, 3).map(() => typeof places.take("owner")), Array(3).fill("function"));
});
