/** `postern send`: one message from the command line, or a stream of them from stdin or a file. */

import type { Receipt } from "../../client/mod.ts";
import { KINDS } from "../../core/kinds.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { readAllInput } from "../input.ts";
import { requireJson } from "../json_argument.ts";
import { withKinds } from "../kinds.ts";
import { type Defaults, messageFromFields } from "../message.ts";
import { bytesOf, withProgress } from "../progress.ts";
import { StreamSender, type StreamSummary } from "../send_stream.ts";
import { withClient } from "../session.ts";

const MAX_TTL_SECS = Number.MAX_SAFE_INTEGER;

export const command: Command = {
  name: "send",
  usage: [
    "<kind> [payload-json | -] [--topic TOPIC] [--to ID] ...",
    "--stdin [kind] [--topic TOPIC] ...   (one JSON object a line)",
    "--file PATH [kind] [--topic TOPIC] ...",
  ],
  summary: "Send a message, or a stream of them; it is on disk when this succeeds.",
  details: [
    "A line of a stream has any of kind, payload, topic, to, ref, dedup_key, ttl_secs; the",
    "options, and the kind notify, stand in where it lacks them. Of the lines that are not stored",
    "the first 10 are named and the rest counted; the others are sent all the same, and the exit",
    "code is 1. With --json every line is answered by {line, seq, msg_id} or {line, error}, and",
    "a summary ends it.",
  ],
  options: [
    { name: "topic", value: "TOPIC", help: "what it is about, such as build.done" },
    { name: "to", value: "ID", help: 'the receiving agent ("self", this daemon)' },
    { name: "ref", value: "ID", help: "the message that this one answers" },
    { name: "dedup-key", value: "KEY", help: "sent again with this key, it is stored once" },
    { name: "ttl", value: "SECS", help: "how long it may be read" },
    { name: "stdin", help: "read messages from stdin, one a line" },
    { name: "file", value: "PATH", help: "read messages from a file, one a line" },
  ],
  examples: [
    `send notify '{"ok": true}' --topic build.done`,
    "send query - --topic review < question.json",
    "send --stdin --topic import < events.ndjson",
  ],
  arguments: [0, 2],
  choices: KINDS,
  async run(context) {
    const { values } = context;
    const file = values.text("file");
    if (!values.flag("stdin") && file === undefined) return await sendOne(context);
    if (values.flag("stdin") && file !== undefined) {
      throw new UsageError("--stdin and --file cannot be combined");
    }
    return await sendStream(context, file);
  },
};

async function sendOne(context: Context): Promise<number> {
  const [kind, argument] = context.args;
  if (kind === undefined) throw new UsageError("<kind> is missing");
  const payload = argument === "-" ? await readAllInput() : argument ?? "null";
  requireJson(payload, "the payload");
  const params = messageFromFields({ ...fieldsOf(context, kind), payload });
  return await withClient(context, async (client) => {
    const receipt = await withKinds([kind], () => client.call<Receipt>("send", params));
    await context.out.result(receipt, toText);
    return EXIT.ok;
  });
}

function toText({ msg_id, seq, duplicate }: Receipt): string {
  if (duplicate) return `stored before as ${seq}  ${msg_id}`;
  return seq === undefined ? `delivered  ${msg_id}` : `stored as ${seq}  ${msg_id}`;
}

async function sendStream(context: Context, file: string | undefined): Promise<number> {
  const { args, out } = context;
  if (args.length > 1) throw new UsageError("the payloads of a stream stand in its lines");
  const kind = args[0] ?? "notify";
  const defaults = { ...fieldsOf(context, kind), payload: "null" };
  const input = file === undefined ? Deno.stdin.readable : await openInput(file);
  return await withClient(context, async (client) => {
    const sender = new StreamSender(client, { kind, defaults }, out);
    const total = bytesOf(file ?? "/dev/stdin");
    const sent = () => sender.summary.sent;
    const summary = await sender.sendAll(withProgress(input, { out, total, sent }));
    await out.clearPassing();
    await out.result(summary, summaryText);
    if (sender.fatal !== null) throw sender.fatal;
    return summary.refused > 0 ? EXIT.failed : EXIT.ok;
  });
}

async function openInput(path: string): Promise<ReadableStream<Uint8Array>> {
  try {
    return (await Deno.open(path)).readable;
  } catch (error) {
    throw new UsageError(`--file cannot be read: ${(error as Error).message}`);
  }
}

function summaryText(summary: StreamSummary): string {
  const { sent, duplicates, refused, unknown, first_seq, last_seq, unread_from } = summary;
  const parts = [`${sent} sent`];
  if (first_seq !== null) parts[0] += ` as ${first_seq} to ${last_seq}`;
  if (duplicates > 0) parts.push(`${duplicates} of them stored before`);
  if (refused > 0) parts.push(`${refused} not stored`);
  if (unknown > 0) parts.push(`${unknown} without a reply`);
  if (unread_from !== null) parts.push(`nothing read from line ${unread_from} on`);
  return parts.join(", ");
}

/** The options as fields of a message, each as JSON text. */
function fieldsOf({ values }: Context, kind: string): Defaults {
  const ttl = values.integer("ttl", [1, MAX_TTL_SECS]);
  const fields: Record<string, unknown> = {
    kind,
    to: values.text("to") ?? "self",
    topic: values.text("topic"),
    ref: values.text("ref"),
    dedup_key: values.text("dedup-key"),
    ttl_secs: ttl,
  };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, JSON.stringify(value)]));
}
