/**
 * Fails when a source file uses what its layer may not; with `--map` prints the layers instead.
 *
 * The rules are the table in scripts/layers/rules.ts.
 */

import { fromFileUrl, join } from "@std/path/posix";
import { checkLayers, layerMap, type SourceFile } from "./layers/check.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));

if (import.meta.main) {
  if (Deno.args.includes("--map")) console.log(layerMap());
  else Deno.exitCode = report(readSources(ROOT));
}

function report(files: readonly SourceFile[]): number {
  const complaints = checkLayers(files);
  for (const complaint of complaints) console.error(complaint);
  console.log(`layers: ${files.length} files, ${complaints.length} forbidden uses`);
  return complaints.length === 0 ? 0 : 1;
}

/** main.ts and every TypeScript file below src/, declarations aside, in the order of their paths. */
function readSources(root: string): SourceFile[] {
  const paths = ["main.ts", ...pathsBelow(root, "src")].sort();
  return paths.map((path) => ({ path, text: Deno.readTextFileSync(join(root, path)) }));
}

function pathsBelow(root: string, folder: string): string[] {
  return [...Deno.readDirSync(join(root, folder))].flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) return pathsBelow(root, path);
    return path.endsWith(".ts") && !path.endsWith(".d.ts") ? [path] : [];
  });
}
