/**
 * Fails when the documentation and the code disagree.
 *
 * Checks that the generated pages are fresh, that relative links and headings exist, that named tests exist,
 * that the versions agree, that TypeScript in the pages type-checks, and that every symbol of the client
 * library has an example.
 */

import { fromFileUrl, join } from "@std/path/posix";
import {
  checkGenerated,
  checkLinks,
  checkNamedTests,
  checkVersion,
  type Page,
  type Tree,
} from "./docs/check.ts";
import { checkExamples } from "./docs/examples.ts";
import { generatedPages } from "./docs/pages.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));
const TOP_PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];

if (import.meta.main) Deno.exitCode = await main();

async function main(): Promise<number> {
  const tree = treeAt(ROOT);
  const pages = readPages(ROOT, tree);
  const complaints = [
    ...pages.filter(({ text }) => text === "").map(({ path }) => `${path}:1: is missing or empty`),
    ...Object.entries(generatedPages()).flatMap(([path, text]) => checkGenerated(path, text, tree)),
    ...checkLinks(pages, tree),
    ...checkNamedTests(pages, tree),
    ...checkVersion(tree),
    ...await checkCode(pages),
    ...await checkLibrary("src/client/mod.ts"),
  ];
  for (const complaint of complaints) console.error(complaint);
  console.log(`docs: ${pages.length} pages, ${complaints.length} complaints`);
  return complaints.length === 0 ? 0 : 1;
}

function treeAt(root: string): Tree {
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(join(root, path));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  };
  const exists = (path: string) => {
    try {
      Deno.statSync(join(root, path));
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  };
  return { exists, read };
}

function readPages(root: string, tree: Tree): Page[] {
  const paths = [...TOP_PAGES, ...pagesBelow(root, "docs")].sort(); // A page that must be there and is not is an empty one to the checks, and a complaint of its own.
  return paths.map((path) => ({ path, text: tree.read(path) ?? "" }));
}

function pagesBelow(root: string, folder: string): string[] {
  return [...Deno.readDirSync(join(root, folder))].flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) return pagesBelow(root, path);
    return path.endsWith(".md") ? [path] : [];
  });
}

/** Deno itself type-checks the blocks that a page marks as TypeScript. */
async function checkCode(pages: readonly Page[]): Promise<string[]> {
  const withCode = pages.filter(({ text }) => /^```(?:ts|typescript)\b/m.test(text));
  if (withCode.length === 0) return [];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--doc-only", ...withCode.map(({ path }) => path)],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  return success ? [] : [new TextDecoder().decode(stderr).trim()];
}

/** Whether the examples hold is for `deno task test:doc` to say. */
async function checkLibrary(module: string): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", module],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) return [`${module}:1: ${new TextDecoder().decode(stderr).trim()}`];
  return checkExamples(module, JSON.parse(new TextDecoder().decode(stdout)));
}
