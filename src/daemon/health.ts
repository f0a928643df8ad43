/**
 * The daemon's health: whether it is ready, and which part of it is not well.
 *
 * A disk is asked by writing to it, since what is free on it cannot be seen from inside the sandbox; a store that
 * failed is asked by a commit that changes nothing. Either at most once in `PROBE_MS`, however often somebody asks:
 * so it finds by itself that it is well again. Nothing is left behind by asking.
 */

import { join } from "@std/path/posix";
import type { Log } from "../core/ports.ts";
import type { HealthReport, Services } from "../operations/operation.ts";
import { Ailing } from "./ailing.ts";
import { openOwnFile, removeIfPresent, writeAll } from "./safe_file.ts";

/** A disk that takes so much is not full. */
const PROBE_BYTES = 64 * 1024;
const PROBE_MS = 1000;

/** What is looked after. */
export interface HealthOptions {
  /** The runtime directory. */
  readonly directory: string;
  readonly uid: number | null;
  readonly store: ProbedStore;
  readonly audit: ProbedAudit;
  /** Told when the disk or the log's directory begins or ends to fail. */
  readonly diagnostics: Log;
}

/** The store, as far as its health goes. */
export interface ProbedStore {
  /** Whether the last commit was not stored. */
  readonly isFailing: boolean;
}

/** The audit, as far as its health goes. */
export interface ProbedAudit {
  /** Why its lines are lost; `undefined` for none that are. */
  readonly failure: unknown;
}

/** Looks after the daemon's health. */
export class Health {
  readonly #services: Services;
  readonly #options: HealthOptions;
  #probedMs = -PROBE_MS;
  /** What kept it from writing into the log's directory. */
  #logFailure: unknown;
  readonly #disk: Ailing;
  readonly #logDirectory: Ailing;
  /** Set when the daemon begins to stop. */
  stopping = false;

  constructor(services: Services, options: HealthOptions) {
    this.#services = services;
    this.#options = options;
    this.#disk = new Ailing("disk", options.diagnostics);
    this.#logDirectory = new Ailing("log_directory", options.diagnostics);
  }

  report(): HealthReport {
    this.look();
    this.lookAtAudit();
    const { identity, clock, log, metrics, records, consumers, connectionCount } = this.#services;
    const components = {
      store: this.#options.store.isFailing ? "failing" as const : "ok" as const,
      disk: this.#disk.state,
      log_directory: this.#logDirectory.state,
    };
    const isWell = Object.values(components).every((state) => state === "ok");
    const { head, bytes } = log.counters;
    return {
      status: isWell ? "healthy" : "degraded",
      ready: !this.stopping,
      version: identity.version,
      uptime_seconds: Math.max(0, Math.floor((clock.now() - identity.startedAtMs) / 1000)),
      components,
      metrics: {
        connections: connectionCount(),
        subscriptions: metrics.subscriptions,
        requests: metrics.requestCount,
        head_seq: head,
        log_bytes: bytes,
        consumers: consumers.list().length,
        records: records.list().length,
      },
    };
  }

  /** Finds out how the disk is, unless that was asked a moment ago. */
  look(): void {
    const now = this.#services.clock.now();
    // A clock that was set back must not keep it from asking.
    if (this.stopping || Math.abs(now - this.#probedMs) < PROBE_MS) return;
    this.#probedMs = now;
    const { directory, store } = this.#options;
    this.#disk.now(this.#failureAt(join(directory, "daemon.probe.new")));
    this.#logFailure = this.#failureAt(join(directory, "log", "daemon.probe.new"));
    this.lookAtAudit();
    // Worth a try only where the disk takes something; no document has this name, so nothing is removed.
    if (store.isFailing && this.#disk.state === "ok") {
      this.#services.log.put({ key: ["cursor", ""], content: null });
    }
  }

  /** Takes over how the audit fares, which costs nothing. To be called once a second. */
  lookAtAudit(): void {
    this.#logDirectory.now(this.#logFailure ?? this.#options.audit.failure);
  }

  /** What keeps it from writing there; `undefined` for nothing. */
  #failureAt(path: string): unknown {
    try {
      {
        using file = openOwnFile(path, { uid: this.#options.uid });
        writeAll(file, new Uint8Array(PROBE_BYTES));
      }
      removeIfPresent(path);
      return undefined;
    } catch (error) {
      try {
        removeIfPresent(path);
      } catch { /* what cannot be written may not be removed either */ }
      return error;
    }
  }
}
