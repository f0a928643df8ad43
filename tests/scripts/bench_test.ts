/** The benchmark counts and sums up correctly; how fast anything is, no test says. */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { countLines, PUBLISH_LINE_BYTES, publishLines } from "../../scripts/bench/axon_socket.ts";
import { summarize, table } from "../../scripts/bench/report.ts";
import { median, quantile } from "../../scripts/bench/statistics.ts";

Deno.test("a publish line has the size that the figures are given for, and is one JSON object", () => {
  const bytes = publishLines(3);
  assertEquals(bytes.length, 3 * PUBLISH_LINE_BYTES);
  assertEquals(countLines(bytes), 3);
  const text = new TextDecoder().decode(bytes.subarray(0, PUBLISH_LINE_BYTES));
  assertEquals(JSON.parse(text).cmd, "send");
});

Deno.test("quantiles and medians are those of the sorted values", () => {
  const values = [5, 1, 4, 2, 3];
  assertEquals([median(values), quantile(values, 0.5), quantile(values, 0.99)], [3, 3, 5]);
  assertEquals(median([1, 2, 3, 10]), 2.5);
  assertEquals(values, [5, 1, 4, 2, 3]);
  assertThrows(() => median([]), RangeError);
});

Deno.test("a floor that the median misses is reported as missed", () => {
  const rounds = [50_000, 90_000, 200_000].map((publish_per_second) => ({ publish_per_second }));
  const figures = summarize(rounds);
  assertEquals(figures.publish_per_second?.median, 90_000);
  assertEquals(figures.publish_per_second?.holds, false);
  assertStringIncludes(table(figures), "at least 100,000: MISSED");
});

Deno.test("a ratio is taken within a round, so that a slow minute does not distort it", () => {
  const figures = summarize([
    { echo_p50_us: 20, status_p50_us: 60 },
    { echo_p50_us: 60, status_p50_us: 180 },
  ]);
  assertEquals(figures.status_p50_us?.ratio, 3);
  assertEquals(figures.status_p50_us?.holds, true);
});
