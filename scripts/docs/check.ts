/**
 * Compares the documentation with the tree that it is about.
 *
 * Each check takes the pages and a way to look at files, and returns complaints that name page, line and
 * what is wrong; none touches anything.
 */

import { dirname, join } from "@std/path/posix";
import { anchorsOf, namedTests, relativeLinks } from "./markdown.ts";

/** A page: its path from the root, with forward slashes, and its text. */
export interface Page {
  readonly path: string;
  readonly text: string;
}

/** The tree, as far as a check may look at it. Paths count from the root. */
export interface Tree {
  exists(path: string): boolean;
  /** `undefined` when there is no such file. */
  read(path: string): string | undefined;
}

/** Links to files that are not there, and to headings that their page does not have. */
export function checkLinks(pages: readonly Page[], tree: Tree): string[] {
  return pages.flatMap((page) =>
    relativeLinks(page.text).flatMap(({ line, value }) => {
      const problem = linkProblem(page, value, tree);
      return problem === undefined ? [] : [`${page.path}:${line}: the link "${value}" ${problem}`];
    })
  );
}

function linkProblem(page: Page, link: string, tree: Tree): string | undefined {
  const [file = "", anchor] = link.split("#", 2);
  const target = file === "" ? page.path : join(dirname(page.path), decodeURIComponent(file));
  if (target.startsWith("..")) return "leads out of the repository";
  if (!tree.exists(target)) return `leads nowhere: there is no ${target}`;
  if (anchor === undefined || !target.endsWith(".md")) return undefined;
  const text = file === "" ? page.text : tree.read(target) ?? "";
  return anchorsOf(text).has(anchor) ? undefined : `names a heading that ${target} does not have`;
}

/** Tests that a page names and that no test file has. */
export function checkNamedTests(pages: readonly Page[], tree: Tree): string[] {
  return pages.flatMap((page) =>
    namedTests(page.text).flatMap(({ line, value: { file, name } }) => {
      const source = tree.read(file);
      const where = `${page.path}:${line}: names the test "${name}"`;
      if (source === undefined) return [`${where} of ${file}, which does not exist`];
      return hasTest(source, name) ? [] : [`${where}, which ${file} does not have`];
    })
  );
}

function hasTest(source: string, name: string): boolean {
  const literals = ['"', "'", "`"].map((quote) => `${quote}${name}${quote}`);
  return literals.some((literal) => source.includes(literal));
}

/** Whether deno.json and the source give the same version, and the changelog has a heading for it. */
export function checkVersion(tree: Tree): string[] {
  const manifest = JSON.parse(tree.read("deno.json") ?? "{}").version;
  const source = /VERSION\s*=\s*"([^"]+)"/.exec(tree.read("src/core/version.ts") ?? "")?.[1];
  if (manifest !== source) {
    return [`deno.json:1: its version is ${manifest}, and src/core/version.ts says ${source}`];
  }
  const changelog = tree.read("CHANGELOG.md") ?? "";
  return changelog.includes(`## [${manifest}]`)
    ? []
    : [`CHANGELOG.md:1: has no heading "## [${manifest}]" for the version of deno.json`];
}

/** Whether the generated page is what the registry renders to. */
export function checkGenerated(path: string, rendered: string, tree: Tree): string[] {
  return tree.read(path) === rendered
    ? []
    : [`${path}:1: is not what the code says; run "deno task docs"`];
}
