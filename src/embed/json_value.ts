/** What a program says a record's value is, made what a client on a socket would have said: JSON, and no more of it. */

import { parseMessage } from "../codecs/json.ts";
import { PosternError } from "../core/errors.ts";
import { utf8Length } from "../core/text.ts";

/** Bytes of a value as JSON: with what is around it, a line that clients take. */
export const MAX_VALUE_BYTES = 1024 * 1024 - 1024;

/**
 * The value as it would come out of JSON, with nothing shared with the one given.
 *
 * @throws PosternError `invalid_params` for what has no JSON form, NaN and Infinity in it too, `too_large`.
 */
export function jsonValue(operation: string, value: unknown): unknown {
  const text = stringify(operation, value);
  const bytes = utf8Length(text);
  if (bytes > MAX_VALUE_BYTES) {
    throw new PosternError(
      "too_large",
      `${operation}: value: must be at most ${MAX_VALUE_BYTES} bytes as JSON, this one has ${bytes}`,
      { field: "value", limit: MAX_VALUE_BYTES },
    );
  }
  try {
    return parseMessage(text);
  } catch (error) {
    throw refused(operation, error);
  }
}

function stringify(operation: string, value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value, refuseNoNumber);
  } catch (error) {
    throw refused(operation, error);
  }
  if (text === undefined) throw refused(operation, `got ${typeof value}`);
  return text;
}

/** JSON would write `null` for it, and nobody would learn that. */
function refuseNoNumber(_key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`got ${value}`);
  return value;
}

function refused(operation: string, reason: unknown): PosternError {
  const why = reason instanceof Error ? reason.message : String(reason);
  return new PosternError(
    "invalid_params",
    `${operation}: value: must be a JSON value: ${why.slice(0, 256)}`,
    { field: "value" },
  );
}
