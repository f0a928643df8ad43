/**
 * JSON Schemas of records: read once when a record is defined, asked for every value that is set.
 *
 * A schema that could not be followed is refused when it is given, and not when it would first be asked. Draft 2020-12.
 */

import { PosternError } from "../core/errors.ts";
import type { LiveRecord, RecordDefinition } from "../core/record.ts";
import { utf8Length } from "../core/text.ts";
import { checkValue, type Fault } from "./schema_check.ts";
import { type ReadSchema, readSchema } from "./schema_shape.ts";

/** Bytes of a schema as text. */
const MAX_SCHEMA_BYTES = 32 * 1024;

/** By definition: whoever defines a record anew has a new one. */
const schemas = new WeakMap<RecordDefinition, ReadSchema | null>();

/**
 * The text of a schema, once it is known to be one.
 *
 * @throws PosternError `invalid_params`, `too_large`
 */
export function schemaText(schema: unknown): string {
  const text = JSON.stringify(schema);
  if (utf8Length(text) > MAX_SCHEMA_BYTES) {
    throw new PosternError(
      "too_large",
      `record.define: a schema is at most ${MAX_SCHEMA_BYTES} bytes, this one has ${
        utf8Length(text)
      }`,
      { limit: MAX_SCHEMA_BYTES },
    );
  }
  readText(text);
  return text;
}

/**
 * Checks a value against the record's schema.
 *
 * @throws PosternError `invalid_params` that names the path of what is wrong.
 */
export function requireValid(operation: string, { definition }: LiveRecord, value: unknown): void {
  if (definition.schema === null) return;
  // A number that JavaScript cannot hold is an object here; the schema is about a number.
  const wrong = faultOf(definition, JSON.parse(JSON.stringify(value)));
  if (wrong === null) return;
  throw new PosternError(
    "invalid_params",
    `${operation}: value${wrong.path}: does not match the schema of "${definition.name}": ${wrong.reason}`,
    { field: "value", path: wrong.path },
  );
}

/** Whether the value matches the definition's schema, or where and why not. */
export function faultOf(definition: RecordDefinition, value: unknown): Fault | null {
  const schema = schemaOf(definition);
  return schema === null ? null : checkValue(schema, value);
}

function schemaOf(definition: RecordDefinition): ReadSchema | null {
  let schema = schemas.get(definition);
  if (schema === undefined) {
    schema = definition.schema === null ? null : readText(definition.schema);
    schemas.set(definition, schema);
  }
  return schema;
}

function readText(text: string): ReadSchema {
  try {
    return readSchema(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new PosternError("invalid_params", `record.define: schema: ${reason.slice(0, 512)}`, {
      field: "schema",
    });
  }
}
