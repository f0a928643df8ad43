/** The demo makes its events of what git really says. */

import { assertEquals } from "@std/assert";
import { historyMessages, toNdjson } from "../../scripts/demo/history.ts";

const LOG = [
  "commit\x1fabc\x1f2030-01-02T03:04:05+00:00\x1fstore: keep what was promised",
  "",
  "A\tsrc/store/kv.ts",
  "M\tdocs/a b.md",
  "commit\x1fdef\x1f2030-01-03T03:04:05+00:00\x1fan empty commit",
  "",
].join("\n");

Deno.test("a history becomes one event for each commit and one for each file it touched", () => {
  assertEquals(historyMessages(LOG), [
    {
      kind: "notify",
      topic: "repo.commit",
      payload: {
        commit: "abc",
        date: "2030-01-02T03:04:05+00:00",
        subject: "store: keep what was promised",
      },
    },
    {
      kind: "notify",
      topic: "repo.change",
      payload: { commit: "abc", change: "A", path: "src/store/kv.ts" },
    },
    {
      kind: "notify",
      topic: "repo.change",
      payload: { commit: "abc", change: "M", path: "docs/a b.md" },
    },
    {
      kind: "notify",
      topic: "repo.commit",
      payload: { commit: "def", date: "2030-01-03T03:04:05+00:00", subject: "an empty commit" },
    },
  ]);
});

Deno.test("every event is a line of its own", () => {
  assertEquals(toNdjson(historyMessages(LOG)).split("\n").length, 5);
});
