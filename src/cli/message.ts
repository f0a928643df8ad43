/**
 * A message as a person writes it, to the parameters of `send`.
 *
 * What is written stays as it is written, down to the digits of a number. Defaults fill in what is missing.
 */

import { shown } from "../client/errors.ts";

/** What a message may say. */
const FIELDS: ReadonlySet<string> = new Set([
  "kind",
  "to",
  "topic",
  "payload",
  "ref",
  "dedup_key",
  "ttl_secs",
]);

/** Fields that stand in where a message lacks them, each as JSON text. */
export type Defaults = Readonly<Record<string, string>>;

/** A line that is no message. */
export class BadMessage extends Error {
  override readonly name = "BadMessage";
}

/**
 * The parameters of `send` for one line of JSON.
 *
 * @throws {BadMessage} when it is no object, or has a field that no message has.
 */
export function messageFromLine(line: string, defaults: Defaults): string {
  const given = Object.keys(parseLine(line));
  const unknown = given.find((name) => !FIELDS.has(name));
  if (unknown !== undefined) {
    throw new BadMessage(`a message has ${[...FIELDS].join(", ")}, not ${shown(unknown)}`);
  }
  const missing = Object.entries(defaults).filter(([name]) => !given.includes(name));
  const added = missing.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",");
  const body = line.trim().slice(1);
  if (added === "") return `{${body}`;
  return given.length === 0 ? `{${added}}` : `{${added},${body}`;
}

/** The parameters of `send` for a message of these fields alone. */
export function messageFromFields(fields: Defaults): string {
  return messageFromLine("{}", fields);
}

function parseLine(line: string): object {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new BadMessage(`not JSON: ${shown(line.trim())}`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new BadMessage(`a message is a JSON object, not ${shown(value)}`);
}
