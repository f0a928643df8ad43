/** JSON that a person wrote on a command line or into a pipe, with messages that help to mend it. */

import { shown } from "../client/errors.ts";
import { UsageError } from "./exit_codes.ts";

/** Checks that `text` is JSON; `what` says in a message what it was meant to be. Returns what it says. */
export function requireJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const word = text.trim();
    const seen = word === "" ? "nothing" : shown(word);
    // Whoever writes one word means a string, and a shell takes away the first pair of quotes.
    const example = /^[\w .,-]{1,40}$/.test(word) ? `, as in '"${word}"'` : "";
    throw new UsageError(
      `${what}: JSON is expected, got ${seen}; a string needs its own quotes${example}`,
    );
  }
}

/** The same where only an object will do. */
export function requireObject(text: string, what: string): object {
  const value = requireJson(text, what);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new UsageError(`${what}: a JSON object is expected, got ${shown(value)}`);
}

/** The text of an object whose fields are JSON already; what is `undefined` is left out. */
export function objectText(fields: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(fields).filter(([, text]) => text !== undefined);
  return `{${given.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
}
