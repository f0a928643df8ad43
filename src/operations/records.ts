/** Operations on records: named live values. */

import { z } from "zod";
import { PosternError, shown } from "../core/errors.ts";
import { isTopic, isTopicPattern } from "../core/event.ts";
import {
  BUFFER_TYPES,
  type LiveRecord,
  type RecordDefinition,
  type RecordUpdate,
} from "../core/record.ts";
import { isOwnRecord, MAX_CAPACITY } from "../core/records.ts";
import { JsonText } from "../core/text.ts";
import { faultOf, requireValid, schemaText } from "./json_schema.ts";
import { defineOperation } from "./operation.ts";
import { metadata, metadataOf, sequence, timestamp, withSchema } from "./record_metadata.ts";
import { hasMore, lastPageOf, limitOf } from "./reply_page.ts";
import { mayTake } from "./remote.ts";
import { endSubscription, subscriptionParams } from "./subscriptions.ts";

/** What a type id looks like; no name may look like one. */
const TYPE_ID = /^0x[0-9a-f]{16}$/;

const recordName = z.string()
  .refine(isTopic, {
    error: "a record's name must be dot-separated segments of [A-Za-z0-9_-], at most 256 bytes",
  })
  .refine((name) => !TYPE_ID.test(name), { error: "a record's name must not look like a type_id" });

const reference = z.string().min(1).max(256);

/** A record by its name or type id; AimX calls the same field by either name. */
const named = {
  name: reference.optional().describe("name or type_id"),
  record: reference.optional().describe("the same; give one of them"),
};

const value = z.unknown().describe("any JSON value");

export const RECORD_DEFINE = defineOperation({
  name: "record.define",
  summary: "Define a record; the same definition again changes nothing.",
  scope: "admin",
  changesRecord: true,
  params: z.object({
    name: recordName,
    buffer_type: z.enum(BUFFER_TYPES).default("single_latest").describe(
      "the latest value; the last capacity values; or one slot until a watcher takes it",
    ),
    capacity: z.number().int().min(1).max(MAX_CAPACITY).optional()
      .describe(`values of an spmc_ring, 1 to ${MAX_CAPACITY}; 100 if absent; 1 for the others`),
    schema: z.union([z.record(z.string(), z.unknown()), z.boolean()]).optional()
      .describe("JSON Schema (2020-12) that values must match; at most 32 KiB"),
    writable: z.boolean().default(false).describe("opt in to being set through remote access"),
    volatile: z.boolean().default(false).describe("keep values in memory only"),
  }),
  result: metadata,
  async handle(params, context) {
    const definition = await definitionOf(params);
    requireOthers("record.define", definition.name);
    const requireFits = (record: LiveRecord) => requireMatched(record, definition);
    const record = await context.services.records.define(definition, requireFits).promise();
    return withSchema(record, metadataOf(record, context));
  },
});

export const RECORD_GET = defineOperation({
  name: "record.get",
  summary: "Read a record's value.",
  scope: "read",
  params: z.object(named),
  result: z.object({ value, timestamp, sequence }),
  handle(params, { services: { records } }) {
    const record = records.get("record.get", referenceOf("record.get", params));
    const latest = records.latest(record);
    if (latest === null) {
      throw new PosternError(
        "no_value",
        `record.get: "${record.definition.name}" holds no value`,
        { sequence: record.sequence },
      );
    }
    return { value: asJson(latest.value), ...placeOf(latest) };
  },
});

export const RECORD_SET = defineOperation({
  name: "record.set",
  summary:
    "Set a record's value; answered when it is on disk, or at once where the record is volatile.",
  scope: "write",
  pipelined: true,
  changesRecord: true,
  params: z.object({
    ...named,
    value,
    if_sequence: sequence.optional()
      .describe("set only if the present value has this sequence; 0 for none yet"),
  }),
  result: z.object({ sequence, timestamp }),
  handle(params, { services: { records }, caller }) {
    const record = records.get("record.set", referenceOf("record.set", params));
    if (params.value === undefined) {
      throw new PosternError("invalid_params", "record.set: value: is required, it is missing", {
        field: "value",
      });
    }
    requireOthers("record.set", record.definition.name);
    const mayBegin = () => {
      const whose = `"${record.definition.name}"`;
      const asked = { operation: "record.set", field: "value", whose };
      requireValid(asked, record.definition, params.value);
      caller.producer.uses(record);
    };
    return record.set(
      JSON.stringify(params.value),
      params.if_sequence,
      mayBegin,
    ).map(placeOf);
  },
});

export const RECORD_HISTORY = defineOperation({
  name: "record.history",
  summary: "Read the last values of an spmc_ring, oldest first.",
  scope: "read",
  params: z.object({
    ...named,
    limit: limitOf(MAX_CAPACITY, { told: "the newest", usual: 100 }),
  }),
  result: z.object({
    values: z.array(z.object({ value, timestamp, sequence })),
    has_more: hasMore,
  }),
  handle(params, { services: { records } }) {
    const record = records.get("record.history", referenceOf("record.history", params));
    const { name, bufferType, capacity } = record.definition;
    if (bufferType !== "spmc_ring") {
      throw new PosternError(
        "no_value",
        `record.history: "${name}" is a ${bufferType} and keeps no history; an spmc_ring does`,
        { buffer_type: bufferType },
      );
    }
    const page = lastPageOf(record.history(capacity), params.limit, valueText);
    return { values: page.list, has_more: page.hasMore };
  },
});

