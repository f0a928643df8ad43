/**
 * Says in a few words what a JSON Schema allows. Covers what zod writes for the registry.
 */

/** The part of JSON Schema that is read here. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
}

/** The integers that JSON numbers hold exactly; as a bound they say nothing to a reader. */
const UNBOUNDED = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
/** More values than this are named by the first ones. */
const MAX_VALUES = 24;

/** The type in words: `integer 1 to 1000`, `array of string, at most 10`, `one of "a", "b"`. */
export function describeSchema(schema: JsonSchema): string {
  if (schema.const !== undefined) return quoted(schema.const);
  if (schema.enum !== undefined) return describeEnum(schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return unique(choices.map(describeSchema)).join(" or ");
  if (schema.allOf !== undefined) return unique(schema.allOf.map(describeSchema)).join(" and ");
  const types = typeof schema.type === "string" ? [schema.type] : schema.type ?? [];
  if (types.length === 0) return "any value";
  return types.map((type) => describeType(type, schema)).join(" or ");
}

function describeType(type: string, schema: JsonSchema): string {
  if (type === "integer" || type === "number") return type + range(schema.minimum, schema.maximum);
  if (type === "string") return describeString(schema);
  if (type === "array") return describeArray(schema);
  if (type === "object") return describeObject(schema);
  return type;
}

function describeString(schema: JsonSchema): string {
  const length = range(schema.minLength, schema.maxLength);
  const size = length === "" ? "" : `,${length} characters`;
  return (schema.format ?? "string") + size;
}

function describeArray(schema: JsonSchema): string {
  const items = schema.items === undefined ? "any value" : describeSchema(schema.items);
  const count = range(schema.minItems, schema.maxItems);
  return `array of ${items}${count === "" ? "" : `,${count} of them`}`;
}

function describeObject(schema: JsonSchema): string {
  const names = Object.keys(schema.properties ?? {});
  if (names.length === 0) return "object";
  const required = new Set(schema.required ?? []);
  return `{${names.map((name) => required.has(name) ? name : `${name}?`).join(", ")}}`;
}

function describeEnum(values: readonly unknown[]): string {
  const named = values.slice(0, MAX_VALUES).map(quoted).join(", ");
  return `one of ${named}${values.length > MAX_VALUES ? ", ..." : ""}`;
}

function range(minimum?: number, maximum?: number): string {
  const from = minimum === undefined || UNBOUNDED.includes(minimum) ? undefined : minimum;
  const to = maximum === undefined || UNBOUNDED.includes(maximum) ? undefined : maximum;
  if (from !== undefined && to !== undefined) return from === to ? ` ${from}` : ` ${from} to ${to}`;
  if (from !== undefined) return ` at least ${from}`;
  return to === undefined ? "" : ` at most ${to}`;
}

function quoted(value: unknown): string {
  return JSON.stringify(value);
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)];
}
