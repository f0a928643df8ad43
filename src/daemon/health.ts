/**
 * The daemon's health: whether it is ready, and which part of it is not well.
 *
 * A disk is asked by writing to it, since what is free on it cannot be seen from inside the sandbox; at most once in
 * `PROBE_MS`, however often somebody asks.
 */

import { join } from "@std/path";
import type { ComponentState, HealthReport, Services } from "../operations/operation.ts";
import { openOwnFile, removeIfPresent, writeAll } from "./safe_file.ts";

/** A disk that takes so much is not full. */
const PROBE_BYTES = 64 * 1024;
const PROBE_MS = 5000;

/** Looks after the daemon's health. */
export class Health {
  readonly #services: Services;
  readonly #options: { readonly directory: string; readonly uid: number | null };
  #probedMs = -PROBE_MS;
  #disk: ComponentState = "ok";
  #logDirectory: ComponentState = "ok";
  /** Set when the daemon begins to stop. */
  stopping = false;

  constructor(
    services: Services,
    options: { readonly directory: string; readonly uid: number | null },
  ) {
    this.#services = services;
    this.#options = options;
  }

  report(): HealthReport {
    this.#probe();
    const { identity, clock, log, metrics, records, consumers, connectionCount } = this.#services;
    const components = {
      store: log.isHealthy ? "ok" as const : "failing" as const,
      disk: this.#disk,
      log_directory: this.#logDirectory,
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

  #probe(): void {
    const now = this.#services.clock.now();
    // The store may have found out meanwhile that the disk takes nothing; then it is asked again whether it does.
    if (Math.abs(now - this.#probedMs) < PROBE_MS) return;
    this.#probedMs = now;
    const { directory } = this.#options;
    this.#disk = this.#canWrite(join(directory, "daemon.probe.new"));
    this.#logDirectory = this.#canWrite(join(directory, "log", "daemon.probe.new"));
  }

  #canWrite(path: string): ComponentState {
    try {
      {
        using file = openOwnFile(path, { uid: this.#options.uid });
        writeAll(file, new Uint8Array(PROBE_BYTES));
      }
      removeIfPresent(path);
      return "ok";
    } catch {
      try {
        removeIfPresent(path);
      } catch { /* what cannot be written may not be removed either */ }
      return "failing";
    }
  }
}
