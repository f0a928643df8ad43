/** `postern record`: named live values. One entry for each thing that can be done to them. */

import { shown } from "../../client/errors.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { forEach } from "../for_each.ts";
import { readAllInput, readNamedFile } from "../input.ts";
import { objectText, requireJson } from "../json_argument.ts";
import { definitionLine, historyText, recordTable, valueText } from "../record_format.ts";
import { listRecords } from "../record_list.ts";
import { withRecordNames } from "../record_names.ts";
import { requirePattern } from "../record_pattern.ts";
import { withClient } from "../session.ts";
import { suggestion } from "../suggestion.ts";

/** More than the daemon takes. */
const MAX_SCHEMA_BYTES = 1_048_576;
const MAX_VALUES = 10_000;

/** One thing that can be done. */
interface Action {
  readonly usage: string;
  /** How many arguments stand behind its name, at least and at most. */
  readonly arguments: readonly [number, number];
  /** Which of the command's options it takes. */
  readonly options: readonly string[];
  /** @returns the exit code; the context has the arguments behind the action's name. */
  run(context: Context): Promise<number>;
}

const ACTIONS: Readonly<Record<string, Action>> = {
  list: { usage: "list [pattern]", arguments: [0, 1], options: [], run: list },
  get: { usage: "get <name>", arguments: [1, 1], options: [], run: get },
  set: {
    usage: "set <name> [json | -] [--if-sequence N]",
    arguments: [1, 2],
    options: ["if-sequence"],
    run: set,
  },
  define: {
    usage: "define <name> [--type TYPE] [--capacity N] [--schema PATH|JSON] ...",
    arguments: [1, 1],
    options: ["type", "capacity", "schema", "writable", "volatile"],
    run: define,
  },
  history: {
    usage: "history <name> [--limit N]",
    arguments: [1, 1],
    options: ["limit"],
    run: history,
  },
  rm: { usage: "rm <name>...", arguments: [1, Infinity], options: [], run: remove },
  watch: {
    usage: "watch <pattern>... [--queue N] [--no-initial]",
    arguments: [1, 32],
    options: ["queue", "no-initial"],
    run: async (context) => await (await import("../record_watch.ts")).watchRecords(context),
  },
};

export const command: Command = {
  name: "record",
  usage: Object.values(ACTIONS).map(({ usage }) => usage),
  summary: "List, read, set, define and watch records: named live values.",
  details: [
    "A pattern is a name, or as in sensor.* and sensor.>. Without JSON, or for -, set reads stdin.",
    "watch shows a table that follows; in a pipe, or with --json, each update is a line. A value",
    "of a mailbox is given to one watcher only, and is then gone. MISSED counts the values of a",
    "record that were not told here, because newer ones had come before they could be.",
  ],
  options: [
    {
      name: "if-sequence",
      value: "N",
      help: "set only if the record is at this sequence; 0: none",
    },
    {
      name: "type",
      value: "TYPE",
      choices: ["single_latest", "spmc_ring", "mailbox"],
      help: "single_latest, spmc_ring or mailbox (single_latest)",
    },
    { name: "capacity", value: "N", help: "values that an spmc_ring keeps (100)" },
    { name: "schema", value: "PATH|JSON", help: "JSON Schema that values must match" },
    { name: "writable", help: "may be set through remote access" },
    { name: "volatile", help: "values in memory only" },
    { name: "limit", short: "n", value: "N", help: "at most so many of the last values (100)" },
    { name: "queue", value: "N", help: "updates that wait before the oldest is dropped" },
    { name: "no-initial", help: "only what comes, not what there is" },
  ],
  examples: [
    'record define sensor.temp --type spmc_ring --capacity 50 --schema \'{"type": "number"}\'',
    "record set sensor.temp 21.5",
    "record watch 'sensor.>' --json | jq .value",
  ],
  arguments: [1, Infinity],
  takesJson: true,
  choices: Object.keys(ACTIONS),
  async run(context) {
    const [name = "", ...args] = context.args;
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name]! : null;
    if (action === null) {
      const known = Object.keys(ACTIONS);
      const meant = suggestion(name, known);
      throw new UsageError(`one of ${known.join(", ")}; not ${shown(name)}${meant}`);
    }
    requireFitting(name, action, { ...context, args });
    return await action.run({ ...context, args });
  },
};

