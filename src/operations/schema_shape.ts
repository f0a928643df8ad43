/**
 * The vocabulary of JSON Schema 2020-12 that records take: which keywords there are and how each is shaped.
 *
 * Invariant: a schema that passes has nothing in it that would be left out when values are checked. What is unknown,
 * misspelt or cannot be followed is refused by name.
 */

import { z } from "zod";
import { shown } from "../core/errors.ts";
import { FORMATS } from "./schema_formats.ts";
import { Pattern } from "./schema_pattern.ts";

export type SchemaObject = Readonly<Record<string, unknown>>;
export type Schema = boolean | SchemaObject;

/** A schema that can be followed. */
export interface ReadSchema {
  readonly root: Schema;
  /** What each `$ref` in it leads to. */
  readonly targets: ReadonlyMap<string, Schema>;
  /** Every pattern in it, by its text. */
  readonly patterns: ReadonlyMap<string, Pattern>;
  /** Whether it asks what was not evaluated. */
  readonly asksUnevaluated: boolean;
}

const MAX_DEPTH = 64;
/** Steps of all patterns of a schema, written out. */
const MAX_PATTERN_STEPS = 20_000;
const DIALECT = /^https:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/;

const SCHEMA = z.union([z.boolean(), z.record(z.string(), z.unknown())], {
  error: "must be a schema: an object or a boolean",
});
const SCHEMAS = z.array(SCHEMA).min(1);
const SCHEMA_MAP = z.record(z.string(), SCHEMA);
const NAMES = z.array(z.string());
const COUNT = z.number().int().min(0);
const TYPE = z.enum(["null", "boolean", "object", "array", "number", "string", "integer"]);
const ANYTHING = z.unknown();
const TEXT = z.string();
const FLAG = z.boolean();

const ONE_SCHEMA: Readonly<Record<string, z.ZodType>> = Object.fromEntries([
  "items",
  "contains",
  "additionalProperties",
  "propertyNames",
  "unevaluatedItems",
  "unevaluatedProperties",
  "not",
  "if",
  "then",
  "else",
  "contentSchema",
].map((name) => [name, SCHEMA]));
const MANY_SCHEMAS = { allOf: SCHEMAS, anyOf: SCHEMAS, oneOf: SCHEMAS, prefixItems: SCHEMAS };
const NAMED_SCHEMAS = {
  properties: SCHEMA_MAP,
  patternProperties: SCHEMA_MAP,
  dependentSchemas: SCHEMA_MAP,
  $defs: SCHEMA_MAP,
  definitions: SCHEMA_MAP,
};

const KEYWORDS: Readonly<Record<string, z.ZodType>> = {
  ...ONE_SCHEMA,
  ...MANY_SCHEMAS,
  ...NAMED_SCHEMAS,
  $schema: z.string().regex(DIALECT, { error: "must be that of draft 2020-12" }),
  $id: TEXT,
  $anchor: z.string().regex(/^[A-Za-z_][\w.-]*$/),
  $ref: z.string().regex(/^#/, { error: "must lead into the schema itself and begin with #" }),
  type: z.union([TYPE, z.array(TYPE).min(1)], {
    error: `must be one or more of ${TYPE.options.join(", ")}`,
  }),
  enum: z.array(ANYTHING).min(1),
  const: ANYTHING,
  multipleOf: z.number().positive(),
  minimum: z.number(),
  maximum: z.number(),
  exclusiveMinimum: z.number(),
  exclusiveMaximum: z.number(),
  minLength: COUNT,
  maxLength: COUNT,
  minItems: COUNT,
  maxItems: COUNT,
  minContains: COUNT,
  maxContains: COUNT,
  minProperties: COUNT,
  maxProperties: COUNT,
  uniqueItems: FLAG,
  required: NAMES,
  dependentRequired: z.record(z.string(), NAMES),
  pattern: TEXT,
  format: TEXT,
  title: TEXT,
  description: TEXT,
  $comment: TEXT,
  contentEncoding: TEXT,
  contentMediaType: TEXT,
  deprecated: FLAG,
  readOnly: FLAG,
  writeOnly: FLAG,
  examples: z.array(ANYTHING),
  default: ANYTHING,
};

/** Keywords that are about the same value as the schema they stand in. */
const IN_PLACE = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];

/** @throws Error that names the place and the rule. */
export function readSchema(root: unknown): ReadSchema {
  const reader = new Reader();
  reader.visit(root as Schema, "#", 0);
  return reader.finish(root as Schema);
}

class Reader {
  readonly #places = new Map<string, Schema>();
  readonly #refs: string[] = [];
  readonly #patterns = new Map<string, Pattern>();
  #asksUnevaluated = false;
  #patternSize = 0;

  visit(schema: Schema, place: string, depth: number): void {
    this.#places.set(place, schema);
    if (depth > MAX_DEPTH) throw new Error(`schemas nest at most ${MAX_DEPTH} deep`);
    if (typeof schema === "boolean") return;
    if (!isObject(schema)) throw new Error(`${place} must be a schema, got ${shown(schema)}`);
    for (const [keyword, given] of Object.entries(schema)) this.#check(keyword, given, place);
    this.#note(schema, place);
    for (const [name, part] of subschemas(schema)) {
      this.visit(part, `${place}/${name}`, depth + 1);
    }
  }