export const RECORD_SUBSCRIBE = defineOperation({
  name: "record.subscribe",
  summary: "Stream a record's updates, or those of all but mailboxes that a pattern matches.",
  scope: "read",
  params: z.object({
    ...named,
    queue_size: z.number().int().min(1).max(100_000).optional().describe(
      "updates that may wait for a slow reader before the oldest is dropped; records.queue_size if absent",
    ),
    send_initial: z.boolean().default(true).describe("begin with what the records hold"),
  }),
  result: z.object({ subscription_id: z.string(), queue_size: z.number().int() }),
  handle(params, context) {
    const { services: { records, limits }, caller } = context;
    const given = referenceOf("record.subscribe", params);
    const record = records.find(given);
    if (record === undefined && !isTopicPattern(given)) {
      throw new PosternError(
        "invalid_params",
        `record.subscribe: name: must be a name, a type_id or a pattern of names, got ${
          shown(given)
        }`,
        { field: "name" },
      );
    }
    if (record === undefined && isTopic(given)) records.get("record.subscribe", given);
    const { queue_size: queueSize = limits.recordQueueSize, send_initial: sendInitial } = params;
    const pattern = record?.definition.name ?? given;
    if (record?.definition.bufferType === "mailbox" && !mayTake(pattern, context)) {
      throw new PosternError(
        "permission_denied",
        `record.subscribe: to take from the mailbox ${
          shown(pattern)
        } remotely needs what setting it does: the scope "write", the policy and the opt-in`,
        { field: "name" },
      );
    }
    const subscription_id = caller.watchRecords({
      pattern,
      queueSize,
      sendInitial,
      mayTake: (name) => mayTake(name, context),
    });
    return { subscription_id, queue_size: queueSize };
  },
});

export const RECORD_UNSUBSCRIBE = defineOperation({
  name: "record.unsubscribe",
  summary: "End a subscription of this connection; nothing of it follows the reply.",
  scope: "read",
  params: subscriptionParams,
  result: z.object({}),
  handle: (params, context) => endSubscription("record.unsubscribe", params, context),
});

export const RECORD_REMOVE = defineOperation({
  name: "record.remove",
  summary: "Remove a record with all its values; a record of the same name begins at 1 again.",
  scope: "admin",
  changesRecord: true,
  params: z.object(named),
  result: z.object({}),
  handle(params, { services: { records } }) {
    const record = records.get("record.remove", referenceOf("record.remove", params));
    requireOthers("record.remove", record.definition.name);
    return records.remove(record).map(() => ({}));
  },
});

/** What is asked for by one of two names. */
function referenceOf(
  operation: string,
  { name, record }: { readonly name?: string | undefined; readonly record?: string | undefined },
): string {
  const given = name ?? record;
  if (given !== undefined && (name === undefined || record === undefined || name === record)) {
    return given;
  }
  const seen = given === undefined ? "it is missing" : "got two different ones";
  throw new PosternError(
    "invalid_params",
    `${operation}: name: give a record's name or type_id, as "name" or as "record", ${seen}`,
    { field: "name" },
  );
}

/** The daemon's own records are nobody else's to change. */
function requireOthers(operation: string, name: string): void {
  if (!isOwnRecord(name)) return;
  throw new PosternError(
    "permission_denied",
    `${operation}: records below "${name.split(".", 1)[0]}" are the daemon's own, got ${
      shown(name)
    }`,
    { field: "name" },
  );
}

async function definitionOf(
  params: z.infer<typeof RECORD_DEFINE.params>,
): Promise<RecordDefinition> {
  const { name, buffer_type: bufferType, schema, writable, volatile } = params;
  const isRing = bufferType === "spmc_ring";
  if (!isRing && (params.capacity ?? 1) !== 1) {
    throw new PosternError(
      "invalid_params",
      `record.define: capacity: must be 1 for a ${bufferType}, got ${params.capacity}`,
      { field: "capacity" },
    );
  }
  const text = schema === undefined ? null : schemaText("record.define: schema", schema);
  const typeId = await typeIdOf(name, text);
  const capacity = isRing ? params.capacity ?? 100 : 1;
  return { name, typeId, bufferType, capacity, schema: text, writable, volatile };
}

/** `0x` and 16 hex digits of SHA-256 over name and schema. */
export async function typeIdOf(name: string, schema: string | null): Promise<string> {
  const bytes = new TextEncoder().encode(`${name}\n${schema ?? ""}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `0x${digest.slice(0, 8).toHex()}`;
}

/** @throws PosternError `conflict` when what the record holds does not match a new definition's schema. */
function requireMatched({ latest }: LiveRecord, definition: RecordDefinition): void {
  const fault = latest === null ? null : faultOf(definition, JSON.parse(latest.value));
  if (fault === null) return;
  throw new PosternError(
    "conflict",
    `record.define: schema: the present value of ${shown(definition.name)} does not match it` +
      ` at ${fault.path || "its root"}: ${fault.reason}`,
    { field: "schema", path: fault.path },
  );
}

function placeOf({ sequence, timestamp }: RecordUpdate): { sequence: number; timestamp: string } {
  return { sequence, timestamp };
}

function valueText({ value, sequence, timestamp }: RecordUpdate): string {
  return `{"value":${value},"timestamp":"${timestamp}","sequence":${sequence}}`;
}

/** Values are JSON text already; the codec puts the text into the reply as it is. */
function asJson(text: string): unknown {
  return new JsonText(text);
}
