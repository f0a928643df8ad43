/**
 * The list of embedded files that `deno compile` prints, and whether it is what it should be.
 *
 * The list is a tree drawn with lines. A folder that is embedded whole stands in it as `folder/*`.
 */

import { join } from "@std/path/posix";
import type { Needed } from "./graph.ts";

const TITLE = "Embedded Files";
/** Where packages lie in the binary. */
const PACKAGES = ".deno_compile_node_modules/";
/** `│ ├── name (1.2KB)`: two characters a level, the branch, the name, the size. */
const ROW = /^(?<indent>(?:│ | {2})*)[├└]─[─┬] (?<name>.+?)(?: \([^()]*\))?$/;

/** The paths in the list; none if the text holds no list. */
export function embeddedFiles(text: string): string[] {
  const rows = text.slice(Math.max(text.indexOf(TITLE), 0)).split("\n");
  const path: string[] = [];
  const files: string[] = [];
  for (const row of rows) {
    const { indent, name } = ROW.exec(row.trimEnd())?.groups ?? {};
    if (indent === undefined || name === undefined) continue;
    path.splice(indent.length / 2, Infinity, name);
    const isFolder = row.includes("─┬ ");
    if (!isFolder) files.push(path.join("/"));
  }
  return files;
}

/**
 * What is wrong with a list: a file of the program that is missing, or anything that is none.
 *
 * @param root The repository, where a whole folder's files are looked up
 */
export function problemsWith(
  listed: readonly string[],
  needed: Needed,
  root: string,
): string[] {
  const files = new Set(listed.flatMap((path) => wholeFolder(path, root)));
  const missing = needed.files.filter((file) => !files.has(file));
  const foreign = [...files].filter((file) => !belongs(file, needed));
  return [
    ...missing.map((file) => `${file} is not embedded`),
    ...foreign.map((file) => `${file} is embedded and is no part of the program`),
  ];
}

function belongs(file: string, needed: Needed): boolean {
  if (!file.startsWith(PACKAGES)) return file === "main.ts" || /^src\/.*(?<!\.d)\.ts$/.test(file);
  return needed.packages.some((name) => `${file}/`.includes(`/${name}/`));
}

/** The files of `src/folder/*`; any other path is itself. */
function wholeFolder(path: string, root: string): string[] {
  if (!path.endsWith("/*") || path.startsWith(PACKAGES)) return [path];
  const folder = path.slice(0, -2);
  return [...Deno.readDirSync(join(root, folder))].flatMap(({ name, isDirectory }) =>
    isDirectory ? wholeFolder(`${folder}/${name}/*`, root) : [`${folder}/${name}`]
  );
}
