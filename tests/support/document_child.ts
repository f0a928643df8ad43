/**
 * A process that overwrites documents, small by large and back, until somebody kills it.
 *
 * `deno run tests/support/document_child.ts <database> <first round>`; a line is the number of a round that is
 * finished. In round n each of the documents is set to {@linkcode documentOf}.
 */

import type { DocumentWrite } from "../../src/core/ports.ts";
import { batchOf, openQuietly } from "./test_store.ts";

/** How many documents each round sets, all in one commit. */
export const DOCUMENTS = 3;

const LENGTHS = [1, 200_000, 57_344, 57_345, 700_000];

/** What a document is in a round: text of many lengths that says which it is from end to end. */
export function documentOf(index: number, round: number): DocumentWrite {
  const mark = `${index}:${round};`;
  const length = LENGTHS[(round + index) % LENGTHS.length]!;
  const text = mark.repeat(Math.ceil(length / mark.length));
  return { key: ["value", "r", index], content: { fields: { sequence: round, at_ms: 1 }, text } };
}

if (import.meta.main) {
  const store = await openQuietly(Deno.args[0]!);
  const encoder = new TextEncoder();
  for (let round = Number(Deno.args[1]);; round++) {
    const documents = Array.from({ length: DOCUMENTS }, (_, i) => documentOf(i, round));
    const { failure } = await store.commit(batchOf([], { documents }));
    if (failure !== undefined) throw failure;
    Deno.stdout.writeSync(encoder.encode(`${round}\n`));
  }
}
