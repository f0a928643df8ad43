/**
 * What is wrong with a configuration, for people: the key, the rule, the value seen, the nearest known key.
 *
 * At most {@linkcode MAX_SHOWN} faults are told at once, so that a wrong file does not flood the log.
 */

import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { z } from "zod";
import { shown } from "../core/errors.ts";

const MAX_SHOWN = 5;

/** What the faults are about. */
export interface Checked {
  readonly schema: z.ZodType;
  readonly settings: unknown;
}

/** The faults as one line. */
export function explain(error: z.ZodError, checked: Checked): string {
  const faults = error.issues.flatMap((issue) => explainIssue(issue, checked));
  const rest = faults.length - MAX_SHOWN;
  return faults.slice(0, MAX_SHOWN).join("; ") + (rest > 0 ? `; and ${rest} more` : "");
}

/** The known name that is nearest to a wrong one, and how many edits away. */
function nearest(wrong: string, known: readonly string[]): { name: string; steps: number } {
  return known
    .map((name) => ({ name, steps: levenshteinDistance(wrong.toLowerCase().slice(0, 64), name) }))
    .reduce((best, next) => next.steps < best.steps ? next : best);
}

function explainIssue(issue: z.core.$ZodIssue, checked: Checked): string[] {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => explainUnknown([...path, key], checked.schema));
  }
  const value = valueAt(checked.settings, issue.path);
  return [`${shortened(path.join("."))} ${ruleOf(issue)}, not ${shown(value)}`];
}

function explainUnknown(path: readonly string[], schema: z.ZodType): string {
  const known = keysOf(schema);
  const section = path.slice(0, -1).join(".");
  const here = known.filter((name) => name.startsWith(section === "" ? "" : `${section}.`));
  const last = path.at(-1) ?? "";
  // The same word in another section is the likelier mistake than a similar one in this.
  const same = known.find((name) => name.endsWith(`.${last}`));
  return `unknown key ${shown(path.join("."))}; the nearest is "${
    same ?? similar(path, here, known)
  }"`;
}

/** A similar word in the same section, or else whatever is nearest by its whole name. */
function similar(path: readonly string[], here: readonly string[], known: readonly string[]) {
  const whole = nearest(path.join("."), known).name;
  if (here.length === 0) return whole;
  const close = nearest(path.at(-1) ?? "", here.map((name) => lastOf(name)));
  if (close.steps > Math.ceil(close.name.length / 2)) return whole;
  return here.find((name) => lastOf(name) === close.name) ?? whole;
}

/** Dotted names of all sections and keys. */
function keysOf(schema: unknown, prefix = ""): string[] {
  const shape = shapeOf(schema);
  return Object.entries(shape).flatMap(([key, inner]) => {
    const name = prefix + key;
    return [name, ...keysOf(inner, `${name}.`)];
  });
}

function shapeOf(schema: unknown): Record<string, unknown> {
  if (schema instanceof z.ZodObject) return schema.shape;
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault) {
    return shapeOf(schema.unwrap());
  }
  return {};
}

function ruleOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${article(issue.expected)}`;
    case "invalid_value":
      return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    case "too_small":
      return `must be at least ${issue.minimum}${unitOf(issue.origin)}`;
    case "too_big":
      return `must be at most ${issue.maximum}${unitOf(issue.origin)}`;
    default:
      return issue.message;
  }
}

function unitOf(origin: string): string {
  if (origin === "string") return " characters long";
  return origin === "array" ? " entries long" : "";
}

function article(type: string): string {
  const name = type === "int" ? "whole number" : type === "boolean" ? "true or false" : type;
  if (name === "true or false") return name;
  return `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`;
}

function valueAt(settings: unknown, path: readonly PropertyKey[]): unknown {
  let value = settings;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Object.hasOwn(value, key) ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  }
  return value;
}

function shortened(path: string): string {
  return path.length > 128 ? `${path.slice(0, 125)}...` : path;
}

function lastOf(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}
