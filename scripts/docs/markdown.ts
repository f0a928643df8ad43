/**
 * What the docs check reads out of a Markdown page: links, headings, and tests that it names.
 *
 * Fenced blocks and code spans hold no links and no headings, so they are taken out first.
 */

/** Something found in a page, and where. */
export interface Found<T> {
  readonly line: number;
  readonly value: T;
}

/** A test that a page names as proof of what it says. */
export interface NamedTest {
  readonly file: string;
  readonly name: string;
}

/** Every link target that is no address on the web and no mail, as written. */
export function relativeLinks(page: string): Found<string>[] {
  const text = withoutCode(page);
  const inline = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)];
  const reference = [...text.matchAll(/^\[[^\]]+\]:\s*<?([^\s>]+)>?/gm)];
  return [...inline, ...reference]
    .filter((match) => !/^(?:[a-z][a-z0-9+.-]*:|\/\/)/i.test(match[1]!))
    .map((match) => ({ line: lineAt(text, match.index), value: match[1]! }));
}

/** The anchors that the page's headings make, as GitHub makes them. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, title] of withoutFences(page).matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const base = anchorOf(title!);
    let anchor = base;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${base}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

function anchorOf(title: string): string {
  const plain = title.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1");
  return plain.trim().toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(/\s/g, "-");
}

/** Every `tests/...ts: "name"` of the page; the name may go on over a line's end. */
export function namedTests(page: string): Found<NamedTest>[] {
  const pattern = /(tests\/[\w./-]+\.ts)`?:\s*"([^"]+)"/g;
  return [...page.matchAll(pattern)].map((match) => ({
    line: lineAt(page, match.index),
    value: { file: match[1]!, name: match[2]!.replaceAll(/\s+/g, " ") },
  }));
}

/** Blanks fenced blocks and code spans; line numbers stay. */
function withoutCode(page: string): string {
  return withoutFences(page).replaceAll(/`[^`\n]*`/g, (span) => " ".repeat(span.length));
}

function withoutFences(page: string): string {
  return page.replaceAll(
    /^ {0,3}(`{3,}|~{3,})[^\n]*\n[\s\S]*?(?:^ {0,3}\1[^\n]*$|$(?![\s\S]))/gm,
    (block) => block.replaceAll(/[^\n]/g, " "),
  );
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}
