/**
 * Checks values against a JSON Schema, 2020-12.
 *
 * Invariant: a check takes a bounded number of steps, whatever schema and value are; what would take more is refused.
 * It stops at the first fault.
 */

import { FORMATS } from "./schema_formats.ts";
import { wrongNumber } from "./schema_numbers.ts";
import type { ReadSchema, Schema, SchemaObject } from "./schema_shape.ts";

/** What is wrong with a value, and where in it, as a JSON Pointer. */
export interface Fault {
  readonly path: string;
  readonly reason: string;
}

/** Steps of one check; a step is some tens of nanoseconds. */
export const MAX_STEPS = 2_000_000;
/** Schemas within schemas at once, by references too. */
const MAX_DEPTH = 1000;
/** Asking one schema about one value. */
const VISIT = 5;
/** Dividing two decimals. */
const DIVISION = 60;
/** Looking at one entry of a keyword's object, or keeping one that was looked at. */
const ENTRY = 5;

const MAX_PATH_CHARS = 256;

/** What of a value some schema has looked at; only kept where a schema asks. */
interface Seen {
  readonly keys: Set<string>;
  readonly items: Set<number>;
}

/**
 * Whether the value matches.
 *
 * @returns The first fault, or `null`. It is a fault as well that it would take too long to say.
 */
export function checkValue(schema: ReadSchema, value: unknown): Fault | null {
  try {
    return new Check(schema).of(schema.root, value, ROOT);
  } catch (error) {
    // A stack that is full is none of a schema's own doing either.
    const reason = error instanceof TooMuch ? error.message : "it cannot be checked";
    return { path: "", reason };
  }
}

/** Which value is asked about, and how many schemas deep. */
interface Where {
  readonly outer: Where | null;
  readonly key: string | number;
  readonly depth: number;
  /** Where to say what was looked at. */
  readonly seen: Seen;
}

class TooMuch extends Error {}

class Check {
  readonly #schema: ReadSchema;
  #steps = 0;
  readonly #spend = (steps: number): void => {
    this.#steps += steps;
    if (this.#steps > MAX_STEPS) throw new TooMuch("to check it takes too many steps");
  };

  constructor(schema: ReadSchema) {
    this.#schema = schema;
  }

