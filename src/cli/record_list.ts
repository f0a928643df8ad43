/** All records of a daemon, which lists as many at once as fit into one reply. */

import type { Client, OperationResult } from "../client/mod.ts";

/** Asks until there are no more; a record that is defined meanwhile may be missed. */
export async function listRecords(
  client: Client,
  pattern = ">",
): Promise<OperationResult<"record.list">> {
  const all: OperationResult<"record.list">[number][] = [];
  for (let after = "";;) {
    const page = await client.call("record.list", { pattern, after });
    all.push(...page);
    const last = page.at(-1);
    if (last === undefined) return all;
    after = last.name;
  }
}
