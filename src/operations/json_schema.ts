/**
 * JSON Schemas of records and of services' methods: read once when one is defined, asked for every value.
 *
 * A schema that the validator could not follow is refused when it is given, and not when it would first be asked: an
 * unknown type, a pattern that is none, a reference to nothing. Draft 2020-12.
 */

import { dereference, type Schema, Validator } from "@cfworker/json-schema";
import { PosternError, shown } from "../core/errors.ts";
import { utf8Length } from "../core/text.ts";

/** Bytes of a schema as text. */
const MAX_SCHEMA_BYTES = 32 * 1024;

const TYPES: ReadonlySet<unknown> = new Set([
  "null",
  "boolean",
  "object",
  "array",
  "number",
  "string",
  "integer",
]);

/** Whatever has a schema: a record's definition, a method. */
export interface WithSchema {
  /** The schema as text; `null` for none. */
  readonly schema: string | null;
}

/** By definition: whoever defines something anew has a new one. */
const validators = new WeakMap<WithSchema, Validator | null>();

/**
 * The text of a schema, once it is known to be one.
 *
 * @param where The operation and the parameter that it is, as messages name it: `record.define: schema`.
 * @throws PosternError `invalid_params`, `too_large`
 */
export function schemaText(where: string, schema: unknown): string {
  const text = JSON.stringify(schema);
  if (utf8Length(text) > MAX_SCHEMA_BYTES) {
    throw new PosternError(
      "too_large",
      `${where}: a schema is at most ${MAX_SCHEMA_BYTES} bytes, this one has ${utf8Length(text)}`,
      { limit: MAX_SCHEMA_BYTES },
    );
  }
  try {
    requireFollowable(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new PosternError("invalid_params", `${where}: ${reason.slice(0, 256)}`, {
      field: "schema",
    });
  }
  return text;
}

/**
 * Checks a value against a schema.
 *
 * @param field The parameter that the value is.
 * @param whose Whose schema it is, as a message names it.
 * @throws PosternError `invalid_params` that names the path of what is wrong.
 */
export function requireValid(
  { operation, field, whose }: {
    readonly operation: string;
    readonly field: string;
    readonly whose: string;
  },
  definition: WithSchema,
  value: unknown,
): void {
  if (definition.schema === null) return;
  // A number that JavaScript cannot hold is an object here; the schema is about a number.
  const wrong = faultOf(definition, JSON.parse(JSON.stringify(value)));
  if (wrong === null) return;
  throw new PosternError(
    "invalid_params",
    `${operation}: ${field}${wrong.path}: does not match the schema of ${whose}: ${wrong.reason}`,
    { field, path: wrong.path },
  );
}

/** Whether the value matches the definition's schema, or where and why not. */
export function faultOf(
  definition: WithSchema,
  value: unknown,
): { readonly path: string; readonly reason: string } | null {
  const validator = validatorOf(definition);
  if (validator === null) return null;
  const { valid, errors } = validator.validate(value);
  if (valid) return null;
  // The last one is the innermost: the others say that something in them is wrong.
  const { instanceLocation, error } = errors.at(-1)!;
  return { path: instanceLocation.slice(1).slice(0, 256), reason: error.slice(0, 256) };
}

function validatorOf(definition: WithSchema): Validator | null {
  let validator = validators.get(definition);
  if (validator === undefined) {
    validator = definition.schema === null
      ? null
      : new Validator(JSON.parse(definition.schema), "2020-12", true);
    validators.set(definition, validator);
  }
  return validator;
}

/** Looks into every schema within the schema. */
function requireFollowable(schema: Schema | boolean): void {
  if (typeof schema === "boolean") return;
  const lookup = dereference(schema);
  for (const part of Object.values(lookup)) {
    if (typeof part !== "object") continue;
    const { type, pattern, patternProperties, $ref, __absolute_ref__ } = part as Schema;
    for (const one of type === undefined ? [] : [type].flat()) {
      if (!TYPES.has(one)) throw new Error(`there is no type ${shown(one)}`);
    }
    for (const one of [pattern, ...Object.keys(patternProperties ?? {})]) {
      if (one !== undefined) new RegExp(one, "u");
    }
    const target = __absolute_ref__ ?? $ref;
    if (target !== undefined && !Object.hasOwn(lookup, target)) {
      throw new Error(`the reference ${shown($ref)} leads nowhere`);
    }
  }
}
