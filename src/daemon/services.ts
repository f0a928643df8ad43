/**
 * What the operations use, put together from the store: log, consumers, records, tokens, clients, limits, counts.
 */

import { Clients } from "../core/clients.ts";
import { Consumers } from "../core/consumers.ts";
import { Leases } from "../core/leases.ts";
import { EventLog } from "../core/log.ts";
import { Metrics } from "../core/metrics.ts";
import { Permissions } from "../core/permissions.ts";
import type { Audit, Log, LogStore } from "../core/ports.ts";
import type { RemoteToken } from "../core/principal.ts";
import { RateLimits } from "../core/rate_limit.ts";
import { RecordPolicy } from "../core/record_policy.ts";
import { Records } from "../core/records.ts";
import { ServiceRegistry } from "../core/service_registry.ts";
import { Sessions } from "../core/sessions.ts";
import { Tokens } from "../core/tokens.ts";
import { newsOf } from "../operations/news.ts";
import type { Identity, Limits, Presence, Services } from "../operations/operation.ts";
import { Refusals } from "../operations/refusals.ts";
import { OPERATIONS } from "../operations/registry.ts";
import type { Config } from "./config.ts";
import { Health, type ProbedAudit } from "./health.ts";
import { MeasuredStore } from "./measured_store.ts";
import { NO_PEERS } from "./no_peers.ts";
import { SECRETS } from "./secrets.ts";

/** What is there before the services are. */
export interface ServiceParts {
  readonly store: LogStore;
  readonly identity: Identity;
  /** The owner token. */
  readonly token: string;
  /** A token beside the owner's, for remote access. */
  readonly remoteToken?: RemoteToken | undefined;
  readonly audit: Audit & ProbedAudit;
  /** Told when something cannot be written, and when it can be again. */
  readonly diagnostics: Log;
  /** The runtime directory. */
  readonly directory: string;
  readonly uid: number | null;
}

/** What the services ask the daemon for. */
export interface ServiceHooks {
  /** As it is now; a reload changes it. */
  config(): Config;
  connectionCount(): number;
  presence(): Presence[];
  shutdown(reason: string): void;
  endRevoked(): void;
  rotateOwner(): { readonly token: string; readonly old_valid_until: number };
}

/** The services of one daemon, with what only the daemon itself uses of them. */
export interface DaemonServices extends Services {
  readonly healthOf: Health;
}

/** Puts the services together. */
export function makeServices(parts: ServiceParts, hooks: ServiceHooks): DaemonServices {
  const { identity, audit, directory, uid, diagnostics } = parts;
  const config = hooks.config();
  const clock = { now: () => Date.now() };
  const metrics = new Metrics();
  const store = new MeasuredStore(parts.store, metrics, diagnostics);
  const log = new EventLog(store, {
    clock,
    retention: {
      maxEvents: config.ipc.buffer_size,
      maxBytes: config.ipc.buffer_byte_cap,
      maxAgeMs: config.ipc.buffer_ttl_secs * 1000,
    },
  });
  const newId = () => crypto.randomUUID();
  const news = newsOf({ identity, clock, newId });
  const stored = { clock, documents: parts.store.state.documents };
  const services: DaemonServices = {
    identity,
    clock,
    log,
    metrics,
    audit,
    refusals: new Refusals(audit, clock),
    consumers: new Consumers(log, stored),
    records: new Records(log, stored),
    recordPolicy: new RecordPolicy(config.records),
    clients: new Clients(log, { ...stored, secrets: SECRETS }),
    permissions: new Permissions(log, {
      ...stored,
      news,
      isWanted: ({ turnId, tokenId }) =>
        (turnId === null || services.sessions.sessionOfTurn(turnId) !== null) &&
        services.tokens.isKnown(tokenId),
    }),
    sessions: new Sessions(log, {
      ...stored,
      news,
      journal: log,
      newId,
      queueMs: config.sessions.queue_secs * 1000,
    }),
    tokens: new Tokens(parts.token, {
      clock,
      documents: log,
      secrets: SECRETS,
      stored: stored.documents,
      remote: parts.remoteToken,
    }),
    leases: new Leases(log, { ...stored, secrets: SECRETS, news }),
    provided: new ServiceRegistry({
      clock,
      nouns: OPERATIONS.map(({ name }) => name.split(".", 1)[0]!),
    }),
    rateLimits: new RateLimits(config.limits.rate, clock),
    peers: NO_PEERS,
    features: ["buffer", "subscribe", "auth"],
    limits: limitsOf(hooks),
    newId,
    mayActFor: ({ client, runner, provider }, originator) =>
      client?.originator === originator ||
      (runner !== null && services.sessions.mayActFor(runner, originator)) ||
      (provider !== null && services.provided.hasCallOf(provider, originator)),
    turnOriginator: ({ runner, client }, turnId) =>
      services.sessions.turnOriginator(runner, turnId, client?.originator ?? null),
    connectionCount: hooks.connectionCount,
    presence: hooks.presence,
    shutdown: hooks.shutdown,
    endRevoked: hooks.endRevoked,
    rotateOwner: hooks.rotateOwner,
    health: () => services.healthOf.report(),
    get healthOf() {
      return health;
    },
  };
  const health = new Health(services, { directory, uid, store, audit, diagnostics });
  return services;
}

/**
 * Ends what has had its time: requests for permission, queued turns, leases, calls; stores what was revoked and could
 * not be stored; says when the audit loses lines. To be called once a second.
 */
export function expireAll(services: DaemonServices): void {
  const { permissions, sessions, leases, provided, tokens } = services;
  services.healthOf.lookAtAudit();
  tokens.storeRemovals();
  permissions.expire();
  sessions.expire();
  leases.expire();
  provided.expire();
}

/** As they are when asked for. */
function limitsOf({ config }: ServiceHooks): Limits {
  return {
    requireToken: config().require_token,
    get recordQueueSize() {
      return config().records.queue_size;
    },
    get maxSubscriptions() {
      return config().limits.max_subscriptions;
    },
    get permissionTimeoutSecs() {
      const { interactive_timeout_secs, unattended_timeout_secs } = config().permissions;
      return { interactive: interactive_timeout_secs, unattended: unattended_timeout_secs };
    },
  };
}
