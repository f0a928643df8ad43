/** Operations on the daemon itself. */

import { z } from "zod";
import { IPC_VERSION } from "../core/version.ts";
import { defineOperation, type Operation } from "./operation.ts";
import { clientId, clientKind, identify, identityFields } from "./clients.ts";
import { consumerName, seq } from "./params.ts";

export const SYSTEM_HELLO = defineOperation({
  name: "system.hello",
  summary: "Greet the daemon and name the consumer of this connection.",
  scope: null,
  handshake: true,
  params: z.object({
    consumer: consumerName.optional().describe(
      'whose cursor this connection uses; "default" if absent',
    ),
    client_kind: clientKind.optional().describe(
      "what sort of client it is; with it the connection has an identity, as soon as it is authenticated",
    ),
    client_id: clientId.optional().describe("the secret that an earlier hello answered"),
  }),
  result: z.object({
    version: z.string().describe("the daemon's version"),
    epoch: z.string().describe("names the log; seqs of another epoch mean nothing here"),
    agent_id: z.string(),
    features: z.array(z.string()),
    ...identityFields,
  }),
  handle({ consumer, client_kind, client_id }, context) {
    const { services, caller } = context;
    caller.greet(consumer ?? "default");
    caller.claim = client_kind === undefined
      ? null
      : { kind: client_kind, clientId: client_id ?? null };
    const { identity, log, features } = services;
    return {
      ...identify(context),
      version: identity.version,
      epoch: log.epoch,
      agent_id: identity.agentId,
      features: [...features],
    };
  },
});

export const SYSTEM_PING = defineOperation({
  name: "system.ping",
  summary: "See that the daemon answers.",
  scope: null,
  handshake: true,
  params: z.object({}),
  result: z.object({ pong: z.literal(true), timestamp: z.number().describe("epoch milliseconds") }),
  handle: (_params, { services }) => ({ pong: true as const, timestamp: services.clock.now() }),
});

export const ECHO_PING = defineOperation({
  name: "echo.ping",
  summary:
    "See that the daemon answers, and what it was asked; for clients of the CheetahClaws note.",
  scope: "read",
  params: z.looseObject({}),
  result: z.object({
    pong: z.literal(true),
    ts: z.number().describe("epoch seconds"),
    echo: z.unknown().describe("the parameters"),
  }),
  handle: (params, { services }) => ({
    pong: true as const,
    ts: services.clock.now() / 1000,
    echo: params,
  }),
});

const componentState = z.enum(["ok", "failing"]);

export const SYSTEM_STATUS = defineOperation({
  name: "system.status",
  summary: "Health, uptime, connections and counts.",
  scope: null,
  params: z.object({}),
  result: z.object({
    version: z.string(),
    epoch: z.string(),
    uptime: z.number().describe("seconds"),
    uptime_secs: z.number().int(),
    connections: z.number().int(),
    services: z.array(z.string()),
    peers_connected: z.number().int(),
    messages_sent: z.number().int().describe(
      "envelopes accepted from local senders since the start",
    ),
    messages_received: z.number().int().describe("envelopes appended to the log since the start"),
    health: z.object({
      status: z.enum(["healthy", "degraded"]).describe(
        "degraded while something cannot be written",
      ),
      components: z.object({
        store: componentState,
        disk: componentState,
        log_directory: componentState,
      }),
    }),
    counters: z.object({
      consumers: z.number().int(),
      records: z.number().int(),
      dedup_keys: z.number().int(),
    }),
    store: z.object({
      head_seq: seq.describe("the highest seq"),
      front_seq: seq.describe("the oldest seq that can be read; one above head_seq when none can"),
      bytes: z.number().int(),
      blocks: z.number().int(),
    }),
  }),
  handle(_params, { services }) {
    const { log, identity, clock, consumers, records, metrics, peers } = services;
    const uptime = Math.max(0, clock.now() - identity.startedAtMs) / 1000;
    const { head, front, bytes, blocks, dedup_keys } = log.counters;
    const { status, components } = services.health();
    return {
      version: identity.version,
      epoch: log.epoch,
      uptime,
      uptime_secs: Math.floor(uptime),
      connections: services.connectionCount(),
      services: [],
      peers_connected: peers.list().length,
      messages_sent: metrics.messagesSent,
      messages_received: log.appendedCount,
      health: { status, components: { ...components } },
      counters: {
        consumers: consumers.list().length,
        records: records.list().length,
        dedup_keys,
      },
      store: { head_seq: head, front_seq: front, bytes, blocks },
    };
  },
});

export const SYSTEM_WHOAMI = defineOperation({
  name: "system.whoami",
  summary: "This daemon's identity.",
  scope: "read",
  params: z.object({}),
  result: z.object({
    agent_id: z.string().describe(
      '"ed25519." and the first 16 bytes of SHA-256 of the public key, hex',
    ),
    public_key: z.string().describe("base64 of the raw Ed25519 key"),
    name: z.string().describe("from the configuration"),
    version: z.string(),
    ipc_version: z.number().int(),
    uptime_secs: z.number().int(),
  }),
  handle(_params, { services: { identity, clock } }) {
    return {
      agent_id: identity.agentId,
      public_key: identity.publicKey,
      name: identity.name,
      version: identity.version,
      ipc_version: IPC_VERSION,
      uptime_secs: Math.floor(Math.max(0, clock.now() - identity.startedAtMs) / 1000),
    };
  },
});

export const SYSTEM_SHUTDOWN = defineOperation({
  name: "system.shutdown",
  summary: "Stop the daemon gracefully.",
  scope: "admin",
  params: z.object({}),
  result: z.object({}),
  handle(_params, { services }) {
    services.shutdown("system.shutdown");
    return {};
  },
});

const described = z.object({
  name: z.string(),
  summary: z.string(),
  scope: z.string().nullable().describe("what the token must allow; null for nothing"),
  params: z.unknown().describe("JSON Schema"),
  returns: z.unknown().describe("JSON Schema"),
});

/** Describes the table that it is itself a line of. */
export function systemOperations(table: () => readonly Operation[]) {
  return defineOperation({
    name: "system.operations",
    summary: "List every operation with its JSON Schemas.",
    scope: "read",
    params: z.object({}),
    result: z.object({ operations: z.array(described) }),
    handle: () => ({
      operations: table().map(({ name, summary, scope, params, result }) => ({
        name,
        summary,
        scope,
        params: z.toJSONSchema(params, { io: "input" }),
        returns: z.toJSONSchema(result),
      })),
    }),
  });
}
