/**
 * Renders docs/configuration.md from the schema of the configuration.
 *
 * The page is derived and never edited: the docs check compares it with what this module renders. What each key is
 * for is said once, in the template that `postern init` writes.
 */

import { z } from "zod";
import { describeSchema, type JsonSchema } from "./json_schema.ts";

/** What is known of the keys beside their schema. */
export interface KeyFacts {
  /** What each key is for, by its dotted name. */
  readonly about: Readonly<Record<string, string>>;
  /** Sections and keys that SIGHUP takes over. */
  readonly reloadable: ReadonlySet<string>;
  /** Keys, or sections, that are checked and do nothing yet. */
  readonly withoutEffect: readonly string[];
  /** Environment variables by the key that they stand for. */
  readonly variables: Readonly<Record<string, string>>;
}

const HEAD = `# Configuration

\`config.jsonc\` in the runtime directory: JSON with comments. Every key is optional, and an unknown one is
an error that names the nearest. \`postern init\` writes a file to start from, \`postern config check\` looks
one over, and \`postern config show\` says what holds and where it comes from.

SIGHUP re-reads the token, whose file is made anew if it is missing, and the keys that are marked "reload";
any other change needs a restart, and the daemon says so. A file without a token in it changes nothing. A key marked "no effect yet" is checked and belongs to a part that is still to come.
[deployment.md](deployment.md) has the keys of a daemon for a whole system in use.

This page is generated from the schema by \`deno task docs\`.
`;

const TAIL = `## Environment

These win over the file.

| variable | stands for |
|---|---|
`;

/** Variables that stand for no key. */
const OTHER_VARIABLES = [
  ["POSTERN_DIR", "the runtime directory"],
  ["POSTERN_SOCKET_PATH", "the path of `postern.sock`; `http.sock` lies beside it"],
  ["NO_COLOR", "no colour on terminals"],
];

/** The units that a key's name ends in. */
const UNITS: Readonly<Record<string, string>> = {
  ms: "milliseconds",
  secs: "seconds",
  days: "days",
  bytes: "bytes",
  cap: "bytes",
};

interface Leaf {
  readonly name: string;
  readonly schema: JsonSchema;
}

/**
 * The whole page, ending in a line feed.
 *
 * @throws {Error} when a key has no word on what it is for.
 */
export function configurationPage(schema: z.ZodType, facts: KeyFacts): string {
  const whole = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema;
  const leaves = leavesOf(whole, "");
  const sections = Map.groupBy(leaves, ({ name }) => name.includes(".") ? name.split(".")[0]! : "");
  const tables = [...sections].map(([section, keys]) =>
    [section === "" ? "" : `## ${section}\n\n`, ...HEADER, ...keys.map((key) => rowOf(key, facts))]
      .join("")
  );
  const variables = Object.entries(facts.variables).map(([key, name]) => [name, `\`${key}\``]);
  const environment = [...variables, ...OTHER_VARIABLES].map((cells) =>
    row([
      `\`${cells[0]}\``,
      cells[1]!,
    ])
  );
  return [HEAD, ...tables, TAIL + environment.join("")].join("\n");
}

const HEADER = [row(["key", "value", "unit", "default", "what for"]), "|---|---|---|---|---|\n"];

function leavesOf({ properties = {} }: JsonSchema, prefix: string): Leaf[] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    const name = `${prefix}${key}`;
    return schema.properties === undefined ? [{ name, schema }] : leavesOf(schema, `${name}.`);
  });
}

function rowOf({ name, schema }: Leaf, facts: KeyFacts): string {
  const about = facts.about[name];
  if (about === undefined) throw new Error(`nothing says what the key "${name}" is for`);
  const isIn = (keys: Iterable<string>) =>
    [...keys].some((key) => name === key || name.startsWith(`${key}.`));
  const marks = [
    ...(isIn(facts.reloadable) ? ["reload"] : []),
    ...(isIn(facts.withoutEffect) ? ["no effect yet"] : []),
  ];
  return row([
    `\`${name}\``,
    describeSchema(schema),
    unitOf(name),
    `\`${JSON.stringify(schema.default)}\``,
    `${about}${marks.length === 0 ? "" : ` (${marks.join(", ")})`}`,
  ]);
}

function unitOf(name: string): string {
  if (name.startsWith("limits.rate.")) return "operations a second";
  return UNITS[name.split("_").at(-1)!] ?? "";
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
}
