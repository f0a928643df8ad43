/**
 * Finds the public symbols that no example shows.
 *
 * It goes by what `deno doc --json` says of a module, so a re-export counts by the comment where it is declared.
 */

/** The part of the answer that is looked at. */
export interface Documented {
  readonly nodes: Readonly<Record<string, { readonly symbols?: readonly DocumentedSymbol[] }>>;
}

interface DocumentedSymbol {
  readonly name: string;
  readonly declarations: readonly {
    readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
  }[];
}

/** Symbols of which no declaration has an `@example`; an answer without any symbol is a complaint too. */
export function checkExamples(module: string, { nodes }: Documented): string[] {
  const symbols = Object.values(nodes).flatMap(({ symbols = [] }) => symbols);
  if (symbols.length === 0) return [`${module}:1: exports nothing that is documented`];
  return symbols.filter((symbol) => !hasExample(symbol)).map(({ name }) =>
    `${module}:1: exports "${name}", which has no @example`
  );
}

function hasExample({ declarations }: DocumentedSymbol): boolean {
  return declarations.some(({ jsDoc }) => jsDoc?.tags?.some(({ kind }) => kind === "example"));
}
