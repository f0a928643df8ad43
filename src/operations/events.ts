/** Operations on the event log: send, read, acknowledge, subscribe. */

import { z } from "zod";
import { PosternError, shown } from "../core/errors.ts";
import { isReservedTopic, type LogEvent, type NewEvent } from "../core/event.ts";
import { ALL_EVENTS, Filter, type Wanted } from "../core/filter.ts";
import type { Appended } from "../core/group_commit.ts";
import { readStretch } from "../core/read.ts";
import { JsonText, utf8Length } from "../core/text.ts";
import type { Ticket } from "../core/ticket.ts";
import { encodeEnvelope } from "./envelope.ts";
import { type Context, defineOperation, type Handled } from "./operation.ts";
import {
  boundedText,
  consumerName,
  filterFields,
  gap,
  kind,
  seq,
  storedEvent,
  topic,
  topicPatterns,
} from "./params.ts";
import { mayTake } from "./remote.ts";
import { endSubscription, subscriptionParams } from "./subscriptions.ts";

/** Channels that begin like this are those of records. */
const RECORD_CHANNEL = "record.";
/** A batch is at most this large, as it is stored. */
const MAX_BATCH_BYTES = 512 * 1024;
/** What a stored line has beyond its envelope, in bytes. */
const LINE_OVERHEAD = 64;

const messageFields = {
  kind,
  topic: topic.optional(),
  payload: z.unknown().describe("any JSON value"),
  ref: boundedText("ref", 256).nullable().optional().describe(
    "id of the message this one refers to",
  ),
  dedup_key: boundedText("dedup_key", 256).min(1).optional()
    .describe("a repeated send with the same key answers as the first one did"),
  ttl_secs: z.number().positive().optional()
    .describe("how long it may be read; capped by ipc.buffer_ttl_secs"),
};
const message = z.object({
  ...messageFields,
  to: z.never({ error: "one message of a batch has no address of its own" }).optional(),
});
type Message = Omit<z.infer<typeof message>, "to">;

/** What became of one message. */
interface Accepted {
  readonly msg_id: string;
  readonly seq?: number | undefined;
  readonly duplicate?: true | undefined;
}

/** What became of a batch: of each, and of the last one in front. */
interface Sent extends Accepted {
  readonly events?: readonly Accepted[] | undefined;
}

const accepted = {
  msg_id: z.string().describe("uuid of the envelope"),
  seq: seq.optional().describe("its place in the own log"),
  duplicate: z.literal(true).optional().describe("the dedup_key was known; nothing was appended"),
};

export const EVENT_SEND = defineOperation({
  name: "event.send",
  summary: "Append a message, or several together or not at all; answered when it is on disk.",
  scope: "send",
  pipelined: true,
  params: z.object({
    ...messageFields,
    kind: kind.optional().describe("what sort of message; required without events"),
    payload: z.unknown().optional().describe("any JSON value; required without events"),
    to: z.string().min(1).max(256).optional()
      .describe('"self" or an agent_id; the own log if absent'),
    events: z.array(message).min(1).max(10_000).optional()
      .describe("several messages instead of one, at most 512 KiB as stored"),
  }),
  result: z.object({
    ...accepted,
    events: z.array(z.object(accepted)).readonly().optional()
      .describe("of a batch: one for each, in order; msg_id and seq above are the last one's"),
  }),
  handle(params, context): Handled<Sent> {
    const { to = "self", events, kind, payload } = params;
    if (events === undefined) return sendOne(to, requireKind(params), context);
    if (kind !== undefined || payload !== undefined) {
      throw new PosternError(
        "invalid_params",
        "event.send: give either kind and payload, or events, not both",
      );
    }
    return sendBatch(to, events, context);
  },
});

function requireKind(single: Partial<Message>): Message {
  const { kind, payload } = single;
  if (kind !== undefined && payload !== undefined) return single as Message;
  const field = kind === undefined ? "kind" : "payload";
  throw new PosternError("invalid_params", `event.send: ${field}: is required, it is missing`, {
    field,
  });
}

function sendOne(to: string, sent: Message, context: Context): Handled<Sent> {
  const { services } = context;
  const event = newEvent(to, sent, context);
  if (!isSelf(to, context)) {
    return services.peers.deliver(to, event.envelope).then(() => {
      services.metrics.messagesSent++;
      return { msg_id: event.msgId };
    });
  }
  return services.log.append([event]).map(([first]): Sent => {
    if (!first!.duplicate) services.metrics.messagesSent++;
    return acceptedAs(first!);
  });
}

