/** Shares: which bound is reached first, and whose share makes room. */

import { assertEquals } from "@std/assert";
import { OWNER_ID } from "../../src/core/principal.ts";
import { Shares } from "../../src/core/shares.ts";

Deno.test("a token at its own bound is told so, and makes room itself, also where all is taken", () => {
  const shares = new Shares({ all: 5, each: 2 });
  shares.take(OWNER_ID, 3);
  assertEquals([shares.exceededBy("t"), shares.whoMakesRoom("t")], [null, null]);
  shares.take("t", 2);
  assertEquals(shares.exceededBy("t"), { limit: 2, isOfToken: true });
  assertEquals(shares.whoMakesRoom("t"), "t");
  assertEquals(shares.exceededBy("other"), { limit: 5, isOfToken: false });
  assertEquals(shares.whoMakesRoom("other"), OWNER_ID, "whoever has most");
  shares.giveBack(OWNER_ID);
  assertEquals([shares.exceededBy("other"), shares.whoMakesRoom("other")], [null, null]);
});
