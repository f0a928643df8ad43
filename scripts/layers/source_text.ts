/**
 * Reads the imports of a TypeScript source without running it or needing a compiler.
 *
 * Comments, regular expressions and what stands between quotes are blanked out first, each character by
 * a space, so that an import in a comment is no import and every position still fits the original text.
 */

/** One import or re-export, as it stands in a source. */
export interface ImportStatement {
  /** What is imported, as written. */
  readonly specifier: string;
  /** 1-based. */
  readonly line: number;
  /** Nothing of it is left at run time. */
  readonly typeOnly: boolean;
  /** `import("...")` and `new URL("....ts", import.meta.url)`: loaded later, or in another thread. */
  readonly deferred: boolean;
}

/** The text with everything blanked that is no code. Line breaks stay where they are. */
export function codeOnly(source: string): string {
  const out = source.split("");
  const blank = (from: number, to: number) => {
    for (let i = from; i < to; i++) if (out[i] !== "\n") out[i] = " ";
  };
  scan(source, { from: 0, blank, untilBrace: false });
  return out.join("");
}

interface Scan {
  readonly from: number;
  readonly blank: (from: number, to: number) => void;
  /** Whether to stop behind the `}` that ends a template's expression. */
  readonly untilBrace: boolean;
}

function scan(source: string, { from, blank, untilBrace }: Scan): number {
  let depth = 0;
  let i = from;
  while (i < source.length) {
    const char = source[i]!;
    const end = literalEnd(source, i, blank);
    if (end > i) {
      i = end;
      continue;
    }
    if (char === "{") depth++;
    if (char === "}" && --depth < 0 && untilBrace) return i + 1;
    i++;
  }
  return i;
}

/** Blanks the comment, string, template or regular expression that begins at `i`; `i` if none does. */
function literalEnd(source: string, i: number, blank: Scan["blank"]): number {
  const char = source[i]!;
  let end = i;
  if (source.startsWith("//", i)) end = endOf(source, "\n", i);
  else if (source.startsWith("/*", i)) end = endOf(source, "*/", i + 2) + 2;
  else if (char === "/" && regexMayStart(source, i)) end = regexEnd(source, i);
  else if (char === "`") return templateEnd(source, i, blank);
  else if (char === '"' || char === "'") {
    end = quotedEnd(source, i);
    blank(i + 1, end - 1);
    return end;
  }
  blank(i, Math.min(end, source.length));
  return end;
}

function endOf(source: string, what: string, from: number): number {
  const at = source.indexOf(what, from);
  return at < 0 ? source.length : at;
}

function quotedEnd(source: string, start: number): number {
  let i = start + 1;
  while (i < source.length && source[i] !== source[start] && source[i] !== "\n") {
    i += source[i] === "\\" ? 2 : 1;
  }
  return i + 1;
}

function templateEnd(source: string, start: number, blank: Scan["blank"]): number {
  let i = start + 1;
  while (i < source.length && source[i] !== "`") {
    if (source.startsWith("${", i)) {
      i = scan(source, { from: i + 2, blank, untilBrace: true });
      continue;
    }
    const width = source[i] === "\\" ? 2 : 1;
    blank(i, Math.min(i + width, source.length));
    i += width;
  }
  return i + 1;
}

/** A slash divides behind a value and opens a regular expression elsewhere. */
function regexMayStart(source: string, at: number): boolean {
  const before = source.slice(Math.max(0, at - 80), at).trimEnd();
  if (before === "") return true;
  if (/\b(?:return|typeof|case|in|of|throw|await|yield)$/.test(before)) return true;
  return /[=(,:;!&|?{}[+\-*%~^<>]$/.test(before);
}

function regexEnd(source: string, start: number): number {
  let inClass = false;
  let i = start + 1;
  while (i < source.length && source[i] !== "\n" && (inClass || source[i] !== "/")) {
    if (source[i] === "[") inClass = true;
    else if (source[i] === "]") inClass = false;
    i += source[i] === "\\" ? 2 : 1;
  }
  return i + 1;
}

/** Every import, re-export, dynamic import and module URL of the source. */
export function importsOf(source: string): ImportStatement[] {
  const code = codeOnly(source);
  const found: ImportStatement[] = [];
  for (const { pattern, deferred } of PATTERNS) {
    for (const match of code.matchAll(pattern)) {
      const start = match.index + match[0].indexOf(match[1]!) + 1;
      const specifier = source.slice(start, source.indexOf(match[1]!, start));
      // The URL of a folder or of data is no module.
      if (match[0].startsWith("new") && !specifier.endsWith(".ts")) continue;
      const line = source.slice(0, match.index).split("\n").length;
      found.push({ specifier, line, typeOnly: isTypeOnly(match[0]), deferred });
    }
  }
  return found.sort((a, b) => a.line - b.line);
}

/** Each matches a statement up to the quote that opens its specifier, which is group 1. */
const PATTERNS: readonly { pattern: RegExp; deferred: boolean }[] = [
  { pattern: /(?<![.\w$])(?:import|export)\b[\w\s$,*{}]*\bfrom\s*(["'])/g, deferred: false },
  { pattern: /(?<![.\w$])import\s*(["'])/g, deferred: false },
  { pattern: /(?<![.\w$])import\s*\(\s*(["'])/g, deferred: true },
  { pattern: /(?<![.\w$])new\s+URL\(\s*(["'])(?=[^)]*import\.meta\.url)/g, deferred: true },
];

function isTypeOnly(statement: string): boolean {
  if (/^(?:import|export)\s+type\b/.test(statement)) return true;
  const names = /^(?:import|export)\s*\{([^}]*)\}/.exec(statement)?.[1];
  if (names === undefined) return false;
  const parts = names.split(",").map((part) => part.trim()).filter((part) => part !== "");
  return parts.length > 0 && parts.every((part) => part.startsWith("type "));
}
