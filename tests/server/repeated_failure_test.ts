/** A failure that comes again and again is told twice: when it begins and when it is over. */

import { assertEquals } from "@std/assert";
import { RepeatedFailure } from "../../src/server/repeated_failure.ts";

Deno.test("each message is said once, and how often it failed when it is over", () => {
  const said: unknown[] = [];
  const say = (message: string, fields?: Record<string, unknown>) => said.push([message, fields]);
  const diagnostics = { debug: say, info: say, warn: say, error: say };
  const failure = new RepeatedFailure({ diagnostics, over: "over", quietMs: 60_000 });
  const full = Object.assign(new Error("too many"), { code: "EMFILE" });
  const other = new Error("a bug");
  for (let n = 0; n < 100; n++) failure.note("cannot a", full);
  failure.note("cannot b", other);
  failure.end();
  failure.end();
  failure.note("cannot a", full);
  failure.end();
  assertEquals(said, [
    ["cannot a", { error: "too many" }],
    ["cannot b", { error: other }],
    ["over", { failures: 101 }],
    ["cannot a", { error: "too many" }],
    ["over", { failures: 1 }],
  ]);
});
