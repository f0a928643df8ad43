/** What protocol tests say about replies and events, so that each says it the same way. */

import { assertEquals, assertMatch, fail } from "@std/assert";
import type { Line } from "./raw_client.ts";

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** How often a condition is asked for before the test fails; each time is a round trip. */
const MAX_ATTEMPTS = 100_000;

/** Asks again until the answer is yes. Not for what may take long, and never instead of a condition. */
export async function eventually(condition: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    if (await condition()) return;
  }
  fail(`the condition did not come true in ${MAX_ATTEMPTS} attempts`);
}

/** Expects an AXON error: `ok` false, the code, a message, and no fields of a result. */
export function expectError(reply: Line, code: string): void {
  assertEquals([reply.ok, reply.error], [false, code], JSON.stringify(reply).slice(0, 500));
  assertEquals(typeof reply.message, "string", "an error has a message");
  assertMatch(reply.message, /\S/);
}

/** Expects a UUID of version 4. */
export function expectUuid(value: unknown): void {
  assertMatch(String(value), UUID_V4);
}

/** The seqs of messages, events or pushed lines. */
export function seqsOf(lines: Line[]): number[] {
  return lines.map((line) => line.seq);
}

/** The payloads of messages, events or pushed lines. */
export function payloadsOf(lines: Line[]): unknown[] {
  return lines.map((line) => line.envelope.payload);
}

/** The whole numbers from `first` to `last`. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
