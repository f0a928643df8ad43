/**
 * JSON Schemas of records and of services' methods: read once when one is defined, asked for every value.
 *
 * A schema that could not be followed is refused when it is given, and not when it would first be asked. Draft 2020-12.
 */

import { PosternError } from "../core/errors.ts";
import { utf8Length } from "../core/text.ts";
import { checkValue, type Fault } from "./schema_check.ts";
import { type ReadSchema, readSchema } from "./schema_shape.ts";

/** Bytes of a schema as text. */
const MAX_SCHEMA_BYTES = 32 * 1024;

/** Whatever has a schema: a record's definition, a method. */
export interface WithSchema {
  /** The schema as text; `null` for none. */
  readonly schema: string | null;
}

/** By definition: whoever defines something anew has a new one. */
const schemas = new WeakMap<WithSchema, ReadSchema | null>();

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
    readSchema(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new PosternError("invalid_params", `${where}: ${reason.slice(0, 512)}`, {
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
export function faultOf(definition: WithSchema, value: unknown): Fault | null {
  const schema = schemaOf(definition);
  return schema === null ? null : checkValue(schema, value);
}

function schemaOf(definition: WithSchema): ReadSchema | null {
  let schema = schemas.get(definition);
  if (schema === undefined) {
    schema = definition.schema === null ? null : readSchema(JSON.parse(definition.schema));
    schemas.set(definition, schema);
  }
  return schema;
}