/** That an action has the arguments it needs, and no option that is for another. */
function requireFitting(name: string, action: Action, { args, values }: Context): void {
  const [least, most] = action.arguments;
  if (args.length < least) throw new UsageError(`${name} needs ${action.usage.split(" ")[1]}`);
  if (args.length > most) throw new UsageError(`unexpected argument ${shown(args[most])}`);
  const stray = command.options.find((option) =>
    values.has(option.name) && !action.options.includes(option.name)
  );
  if (stray !== undefined) throw new UsageError(`${name} has no option --${stray.name}`);
}

function list(context: Context): Promise<number> {
  const pattern = requirePattern(context.args[0] ?? ">");
  return withClient(context, async (client) => {
    const records = await listRecords(client, pattern);
    await context.out.result({ records }, () => recordTable(records));
    return EXIT.ok;
  });
}

function get(context: Context): Promise<number> {
  const [name = ""] = context.args;
  return withClient(context, async (client) => {
    const found = await withRecordNames(client, [name], () => client.call("record.get", { name }));
    await context.out.result(found, ({ value }) => valueText(value, context.out));
    return EXIT.ok;
  });
}

async function set(context: Context): Promise<number> {
  const [name = "", argument] = context.args;
  const expected = context.values.integer("if-sequence", [0, Number.MAX_SAFE_INTEGER]);
  const value = await readValue(argument);
  const params = objectText({
    name: JSON.stringify(name),
    value,
    if_sequence: JSON.stringify(expected),
  });
  return await withClient(context, async (client) => {
    const place = await withRecordNames(client, [name], () => client.call("record.set", params));
    await context.out.result(place, ({ sequence }) => `set as ${sequence}`);
    return EXIT.ok;
  });
}

async function readValue(argument: string | undefined): Promise<string> {
  if (argument === undefined && Deno.stdin.isTerminal()) {
    throw new UsageError("set needs a value: JSON, or a pipe that brings it");
  }
  const text = argument === undefined || argument === "-" ? await readAllInput() : argument;
  requireJson(text, "the value");
  return text;
}

async function define(context: Context): Promise<number> {
  const { args: [name], values } = context;
  const params = objectText({
    name: JSON.stringify(name),
    buffer_type: JSON.stringify(values.text("type")),
    capacity: JSON.stringify(values.integer("capacity", [1, MAX_VALUES])),
    schema: schemaText(values.text("schema")),
    writable: String(values.flag("writable")),
    volatile: String(values.flag("volatile")),
  });
  return await withClient(context, async (client) => {
    await context.out.result(await client.call("record.define", params), definitionLine);
    return EXIT.ok;
  });
}

/** A schema as it is written, on the command line or in a file. */
function schemaText(given: string | undefined): string | undefined {
  if (given === undefined) return undefined;
  const isJson = /^\s*[{[]/.test(given) || given === "true" || given === "false";
  const text = isJson ? given : readNamedFile(given, MAX_SCHEMA_BYTES);
  requireJson(text, "the schema");
  return text;
}

function history(context: Context): Promise<number> {
  const [name = ""] = context.args;
  const limit = context.values.integer("limit", [1, MAX_VALUES]);
  return withClient(context, async (client) => {
    const params = limit === undefined ? { name } : { name, limit };
    const found = await withRecordNames(client, [name], () => {
      return client.call("record.history", params);
    });
    await context.out.result(found, () => historyText(found, context.out));
    return EXIT.ok;
  });
}

/** Removes all that can be removed, and fails in the end if that was not all. */
function remove(context: Context): Promise<number> {
  return withClient(context, async (client) => {
    await forEach(context.args, async (name) => {
      await withRecordNames(client, [name], () => client.call("record.remove", { name }));
      await context.out.result({ removed: name }, () => `removed ${name}`);
    });
    return EXIT.ok;
  });
}
