/** What a record is, as operations tell it, and the list of all. */

import { z } from "zod";
import { NamePatterns } from "../core/filter.ts";
import { BUFFER_TYPES, type LiveRecord, timestampOf } from "../core/record.ts";
import { MAX_RECORDS } from "../core/records.ts";
import { JsonText } from "../core/text.ts";
import { type Context, defineOperation } from "./operation.ts";
import { topicPattern } from "./params.ts";
import { afterName, limitOf, pageOf } from "./reply_page.ts";

export const sequence = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
export const timestamp = z.string().describe('"secs.nanosecs" since the epoch');

export const metadata = z.object({
  name: z.string(),
  type_id: z.string().describe("0x and 16 hex digits of SHA-256 over name and schema"),
  buffer_type: z.enum(BUFFER_TYPES),
  buffer_capacity: z.number().int(),
  producer_count: z.number().int().describe("connections that have set it and are still there"),
  consumer_count: z.number().int().describe("subscriptions that watch it"),
  writable: z.boolean().describe("opted in to being set through remote access"),
  volatile: z.boolean().describe("values are kept in memory only"),
  sequence: sequence.describe("of the value set last; 0 before the first"),
  created_at: timestamp,
  last_update: timestamp.nullable(),
  schema: z.unknown().optional().describe("JSON Schema that values match"),
});
export type Metadata = z.infer<typeof metadata>;

export const RECORD_LIST = defineOperation({
  name: "record.list",
  summary:
    "List records by name, as many as fit a reply: ask again after the last, until it is empty.",
  scope: "read",
  params: z.object({
    pattern: topicPattern.optional().describe("of the names; all if absent"),
    after: afterName,
    limit: limitOf(MAX_RECORDS),
  }),
  result: z.array(metadata),
  handle({ pattern, after = "", limit }, context) {
    const found = listed(context.services.records.list(), { pattern, after });
    return pageOf(found, limit, (record) => listText(record, context)).list;
  },
});

export function metadataOf(record: LiveRecord, { services }: Context): Metadata {
  const { definition, createdAtMs, updatedMs } = record;
  const { name } = definition;
  return {
    name,
    type_id: definition.typeId,
    buffer_type: definition.bufferType,
    buffer_capacity: definition.capacity,
    producer_count: record.producers.size,
    consumer_count: record.watcherCount,
    writable: services.recordPolicy.isOptedIn(name, record),
    volatile: definition.volatile,
    sequence: record.sequence,
    created_at: timestampOf(createdAtMs),
    last_update: updatedMs === null ? null : timestampOf(updatedMs),
  };
}

/** With the schema as it is kept, which is JSON text already. */
export function withSchema({ definition: { schema } }: LiveRecord, metadata: Metadata): Metadata {
  return schema === null ? metadata : { ...metadata, schema: new JsonText(schema) };
}

/** A record's metadata as JSON. */
function listText(record: LiveRecord, context: Context): string {
  const { schema } = record.definition;
  const text = JSON.stringify(metadataOf(record, context));
  return schema === null ? text : `${text.slice(0, -1)},"schema":${schema}}`;
}

function* listed(
  records: readonly LiveRecord[],
  { pattern, after }: { readonly pattern: string | undefined; readonly after: string },
): Generator<LiveRecord> {
  const patterns = pattern === undefined ? null : new NamePatterns([pattern]);
  for (const record of records) {
    const { name } = record.definition;
    if (name > after && (patterns === null || patterns.matches(name))) yield record;
  }
}
