/**
 * JSON whose numbers come out again as they went in.
 *
 * JavaScript rounds a number of more than 16 digits. Whoever only passes values on, as the command line
 * does, must not: such a number is kept as a raw JSON value, which `JSON.stringify` writes to the letter.
 */

/** A number, in a place where one may stand, that may not fit. Most lines have none and need no second look. */
const RISKY = /[[:,\s]-?\d(?:[\d.]{15}|[\d.]*[eE])/;

/** As `JSON.parse`, but for numbers that JavaScript cannot hold. */
export function parseExact(text: string): unknown {
  return RISKY.test(text) ? JSON.parse(text, keepExact) : JSON.parse(text);
}

function keepExact(_name: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== "number" || source === undefined || String(value) === source) return value;
  return rawJson(source);
}

function rawJson(source: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(source);
}