function sendBatch(to: string, sent: readonly Message[], context: Context): Ticket<Sent> {
  if (!isSelf(to, context)) {
    throw new PosternError(
      "invalid_params",
      `event.send: events go to the own log only, got to ${shown(to)}`,
      { field: "to" },
    );
  }
  const events = sent.map((one) => newEvent(to, one, context));
  const bytes = events.reduce((sum, event) => sum + storedBytes(event), 0);
  if (bytes > MAX_BATCH_BYTES) {
    throw new PosternError(
      "too_large",
      `event.send: a batch is at most ${MAX_BATCH_BYTES} bytes as stored, this one has ${bytes}`,
      { limit: MAX_BATCH_BYTES },
    );
  }
  return context.services.log.append(events).map((appended): Sent => {
    context.services.metrics.messagesSent += appended.filter((one) => !one.duplicate).length;
    const all = appended.map(acceptedAs);
    return { ...all.at(-1)!, events: all };
  });
}

function storedBytes({ envelope, dedupKey }: NewEvent): number {
  const keyBytes = dedupKey === null ? 0 : utf8Length(dedupKey) + LINE_OVERHEAD;
  return utf8Length(envelope) + LINE_OVERHEAD + keyBytes;
}

function acceptedAs({ msgId, seq, duplicate }: Appended): Accepted {
  return duplicate ? { msg_id: msgId, seq, duplicate } : { msg_id: msgId, seq };
}

function isSelf(to: string, { services }: Context): boolean {
  return to === "self" || to === services.identity.agentId;
}

function newEvent(to: string, sent: Message, context: Context): NewEvent {
  const { services, caller } = context;
  const { agentId } = services.identity;
  const { kind, topic = null, payload, ref = null, dedup_key, ttl_secs } = sent;
  if (isReservedTopic(topic)) {
    throw new PosternError(
      "permission_denied",
      `event.send: topics below "${topic!.split(".")[0]}" are the daemon's own, got ${
        shown(topic)
      }`,
      { field: "topic" },
    );
  }
  const msgId = services.newId();
  const envelope = encodeEnvelope({
    id: msgId,
    from: agentId,
    to: to === "self" ? agentId : to,
    ts: services.clock.now(),
    kind,
    ref,
    topic,
    originator: caller.client?.originator ?? null,
    payload,
  });
  return {
    msgId,
    kind,
    topic,
    envelope,
    ttlMs: ttl_secs === undefined ? null : ttl_secs * 1000,
    dedupKey: dedup_key === undefined ? null : `${senderOf(context)} ${dedup_key}`,
  };
}

/** Whose dedup keys they are: the client's, else its token's, else nobody's. */
function senderOf({ caller }: Context): string {
  return caller.client?.originator ?? caller.principal?.tokenId ?? "";
}

/** What every request for permission is told as. */
const REQUESTED = { kind: "notify", topic: "permission.requested" } as const;

const page = {
  limit: z.number().int().min(1).max(1000).default(50).describe("1 to 1000"),
  ...filterFields,
};

export const EVENT_INBOX = defineOperation({
  name: "event.inbox",
  summary: "Fetch what a consumer has not acknowledged, oldest first.",
  scope: "read",
  params: z.object({ consumer: consumerName.optional(), ...page }),
  result: z.object({
    messages: z.array(storedEvent),
    next_seq: seq.nullable().describe("highest seq of this reply, or null"),
    has_more: z.boolean().describe("whether more is there beyond limit or the size of a reply"),
    gap: gap.optional(),
  }),
  async handle({ consumer: name, limit, kinds, topics }, { services, caller }) {
    const { log, consumers } = services;
    const consumer = consumers.find(name ?? caller.consumer);
    const { events, hasMore, gap } = await readStretch(log, {
      after: consumer?.ackedSeq ?? 0,
      filter: filterOf({ kinds, topics }),
      limit,
    });
    const last = events.at(-1)?.seq ?? null;
    // A gap is told as well, and who has seen it may acknowledge it.
    const told = last ?? gap?.to_seq ?? null;
    if (told !== null) {
      const reader = consumer ?? consumers.open(name ?? caller.consumer);
      // A full disk must not keep anyone from reading; it only costs the bound.
      await reader.reserve(told)?.promise().catch(() => {});
      reader.delivered(told);
    }
    const messages = asMessages(events);
    return { messages, next_seq: last, has_more: hasMore, ...(gap === null ? {} : { gap }) };
  },
});

export const EVENT_ACK = defineOperation({
  name: "event.ack",
  summary: "Acknowledge everything up to a seq that was delivered to the consumer.",
  scope: "read",
  pipelined: true,
  params: z.object({ consumer: consumerName.optional(), up_to_seq: seq }),
  result: z.object({ acked_seq: seq }),
  handle({ consumer, up_to_seq }, { services, caller }) {
    const acked = services.consumers.ack(consumer ?? caller.consumer, up_to_seq);
    return acked.map((acked_seq) => ({ acked_seq }));
  },
});