  finish(root: Schema): ReadSchema {
    const targets = new Map<string, Schema>();
    for (const ref of this.#refs) {
      const target = this.#places.get(decoded(ref));
      if (target === undefined) throw new Error(`the reference ${shown(ref)} leads nowhere`);
      targets.set(ref, target);
    }
    requireNoEndlessLoop(this.#places.values(), targets);
    const asksUnevaluated = this.#asksUnevaluated;
    return { root, targets, patterns: this.#patterns, asksUnevaluated };
  }

  #check(keyword: string, given: unknown, place: string): void {
    if (keyword.startsWith("x-")) return;
    const at = place === "#" ? keyword : `${place}/${keyword}`;
    if (!Object.hasOwn(KEYWORDS, keyword)) {
      throw new Error(`${shown(at)} is no keyword that is taken; your own begin with x-`);
    }
    const { error } = KEYWORDS[keyword]!.safeParse(given, { reportInput: true });
    if (error === undefined) return;
    const { path, message, input } = error.issues[0]!;
    throw new Error(`${[at, ...path].map(String).join("/")}: ${message}, got ${shown(input)}`);
  }

  /** What of a schema is needed later, or hangs together. */
  #note(schema: SchemaObject, place: string): void {
    const { $id, $anchor, $ref, pattern, format } = schema;
    if ($id !== undefined && place !== "#") throw new Error("$id is taken at the root only");
    if (typeof $anchor === "string") this.#anchor($anchor, schema);
    if (typeof $ref === "string") this.#refs.push($ref);
    const keys = Object.keys((schema.patternProperties ?? {}) as object);
    for (const text of typeof pattern === "string" ? [pattern, ...keys] : keys) {
      if (!this.#patterns.has(text)) this.#pattern(text);
    }
    // Then the pattern is what is checked, and the format names it.
    if (typeof format === "string" && !FORMATS.has(format) && pattern === undefined) {
      const known = [...FORMATS.keys()].join(", ");
      throw new Error(`there is no format ${shown(format)} without a pattern beside it; ${known}`);
    }
    this.#asksUnevaluated ||= "unevaluatedItems" in schema || "unevaluatedProperties" in schema;
  }

  #pattern(text: string): void {
    const pattern = patternOf(text);
    this.#patternSize += pattern.size;
    if (this.#patternSize > MAX_PATTERN_STEPS) {
      throw new Error(`its patterns come to at most ${MAX_PATTERN_STEPS} steps together`);
    }
    this.#patterns.set(text, pattern);
  }

  #anchor(name: string, schema: Schema): void {
    if (this.#places.has(`#${name}`)) throw new Error(`the anchor ${shown(name)} is there twice`);
    this.#places.set(`#${name}`, schema);
  }
}

function isObject(value: unknown): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function patternOf(text: string): Pattern {
  try {
    return new Pattern(text);
  } catch (error) {
    throw new Error(
      `the pattern ${shown(text)}: ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** The schemas right within one, with the rest of their place. */
function* subschemas(schema: SchemaObject): Iterable<[string, Schema]> {
  for (const [keyword, given] of Object.entries(schema)) {
    if (Object.hasOwn(ONE_SCHEMA, keyword)) yield [keyword, given as Schema];
    else if (Object.hasOwn(MANY_SCHEMAS, keyword) || Object.hasOwn(NAMED_SCHEMAS, keyword)) {
      for (const [name, part] of Object.entries(given as Record<string, Schema>)) {
        yield [`${keyword}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, part];
      }
    }
  }
}

/** A reference is a URI's fragment. */
function decoded(ref: string): string {
  try {
    return decodeURIComponent(ref);
  } catch {
    return ref;
  }
}

/** A schema that asks itself about the same value would never come to an answer. */
function requireNoEndlessLoop(
  schemas: Iterable<Schema>,
  targets: ReadonlyMap<string, Schema>,
): void {
  const state = new Map<Schema, "open" | "done">();
  for (const schema of schemas) {
    const stack = [{ schema, next: inPlace(schema, targets) }];
    if (state.has(schema)) continue;
    state.set(schema, "open");
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const { value, done } = top.next.next();
      if (done) {
        state.set(top.schema, "done");
        stack.pop();
      } else if (state.get(value) === "open") {
        throw new Error("a $ref leads back to itself for the same value, without an end");
      } else if (!state.has(value)) {
        state.set(value, "open");
        stack.push({ schema: value, next: inPlace(value, targets) });
      }
    }
  }
}

function* inPlace(schema: Schema, targets: ReadonlyMap<string, Schema>): Generator<SchemaObject> {
  if (typeof schema === "boolean") return;
  const parts = [...subschemas(schema)]
    .filter(([place]) => IN_PLACE.includes(place.split("/", 1)[0]!)).map(([, part]) => part);
  if (typeof schema.$ref === "string") parts.push(targets.get(schema.$ref)!);
  for (const part of parts) if (typeof part === "object") yield part;
}
