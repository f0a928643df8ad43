/**
 * Renders docs/operations.md from the registry.
 *
 * The page is derived and never edited: the docs check compares it with what this module renders.
 */

import { z } from "zod";
import { describeSchema, type JsonSchema } from "./json_schema.ts";

/** What the page needs of an operation; the registry's entries have it. */
export interface DocumentedOperation {
  readonly name: string;
  readonly summary: string;
  /** The right that a caller needs; `null` when none is needed. */
  readonly scope: string | null;
  readonly params: z.ZodType;
  readonly result: z.ZodType;
}

const HEAD = `# Operations

Everything that can be asked of the daemon. In AXON the name of an operation is the \`cmd\` of a request and
its parameters are fields of it; [protocol/axon.md](protocol/axon.md) says what else a request carries.
\`postern call <operation> [json]\` calls any of them.

This page is generated from the registry by \`deno task docs\`.
`;

/** The whole page, ending in a line feed. */
export function operationsPage(operations: readonly DocumentedOperation[]): string {
  const sections = operations.map(operationSection);
  return [HEAD, overview(operations), ...sections].join("\n").trimEnd() + "\n";
}

function overview(operations: readonly DocumentedOperation[]): string {
  const rows = operations.map(({ name, scope, summary }) =>
    row([`[\`${name}\`](#${name.replaceAll(/[^\w-]/g, "")})`, scope ?? "none", summary])
  );
  return [row(["operation", "scope", "what it does"]), "|---|---|---|", ...rows, ""].join("\n");
}

function operationSection(operation: DocumentedOperation): string {
  const { name, summary, scope } = operation;
  const params = fields(jsonSchema(operation.params, "input"), "parameter");
  const result = fields(jsonSchema(operation.result, "output"), "result");
  return [
    `## ${name}`,
    "",
    `${sentence(summary)} ${scope === null ? "No scope is needed." : `Scope: \`${scope}\`.`}`,
    "",
    ...params,
    "",
    ...result,
    "",
  ].join("\n");
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  return z.toJSONSchema(schema, { io, unrepresentable: "any" }) as JsonSchema;
}

/** A table of an object's fields, one for each of its alternatives; a line of text for anything else. */
function fields(schema: JsonSchema, what: "parameter" | "result"): string[] {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined && choices.every((choice) => choice.properties !== undefined)) {
    return choices.flatMap((choice, i) => [
      ...(i === 0 ? [] : ["", "or:", ""]),
      ...fields(choice, what),
    ]);
  }
  const entries = Object.entries(schema.properties ?? {});
  if (entries.length > 0) return fieldTable(schema, entries, what);
  const nothing = schema.type === "object";
  if (what === "parameter") {
    return [nothing ? "No parameters." : `Takes ${describeSchema(schema)}.`];
  }
  return [nothing ? "The result is an object." : `The result is ${describeSchema(schema)}.`];
}

function fieldTable(
  schema: JsonSchema,
  entries: readonly [string, JsonSchema][],
  what: "parameter" | "result",
): string[] {
  const required = new Set(schema.required ?? []);
  const rows = entries.map(([name, field]) =>
    row([
      `\`${name}\`${required.has(name) ? "" : "?"}`,
      describeSchema(field),
      field.default === undefined ? "" : `\`${JSON.stringify(field.default)}\``,
      field.description ?? "",
    ])
  );
  return [row([what, "type", "default", "meaning"]), "|---|---|---|---|", ...rows];
}

function row(cells: readonly string[]): string {
  return `| ${
    cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")
  } |`;
}

function sentence(text: string): string {
  const line = text.trim();
  return /[.!?]$/.test(line) ? line : `${line}.`;
}
