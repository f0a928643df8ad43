/**
 * `aimx.metrics`: the daemon's own metrics as a record like any other.
 *
 * Computed when somebody reads it and once a second while it is watched. A rate is the average since the reading
 * before, which is a second old at least, so that readers in between see the same one.
 */

import type { LiveRecord } from "../core/record.ts";
import type { Records } from "../core/records.ts";
import type { Services } from "../operations/operation.ts";
import { typeIdOf } from "../operations/records.ts";

const NAME = "aimx.metrics";
const REFRESH_MS = 1000;

/** Defines the record and keeps it; the function returned ends that. */
export async function keepMetricsRecord(services: Services): Promise<() => void> {
  const { records } = services;
  const readings = new Readings(services);
  try {
    const record = await define(records);
    await records.compute(record, () => JSON.stringify(readings.next())).promise();
  } catch {
    // A full disk keeps the record from being there, and nothing else.
  }
  const timer = setInterval(() => records.refreshWatched(), REFRESH_MS);
  return () => clearInterval(timer);
}

async function define(records: Records): Promise<LiveRecord> {
  const definition = {
    name: NAME,
    typeId: await typeIdOf(NAME, null),
    bufferType: "single_latest",
    capacity: 1,
    schema: null,
    writable: false,
    volatile: true,
  } as const;
  return await records.define(definition).promise();
}

interface Reading {
  readonly atMs: number;
  readonly requests: number;
  readonly events: number;
}

class Readings {
  readonly #services: Services;
  #before: Reading;
  #rates = { requests_per_second: 0, events_per_second: 0 };

  constructor(services: Services) {
    this.#services = services;
    this.#before = this.#read();
  }

  next(): Record<string, number> {
    const { metrics, identity, connectionCount } = this.#services;
    const now = this.#read();
    const secs = (now.atMs - this.#before.atMs) / 1000;
    if (secs >= REFRESH_MS / 1000) {
      this.#rates = {
        requests_per_second: rounded((now.requests - this.#before.requests) / secs),
        events_per_second: rounded((now.events - this.#before.events) / secs),
      };
    }
    // A clock that was set back begins a new interval.
    if (secs >= REFRESH_MS / 1000 || secs < 0) this.#before = now;
    return {
      connections: connectionCount(),
      ...this.#rates,
      subscriptions: metrics.subscriptions,
      dropped: metrics.dropped,
      bytes: metrics.bytesReceived + metrics.bytesSent,
      uptime_secs: Math.max(0, Math.floor((now.atMs - identity.startedAtMs) / 1000)),
    };
  }

  #read(): Reading {
    const { clock, metrics, log } = this.#services;
    return { atMs: clock.now(), requests: metrics.requestCount, events: log.appendedCount };
  }
}

function rounded(rate: number): number {
  return Math.round(rate * 10) / 10;
}
