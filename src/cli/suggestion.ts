/** "Did you mean": the known word that a mistyped one is nearest to, or silence when none is near. */

import { levenshteinDistance } from "@std/text/levenshtein-distance";

/** More edits than this are another word. */
const MAX_STEPS = 3;
/** Nobody mistypes a longer one. */
const MAX_WORD = 64;

/** What goes behind a message about `wrong`: ` (did you mean x?)`, or nothing. */
export function suggestion(wrong: string, known: readonly string[]): string {
  const name = nearest(wrong.toLowerCase(), known);
  return name === null ? "" : ` (did you mean ${name}?)`;
}

function nearest(wrong: string, known: readonly string[]): string | null {
  const letters = wrong.replace(/^-+/, "").length;
  if (wrong.length > MAX_WORD || letters < 2) return null;
  const begun = known.filter((name) => name.startsWith(wrong));
  if (begun.length === 1) return begun[0]!;
  // Two letters that swapped places count as two steps, as many as a letter dropped and one changed.
  const lengthens = (name: string) => Math.abs(name.length - wrong.length);
  const limit = Math.min(MAX_STEPS, Math.floor(letters / 2));
  const ranked = known.map((name) => ({ name, steps: levenshteinDistance(wrong, name) }))
    .sort((a, b) => a.steps - b.steps || lengthens(a.name) - lengthens(b.name));
  const best = ranked[0];
  return best !== undefined && best.steps <= limit ? best.name : null;
}