export const EVENT_READ = defineOperation({
  name: "event.read",
  summary: "Read the log from a seq on, without a consumer.",
  scope: "read",
  params: z.object({
    after: seq.default(0).describe("the seq before the first one wanted"),
    ...page,
  }),
  result: z.object({
    events: z.array(storedEvent),
    has_more: z.boolean(),
    gap: gap.optional(),
  }),
  async handle({ after, limit, kinds, topics }, { services }) {
    requireInLog("event.read: after", after, services.log.head);
    const filter = filterOf({ kinds, topics });
    const { events, hasMore, gap } = await readStretch(services.log, { after, filter, limit });
    return { events: asMessages(events), has_more: hasMore, ...(gap === null ? {} : { gap }) };
  },
});

export const EVENT_SUBSCRIBE = defineOperation({
  name: "event.subscribe",
  summary: "Stream events on this connection: what is there, then what comes.",
  scope: "read",
  params: z.object({
    consumer: consumerName.nullable().optional()
      .describe("whose cursor; this connection's if absent, null for a reader without one"),
    ...filterFields,
    channels: topicPatterns.optional()
      .describe(
        "patterns of the channel: an event's topic, event.<kind> where it has none, record.<name> for a record; only the name itself takes from a mailbox",
      ),
    replay: z.boolean().default(true).describe("whether to begin with what is there already"),
    since: seq.optional().describe(
      "replay from behind this seq instead of the consumer's acked_seq",
    ),
  }),
  result: z.object({
    subscription_id: z.string(),
    replayed: z.number().int().describe("how many events the replay will send"),
    replay_to_seq: seq.describe("the last seq of the replay"),
  }),
  async handle({ consumer: name, kinds, topics, channels, replay, since }, context) {
    const { services: { log, consumers }, caller } = context;
    const replayTo = log.head;
    if (since !== undefined) requireInLog("event.subscribe: since", since, replayTo);
    const consumer = name === null ? null : consumers.open(name ?? caller.consumer);
    const filter = filterOf({ kinds, topics, channels });
    const after = replay ? since ?? consumer?.ackedSeq ?? 0 : replayTo;
    const replayed = await log.count(after + 1, replayTo, filter);
    const reminders = remindersOf(after, filter, context);
    const records = (channels ?? []).filter((channel) => channel.startsWith(RECORD_CHANNEL))
      .map((channel) => channel.slice(RECORD_CHANNEL.length));
    const subscription_id = caller.subscribe({
      consumer: consumer?.name ?? null,
      filter,
      records,
      mayTake: (name) => mayTake(name, context),
      from: after + 1,
      replayTo,
      reminders: reminders.events,
    });
    const told = replayed + reminders.count;
    return { subscription_id, replayed: told, replay_to_seq: replayTo };
  },
});

export const EVENT_UNSUBSCRIBE = defineOperation({
  name: "event.unsubscribe",
  summary: "End a subscription of this connection; nothing of it follows the reply.",
  scope: "read",
  params: subscriptionParams,
  result: z.object({}),
  handle: (params, context) => endSubscription("event.unsubscribe", params, context),
});

/** What the caller is to act on, though it lies before the place from which it reads, or is lost. */
function remindersOf(
  after: number,
  filter: Filter,
  { services: { log, permissions }, caller }: Context,
): { readonly count: number; readonly events: Iterable<LogEvent> } {
  const place = Math.max(after, log.counters.front - 1);
  // Whoever reads a whole log is told by that.
  if (caller.client === null || place === 0 || !filter.matches(REQUESTED)) {
    return { count: 0, events: [] };
  }
  const { originator } = caller.client;
  const ids = permissions.reminders(originator, place);
  // Made as they are told: whoever does not read holds their ids only.
  const events = ids.values().map((id) => permissions.reminder(id, originator, place))
    .filter((event) => event !== null);
  return { count: ids.length, events };
}

function filterOf(wanted: Wanted): Filter {
  const { kinds, topics, channels } = wanted;
  return kinds === undefined && topics === undefined && channels === undefined
    ? ALL_EVENTS
    : new Filter(wanted);
}

/** A place beyond the head was read from another log: to wait there would lose events silently. */
function requireInLog(what: string, given: number, head: number): void {
  if (given <= head) return;
  throw new PosternError(
    "invalid_params",
    `${what} must not be beyond ${head}, the head of this log, got ${given}; compare its epoch`,
    { head_seq: head },
  );
}

function asMessages(events: readonly LogEvent[]): z.infer<typeof storedEvent>[] {
  const lines = events.map(({ seq, bufferedAtMs, envelope }) =>
    `{"seq":${seq},"buffered_at_ms":${bufferedAtMs},"envelope":${envelope}}`
  );
  // The envelopes are JSON text already; the codec puts the text into the reply as it is.
  return new JsonText(`[${lines.join(",")}]`) as unknown as z.infer<typeof storedEvent>[];
}
