/** Writes the generated pages: docs/operations.md from the registry, docs/configuration.md from the schema. */

import { fromFileUrl } from "@std/path/posix";
import { generatedPages } from "./docs/pages.ts";

if (import.meta.main) {
  for (const [path, text] of Object.entries(generatedPages())) {
    Deno.writeTextFileSync(fromFileUrl(new URL(`../${path}`, import.meta.url)), text);
    console.log(`${path}: ${text.split("\n").length - 1} lines`);
  }
}