  of(schema: Schema, value: unknown, where: Where): Fault | null {
    this.#spend(VISIT);
    if (schema === true) return null;
    if (schema === false) return fault(where, "nothing is allowed here");
    if (where.depth > MAX_DEPTH) throw new TooMuch("to check it leads too deep");
    // What stands beside a schema does not see what it looked at; what it stands in does, if it matches.
    const inner = { ...where, depth: where.depth + 1, seen: this.#nothing() };
    const found = this.#any(schema, value, inner) ?? this.#ofType(schema, value, inner) ??
      this.#combined(schema, value, inner) ?? this.#unevaluated(schema, value, inner);
    if (found === null && this.#schema.asksUnevaluated) merge(where.seen, inner.seen, this.#spend);
    return found;
  }

  /** What is about values of every type. */
  #any(schema: SchemaObject, value: unknown, where: Where): Fault | null {
    const { type, $ref } = schema;
    if (type !== undefined && !([type].flat() as string[]).some((one) => isOfType(value, one))) {
      return fault(where, `must be ${[type].flat().join(" or ")}`);
    }
    if (Object.hasOwn(schema, "const") && !this.#same(schema.const, value)) {
      return fault(where, "must be the value that const names");
    }
    const allowed = schema.enum as unknown[] | undefined;
    if (allowed !== undefined && !allowed.some((one) => this.#same(one, value))) {
      return fault(where, "must be one of the values of enum");
    }
    if (typeof $ref !== "string") return null;
    return this.of(this.#schema.targets.get($ref)!, value, where);
  }

  #ofType(schema: SchemaObject, value: unknown, where: Where): Fault | null {
    if (typeof value === "number") {
      if (schema.multipleOf !== undefined) this.#spend(DIVISION);
      const wrong = wrongNumber(schema, value);
      return wrong === null ? null : fault(where, wrong);
    }
    if (typeof value === "string") return this.#string(schema, value, where);
    if (Array.isArray(value)) return this.#array(schema, value, where);
    return isObject(value) ? this.#object(schema, value, where) : null;
  }

  #string(schema: SchemaObject, value: string, where: Where): Fault | null {
    const { minLength, maxLength, pattern, format } = schema as Record<string, never>;
    if (minLength !== undefined || maxLength !== undefined) {
      this.#spend(value.length);
      const wrong = outside([...value].length, minLength, maxLength);
      if (wrong !== null) return fault(where, `must have ${wrong} characters`);
    }
    if (pattern !== undefined && !this.#matches(pattern, value)) {
      return fault(where, "must match the pattern");
    }
    const check = format === undefined ? undefined : FORMATS.get(format);
    if (check === undefined || check(value, this.#spend)) return null;
    return fault(where, `must have the format ${format}`);
  }

  #array(schema: SchemaObject, value: readonly unknown[], where: Where): Fault | null {
    const { minItems, maxItems, uniqueItems } = schema as Record<string, never>;
    const prefix = (schema.prefixItems ?? []) as readonly Schema[];
    const rest = schema.items as Schema | undefined;
    const wrong = outside(value.length, minItems, maxItems);
    if (wrong !== null) return fault(where, `must have ${wrong} items`);
    const end = rest === undefined ? Math.min(prefix.length, value.length) : value.length;
    for (let i = 0; i < end; i++) {
      const found = this.of(prefix[i] ?? rest!, value[i], this.#within(where, i));
      if (found !== null) return found;
      if (this.#schema.asksUnevaluated) where.seen.items.add(i);
    }
    return this.#contains(schema, value, where) ??
      (uniqueItems === true ? this.#unique(value, where) : null);
  }

  #contains(schema: SchemaObject, value: readonly unknown[], where: Where): Fault | null {
    const { contains, minContains = 1, maxContains } = schema as Record<string, never>;
    if (contains === undefined) return null;
    let count = 0;
    for (let i = 0; i < value.length; i++) {
      if (this.of(contains, value[i], this.#within(where, i)) !== null) continue;
      count++;
      if (this.#schema.asksUnevaluated) where.seen.items.add(i);
    }
    const wrong = outside(count, minContains, maxContains);
    return wrong === null ? null : fault(where, `must have ${wrong} items that contains is about`);
  }

  #unique(value: readonly unknown[], where: Where): Fault | null {
    const places = new Map<string, number>();
    for (const [i, item] of value.entries()) {
      this.#spend(3 * ENTRY);
      const text = this.#canonical(item);
      const before = places.get(text);
      if (before !== undefined) return fault(where, `items ${before} and ${i} are the same`);
      places.set(text, i);
    }
    return null;
  }

  #object(schema: SchemaObject, value: Record<string, unknown>, where: Where): Fault | null {
    const { minProperties, maxProperties, propertyNames } = schema as Record<string, never>;
    const keys = Object.keys(value);
    this.#spend(keys.length);
    const wrong = outside(keys.length, minProperties, maxProperties);
    if (wrong !== null) return fault(where, `must have ${wrong} properties`);
    const missing = this.#missing(schema, value);
    if (missing !== undefined) return fault(where, `needs the property "${missing}"`);
    for (const key of keys) {
      const name = propertyNames === undefined
        ? null
        : this.of(propertyNames, key, this.#within(where, key));
      const found = name ?? this.#property(schema, [key, value[key]], where);
      if (found !== null) return found;
    }
    return null;
  }

  #missing(schema: SchemaObject, value: object): string | undefined {
    const { required = [], dependentRequired = {} } = schema as {
      readonly required?: readonly string[];
      readonly dependentRequired?: Readonly<Record<string, readonly string[]>>;
    };
    const entries = Object.entries(dependentRequired);
    this.#spend(2 * ENTRY * entries.length);
    const dependent = entries
      .flatMap(([key, names]) => Object.hasOwn(value, key) ? names : []);
    const needed = [...required, ...dependent];
    this.#spend(needed.length);
    return needed.find((name) => !Object.hasOwn(value, name));
  }

  #property(
    schema: SchemaObject,
    [key, value]: readonly [string, unknown],
    where: Where,
  ): Fault | null {
    const { properties = {}, patternProperties = {}, additionalProperties } = schema as Record<
      string,
      Record<string, Schema>
    >;
    const applying: Schema[] = Object.hasOwn(properties, key) ? [properties[key]!] : [];
    for (const [pattern, part] of Object.entries(patternProperties)) {
      this.#spend(ENTRY);
      if (this.#matches(pattern, key)) applying.push(part);
    }
    if (applying.length === 0 && additionalProperties !== undefined) {
      applying.push(additionalProperties);
    }
    const inner = this.#within(where, key);
    for (const part of applying) {
      const found = this.of(part, value, inner);
      if (found !== null) return found;
    }
    if (applying.length > 0 && this.#schema.asksUnevaluated) where.seen.keys.add(key);
    return null;
  }

  /** Other schemas about the same value. */
  #combined(schema: SchemaObject, value: unknown, where: Where): Fault | null {
    const { allOf = [], anyOf, oneOf, not, dependentSchemas = {} } = schema as
      & {
        readonly [K in "allOf" | "anyOf" | "oneOf"]?: readonly Schema[];
      }
      & { readonly not?: Schema; readonly dependentSchemas?: Readonly<Record<string, Schema>> };
    const needed = [...allOf];
    for (const [key, part] of Object.entries(dependentSchemas)) {
      this.#spend(ENTRY);
      if (isObject(value) && Object.hasOwn(value, key)) needed.push(part);
    }
    for (const part of needed) {
      const found = this.of(part, value, where);
      if (found !== null) return found;
    }
    if (anyOf !== undefined) {
      // All are asked where it matters what they look at.
      const most = this.#schema.asksUnevaluated ? Infinity : 1;
      const { count, first } = this.#count(anyOf, value, where, most);
      if (count === 0) return first;
    }
    if (oneOf !== undefined) {
      const { count, first } = this.#count(oneOf, value, where, 2);
      if (count === 0) return first;
      if (count > 1) return fault(where, "must match one schema of oneOf, and matches more");
    }
    if (not !== undefined && this.of(not, value, where) === null) {
      return fault(where, "must not match the schema of not");
    }
    return this.#conditional(schema, value, where);
  }

  #conditional(schema: SchemaObject, value: unknown, where: Where): Fault | null {
    if (schema.if === undefined) return null;
    const holds = this.of(schema.if as Schema, value, where) === null;
    const part = (holds ? schema.then : schema.else) as Schema | undefined;
    return part === undefined ? null : this.of(part, value, where);
  }

  /** How many of the schemas match, up to `most`, and the fault of the one that came nearest. */
  #count(
    schemas: readonly Schema[],
    value: unknown,
    where: Where,
    most: number,
  ): { count: number; first: Fault } {
    let count = 0;
    let nearest: Fault | null = null;
    for (const part of schemas) {
      const found = this.of(part, value, where);
      if (found === null && ++count >= most) break;
      if (found !== null && found.path.length > (nearest?.path.length ?? -1)) nearest = found;
    }
    return { count, first: nearest ?? fault(where, "must match a schema") };
  }

  #unevaluated(schema: SchemaObject, value: unknown, where: Where): Fault | null {
    const { unevaluatedItems, unevaluatedProperties } = schema as Record<string, Schema>;
    const { items, keys } = where.seen;
    if (Array.isArray(value) && unevaluatedItems !== undefined) {
      for (let i = 0; i < value.length; i++) {
        const found = items.has(i)
          ? null
          : this.of(unevaluatedItems, value[i], this.#within(where, i));
        if (found !== null) return found;
        items.add(i);
      }
    } else if (isObject(value) && unevaluatedProperties !== undefined) {
      for (const key of Object.keys(value)) {
        const found = keys.has(key)
          ? null
          : this.of(unevaluatedProperties, value[key], this.#within(where, key));
        if (found !== null) return found;
        keys.add(key);
      }
    }
    return null;
  }

  #within(outer: Where, key: string | number): Where {
    return { outer, key, depth: outer.depth, seen: this.#nothing() };
  }

  #nothing(): Seen {
    return this.#schema.asksUnevaluated ? { keys: new Set(), items: new Set() } : NOTHING;
  }

  #matches(pattern: string, text: string): boolean {
    return this.#schema.patterns.get(pattern)!.test(text, this.#spend);
  }

  #same(one: unknown, other: unknown): boolean {
    this.#spend(1);
    if (typeof one !== "object" || typeof other !== "object") return one === other;
    return this.#canonical(one) === this.#canonical(other);
  }

  /** Equal for what JSON Schema calls equal: the order of properties does not count. */
  #canonical(value: unknown): string {
    this.#spend(VISIT);
    if (Array.isArray(value)) return `[${value.map((item) => this.#canonical(item)).join()}]`;
    if (isObject(value)) {
      const parts = Object.keys(value).sort()
        .map((key) => `${this.#canonical(key)}:${this.#canonical(value[key])}`);
      return `{${parts.join()}}`;
    }
    if (typeof value === "string") this.#spend(value.length);
    // JSON has no text for what is too large for a number here.
    return typeof value === "number" ? String(value) : JSON.stringify(value);
  }
}

function isOfType(value: unknown, type: string): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isObject(value);
  if (type === "integer") return Number.isInteger(value);
  const actual: string = typeof value;
  return actual === type;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function outside(
  count: number,
  least: number | undefined,
  most: number | undefined,
): string | null {
  if (least !== undefined && count < least) return `at least ${least}`;
  return most !== undefined && count > most ? `at most ${most}` : null;
}

/** Of a schema that does not ask; nothing is ever added to it. */
const NOTHING: Seen = { keys: new Set(), items: new Set() };
const ROOT: Where = { outer: null, key: "", depth: 0, seen: { keys: new Set(), items: new Set() } };

function merge(into: Seen, seen: Seen, spend: (steps: number) => void): void {
  spend(ENTRY * (seen.keys.size + seen.items.size));
  for (const key of seen.keys) into.keys.add(key);
  for (const item of seen.items) into.items.add(item);
}

function fault(where: Where, reason: string): Fault {
  const segments: string[] = [];
  for (let at = where; at.outer !== null; at = at.outer) {
    const key = String(at.key).slice(0, MAX_PATH_CHARS);
    segments.push(`/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
  }
  return { path: segments.reverse().join("").slice(0, MAX_PATH_CHARS), reason };
}
