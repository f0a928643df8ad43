/**
 * A server without a socket: its connections are in memory, and take what is written when a test lets them.
 *
 * So a test can count what the server made and nobody has read. Its log is over a store in memory too.
 */

import { Consumers } from "../../src/core/consumers.ts";
import { RecordPolicy } from "../../src/core/record_policy.ts";
import { Records } from "../../src/core/records.ts";
import { ServiceRegistry } from "../../src/core/service_registry.ts";
import type { PeerInfo } from "../../src/core/ports.ts";
import { Clients } from "../../src/core/clients.ts";
import { Metrics } from "../../src/core/metrics.ts";
import { RateLimits } from "../../src/core/rate_limit.ts";
import { Tokens } from "../../src/core/tokens.ts";
import { SECRETS } from "../../src/daemon/secrets.ts";
import type { Services } from "../../src/operations/operation.ts";
import { Refusals } from "../../src/operations/refusals.ts";
import { findOperation } from "../../src/operations/registry.ts";
import type { ServerLimits } from "../../src/server/context.ts";
import { Server } from "../../src/server/server.ts";
import { openTestLog, type TestLog } from "./test_log.ts";

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const LIMITS: ServerLimits = {
  maxLineBytes: 1024 * 1024,
  maxConnections: 1024,
  maxInFlight: 4096,
  maxSubscriptions: 32,
  outboxBytes: 4 * 1024 * 1024,
  helloTimeoutMs: 10_000,
  trustSocket: true,
};
const LF = 0x0a;

/** The client's end of a connection in memory. */
export class MemoryConnection {
  /** Lines that were written to the client. */
  lines = 0;
  readonly #encoder = new TextEncoder();
  #incoming: Uint8Array[] = [];
  #arrival: PromiseWithResolvers<void> | null = null;
  #heard: PromiseWithResolvers<void> = Promise.withResolvers();
  #stopped: PromiseWithResolvers<void> | null = null;
  #closed = false;

  /** Sends requests, one line each. */
  say(...requests: Record<string, unknown>[]): void {
    const text = requests.map((request) => JSON.stringify(request) + "\n").join("");
    this.#incoming.push(this.#encoder.encode(text));
    this.#arrival?.resolve();
  }

  /** Resolves when so many lines have come. */
  async hears(count: number): Promise<void> {
    while (this.lines < count) await this.#heard.promise;
  }

  /** Reads nothing from now on. */
  stop(): void {
    this.#stopped ??= Promise.withResolvers();
  }

  /** Reads everything. */
  go(): void {
    this.#stopped?.resolve();
    this.#stopped = null;
  }

  /** Goes away without having read. */
  break(): void {
    this.close();
    this.#stopped?.reject(new Deno.errors.BrokenPipe("gone"));
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#incoming.length === 0) {
      if (this.#closed) return null;
      this.#arrival = Promise.withResolvers();
      await this.#arrival.promise;
    }
    const part = this.#incoming.shift()!;
    const taken = part.subarray(0, buffer.length);
    if (taken.length < part.length) this.#incoming.unshift(part.subarray(taken.length));
    buffer.set(taken);
    return taken.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#stopped?.promise;
    for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) this.lines++;
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
    return bytes.byteLength;
  }

  close(): void {
    this.#closed = true;
    this.#arrival?.resolve();
  }
}

/** Hands connections to the server that accepts them. */
class MemoryListener {
  #offered: MemoryConnection[] = [];
  #arrival: PromiseWithResolvers<void> | null = null;
  #closed = false;

  offer(connection: MemoryConnection): void {
    this.#offered.push(connection);
    this.#arrival?.resolve();
  }

  async accept(): Promise<MemoryConnection> {
    while (this.#offered.length === 0) {
      if (this.#closed) throw new Deno.errors.BadResource("closed");
      this.#arrival = Promise.withResolvers();
      await this.#arrival.promise;
    }
    return this.#offered.shift()!;
  }

  close(): void {
    this.#closed = true;
    this.#arrival?.resolve();
  }
}

/** A server that takes whoever connects for the owner. */
export class MemoryServer implements AsyncDisposable {
  readonly opened: TestLog = openTestLog();
  readonly #listener = new MemoryListener();
  readonly #server: Server;

  /** @param peers What `peers` answers; asked anew for each reply. */
  constructor(peers: () => readonly PeerInfo[] = () => []) {
    this.#server = new Server({
      services: servicesOf(this.opened, peers),
      codecSettings: {
        allowV1: true,
        isOperation: (name) => findOperation(name) !== undefined,
      },
      limits: LIMITS,
      diagnostics: SILENT,
    });
    this.#server.serve(this.#listener as unknown as Deno.Listener);
  }

  connect(): MemoryConnection {
    const connection = new MemoryConnection();
    this.#listener.offer(connection);
    return connection;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#server.close(0);
  }
}

function servicesOf({ log, clock }: TestLog, peers: () => readonly PeerInfo[]): Services {
  return {
    identity: { agentId: "me", publicKey: "", name: "test", version: "0", startedAtMs: 0 },
    clock,
    log,
    consumers: new Consumers(log, { clock, documents: [] }),
    records: new Records(log, { clock, documents: [] }),
    recordPolicy: new RecordPolicy({ policy: "read_only", writable: [] }),
    peers: { list: peers, deliver: () => Promise.reject(new Error("nobody is linked")) },
    tokens: new Tokens("none", { documents: log, clock, secrets: SECRETS, stored: [] }),
    clients: new Clients(log, { documents: [], clock, secrets: SECRETS }),
    rateLimits: new RateLimits({ read: 0, send: 0, write: 0, serve: 0, admin: 0 }, clock),
    metrics: new Metrics(),
    audit: { note() {} },
    refusals: new Refusals({ note() {} }, clock),
    presence: () => [],
    provided: new ServiceRegistry({ clock, nouns: [] }),
    get leases() {
      return unused();
    },
    get permissions() {
      return unused();
    },
    get sessions() {
      return unused();
    },
    mayActFor: () => false,
    turnOriginator: () => undefined,
    features: [],
    limits: {
      requireToken: false,
      recordQueueSize: 100,
      maxSubscriptions: 32,
      permissionTimeoutSecs: { interactive: 1800, unattended: 300 },
    },
    newId: () => crypto.randomUUID(),
    connectionCount: () => 0,
    health: unused,
    endRevoked() {},
    rotateOwner: unused,
    shutdown() {},
  };
}

/** What no test of a server in memory asks for. */
function unused(): never {
  throw new Error("a server in memory has no such thing");
}
