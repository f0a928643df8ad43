/**
 * The text of a `config.jsonc`: JSON with comments and trailing commas, an object, not yet looked at.
 */

import { parse } from "@std/jsonc";
import { PosternError, shown } from "../core/errors.ts";

/**
 * The settings in a text, not yet looked at.
 *
 * @throws {PosternError} `invalid_params` when it is no JSON object.
 */
export function parseSettings(text: string, source: string): Record<string, unknown> {
  const value = parseText(text.replace(/^\uFEFF/, ""), source);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new PosternError(
    "invalid_params",
    `reading the configuration: ${source} must hold an object, not ${shown(value)}`,
  );
}

function parseText(text: string, source: string): unknown {
  if (text.trim() === "") return {};
  try {
    return parse(text);
  } catch (error) {
    throw new PosternError(
      "invalid_params",
      `reading the configuration: ${source} is no JSON: ${
        error instanceof Error ? error.message : error
      }`,
    );
  }
}
