/** The docs check finds what it is there for, and the generated page says what a schema allows. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { z } from "zod";
import {
  checkGenerated,
  checkLinks,
  checkNamedTests,
  checkVersion,
  type Tree,
} from "../../scripts/docs/check.ts";
import { checkExamples } from "../../scripts/docs/examples.ts";
import { operationsPage } from "../../scripts/docs/operations_page.ts";

function treeOf(files: Record<string, string>): Tree {
  return { exists: (path) => path in files, read: (path) => files[path] };
}

function page(text: string): { path: string; text: string }[] {
  return [{ path: "docs/page.md", text }];
}

Deno.test("a link to a file that is not there is found", () => {
  assertEquals(checkLinks(page("one\n[two](gone.md)\n"), treeOf({})), [
    'docs/page.md:2: the link "gone.md" leads nowhere: there is no docs/gone.md',
  ]);
});

Deno.test("a link to a heading is followed to the heading", () => {
  const tree = treeOf({ "README.md": "# The `first` one!\n\n## Two, three\n" });
  assertEquals(checkLinks(page("[a](../README.md#the-first-one)"), tree), []);
  assertEquals(checkLinks(page("[a](../README.md#two-three)"), tree), []);
  assertMatch(checkLinks(page("[a](../README.md#four)"), tree)[0]!, /does not have/);
});

Deno.test("what stands in code, or leads to the web, is no relative link", () => {
  const text = "```text\n[a](gone.md)\n```\n`[b](gone.md)` [c](https://example.org/gone.md)\n";
  assertEquals(checkLinks(page(text), treeOf({})), []);
});

Deno.test("a link that leads out of the repository is found", () => {
  assertMatch(checkLinks(page("[a](../../x.md)"), treeOf({}))[0]!, /out of the repository/);
});

Deno.test("a test that a page names must exist in that file", () => {
  const tree = treeOf({ "tests/a_test.ts": 'Deno.test("it holds over a line", () => {});' });
  assertEquals(checkNamedTests(page('`tests/a_test.ts`: "it holds\nover a line"'), tree), []);
  assertMatch(checkNamedTests(page('tests/a_test.ts: "it breaks"'), tree)[0]!, /does not have/);
  assertMatch(checkNamedTests(page('tests/b_test.ts: "it holds"'), tree)[0]!, /does not exist/);
});

Deno.test("the version of deno.json, of the source and of the changelog must agree", () => {
  const files = {
    "deno.json": '{"version":"1.2.3"}',
    "src/core/version.ts": 'export const VERSION = "1.2.3";',
    "CHANGELOG.md": "## [1.2.3]\n",
  };
  assertEquals(checkVersion(treeOf(files)), []);
  assertEquals(checkVersion(treeOf({ ...files, "deno.json": '{"version":"2.0.0"}' })).length, 1);
  assertEquals(checkVersion(treeOf({ ...files, "CHANGELOG.md": "" })).length, 1);
});

Deno.test("a stale generated page is found", () => {
  assertEquals(checkGenerated("docs/a.md", "new", treeOf({ "docs/a.md": "new" })), []);
  assertEquals(checkGenerated("docs/a.md", "new", treeOf({ "docs/a.md": "old" })).length, 1);
});

Deno.test("a public symbol without an example is found", () => {
  const shown = { name: "shown", declarations: [{ jsDoc: { tags: [{ kind: "example" }] } }] };
  const tagged = { name: "tagged", declarations: [{ jsDoc: { tags: [{ kind: "param" }] } }] };
  const bare = { name: "bare", declarations: [{}] };
  const check = (...symbols: (typeof shown | typeof bare)[]) =>
    checkExamples("src/a.ts", { nodes: { "file:///src/a.ts": { symbols } } });
  assertEquals(check(shown), []);
  assertEquals(check(shown, tagged, bare), [
    'src/a.ts:1: exports "tagged", which has no @example',
    'src/a.ts:1: exports "bare", which has no @example',
  ]);
  assertEquals(check().length, 1);
});

Deno.test("the operations page shows types, bounds, defaults and scopes", () => {
  const text = operationsPage([{
    name: "event.read",
    summary: "Reads events",
    scope: "read",
    params: z.object({
      limit: z.int().min(1).max(1000).default(50).describe("how many"),
      kinds: z.array(z.enum(["ping", "pong"])).optional(),
    }),
    result: z.object({ has_more: z.boolean(), gap: z.object({ from_seq: z.int() }).nullable() }),
  }]);
  assertStringIncludes(text, "| [`event.read`](#eventread) | read | Reads events |");
  assertStringIncludes(text, "| `limit`? | integer 1 to 1000 | `50` | how many |");
  assertStringIncludes(text, '| `kinds`? | array of one of "ping", "pong" |');
  assertStringIncludes(text, "| `gap` | {from_seq} or null |");
  assertStringIncludes(text, "Reads events. Scope: `read`.");
});
