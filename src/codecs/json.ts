/**
 * Reads one line of JSON as it comes from strangers.
 *
 * Invariants: what is returned is nested at most `MAX_DEPTH` levels, so that nobody who walks it can run out
 * of stack; a number that JavaScript cannot hold is kept as it was written and comes out of
 * `JSON.stringify` unchanged.
 */

import { PosternError } from "../core/errors.ts";
import type { RecordUpdate } from "../core/record.ts";
import { JsonText } from "../core/text.ts";
import type { RecordDelivery } from "./codec.ts";

declare global {
  interface JSON {
    /** A value that `JSON.stringify` writes as the given number, to the letter. */
    rawJSON(text: string): unknown;
    isRawJSON(value: unknown): boolean;
  }
}

/** Levels of arrays and objects in one message. */
export const MAX_DEPTH = 128;

/** A number, where one may stand, that a double may not hold. Nearly no line has one. */
const RISKY_NUMBER = /[[:,\s]-?\d(?:[\d.]{15}|[\d.]*[eE])/;

/** Decimal digits with which every double can be told from its neighbours. */
const SIGNIFICANT_DIGITS = 17;

/**
 * Parses a message.
 *
 * @throws PosternError `parse_error` for what is no JSON, `invalid_request` for what is nested too deep.
 */
export function parseMessage(text: string): unknown {
  if (mayBeDeep(text)) requireShallow(text);
  try {
    return parseExact(text);
  } catch (error) {
    // What the engine quotes of the text may be part of a token or a payload.
    const reason = (error as Error).message.replace(/, (\.\.\.)?".*is not valid JSON$/s, "");
    throw new PosternError(
      "parse_error",
      `a message must be one line of JSON: ${reason.slice(0, 120)}`,
    );
  }
}

/**
 * As `JSON.parse`, but a number that JavaScript cannot hold comes out of `JSON.stringify` as it was written.
 *
 * @throws SyntaxError
 */
export function parseExact(text: string): unknown {
  return RISKY_NUMBER.test(text) ? JSON.parse(text, keepNumber) : JSON.parse(text);
}

/** As `JSON.stringify`, for a value whose own fields may be text that is JSON already. */
export function encodeJson(value: unknown): string {
  if (value instanceof JsonText) return value.text;
  return isObject(value) ? `{${encodeFields(value)}}` : JSON.stringify(value);
}

/** The fields of an object without its braces. */
export function encodeFields(value: object): string {
  const fields = value as Record<string, unknown>;
  let text = "";
  for (const name in fields) {
    const field = fields[name];
    if (field === undefined) continue;
    const encoded = field instanceof JsonText ? field.text : JSON.stringify(field);
    text += text === ""
      ? `${JSON.stringify(name)}:${encoded}`
      : `,${JSON.stringify(name)}:${encoded}`;
  }
  return text;
}

/** The fields of a record's update, which are the same in every dialect. */
export function encodeRecord(
  { name, sequence, value, timestamp }: RecordUpdate,
  { subscriptionId, dropped }: RecordDelivery,
): string {
  return `"subscription_id":"${subscriptionId}","name":"${name}","sequence":${sequence},"data":` +
    `${value},"timestamp":"${timestamp}"${dropped === 0 ? "" : `,"dropped":${dropped}`}`;
}

/** Whether a value is a JSON object; arrays and null are none. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !JSON.isRawJSON(value);
}

function keepNumber(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== "number" || context?.source === undefined) return value;
  return isHeld(value, context.source) ? value : JSON.rawJSON(context.source);
}

/** Whether a double says what was written: no overflow, no underflow, no digit lost. */
function isHeld(value: number, source: string): boolean {
  if (!Number.isFinite(value)) return false;
  const digits = source.replace(/[eE].*$/, "").replaceAll(/\D/g, "").replace(/^0+/, "");
  if (value === 0) return digits === "";
  if (digits.length > SIGNIFICANT_DIGITS) return false;
  return !Number.isInteger(value) || Number.isSafeInteger(value) || String(value) === source;
}

/** Depth needs brackets: counting them is quick, following them is not. */
function mayBeDeep(text: string): boolean {
  if (text.length <= 2 * MAX_DEPTH) return false;
  return countUpTo(text, "[") + countUpTo(text, "{") > MAX_DEPTH;
}

function countUpTo(text: string, character: string): number {
  let count = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) {
    if (++count > MAX_DEPTH) break;
  }
  return count;
}

function requireShallow(text: string): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === QUOTE) quoted = !quoted;
    else if (unit === BACKSLASH) i++;
    else if (quoted) continue;
    else if (unit === OPEN_BRACKET || unit === OPEN_BRACE) depth++;
    else if (unit === CLOSE_BRACKET || unit === CLOSE_BRACE) depth--;
    if (depth > MAX_DEPTH) {
      throw new PosternError(
        "invalid_request",
        `a message must nest at most ${MAX_DEPTH} levels, got more`,
        {
          limit: MAX_DEPTH,
        },
      );
    }
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The field of an event that is told again, with the comma behind it; of any other nothing. */
export function againField(again: boolean | undefined): string {
  return again ? '"again":true,' : "";
}
