/** Writes docs/operations.md from the registry. */

import { fromFileUrl } from "@std/path";
import { OPERATIONS } from "../src/operations/registry.ts";
import { operationsPage } from "./docs/operations_page.ts";

const PAGE = fromFileUrl(new URL("../docs/operations.md", import.meta.url));

if (import.meta.main) {
  Deno.writeTextFileSync(PAGE, operationsPage(OPERATIONS));
  console.log(`docs/operations.md: ${OPERATIONS.length} operations`);
}
