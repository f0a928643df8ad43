/**
 * The daemon's metrics as Prometheus text, format 0.0.4.
 *
 * Invariant: labels hold operations, codes and words of this file, and nothing that a client chose.
 */

import { type Histogram, LATENCY_BUCKETS } from "../../core/metrics.ts";
import type { Services } from "../../operations/operation.ts";
import type { Served } from "../served.ts";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** The whole text. */
export function prometheusText(
  services: Services,
  { connections, httpRequests }: {
    readonly connections: Iterable<Served>;
    /** That are being answered, streams of events aside. */
    readonly httpRequests: number;
  },
): string {
  const { metrics, log, identity, clock, consumers, records } = services;
  const { head, bytes } = log.counters;
  const memory = Deno.memoryUsage();
  const transports: Record<string, number> = { socket: 0, events: 0, websocket: 0 };
  let paused = 0;
  for (const { transport, isPaused } of connections) {
    // Of HTTP, only streams of events stay.
    const name = transport === "http" ? "events" : transport;
    transports[name] = (transports[name] ?? 0) + 1;
    if (isPaused) paused++;
  }
  const family = (name: string, type: string, help: string, samples: readonly Sample[]) =>
    `# HELP postern_${name} ${help}\n# TYPE postern_${name} ${type}\n` +
    samples.map(([labels, value]) => `postern_${name}${labelText(labels)} ${value}\n`).join("");
  const one = (value: number): Sample[] => [[{}, value]];
  const by = (label: string, values: Readonly<Record<string, number>>): Sample[] =>
    Object.entries(values).map(([name, value]) => [{ [label]: name }, value]);
  const requests = [...metrics.requests].flatMap(([operation, outcomes]) =>
    [...outcomes].map(([outcome, count]): Sample => [{ operation, outcome }, count])
  );
  return [
    family("build_info", "gauge", "Always 1; the label says which version runs.", [
      [{ version: identity.version }, 1],
    ]),
    family(
      "uptime_seconds",
      "gauge",
      "Seconds since the start.",
      one(Math.max(0, clock.now() - identity.startedAtMs) / 1000),
    ),
    family(
      "healthy",
      "gauge",
      "1 while all can be written, 0 while the health is degraded.",
      one(services.health().status === "healthy" ? 1 : 0),
    ),
    family(
      "connections",
      "gauge",
      "Open connections of postern.sock, streams of events and WebSockets.",
      by("transport", transports),
    ),
    family(
      "http_requests",
      "gauge",
      "HTTP requests in progress, those included whose answer of more than 64 KiB is not taken yet.",
      one(httpRequests),
    ),
    family("subscriptions", "gauge", "Open subscriptions.", one(metrics.subscriptions)),
    family("paused_readers", "gauge", "Connections whose outbox is full.", one(paused)),
    family("requests_total", "counter", "Requests by operation and what they came to.", requests),
    histograms("request_seconds", "From a request to its answer.", metrics.latencies),
    family(
      "events_appended_total",
      "counter",
      "Events appended to the log.",
      one(log.appendedCount),
    ),
    family(
      "messages_sent_total",
      "counter",
      "Messages accepted from senders.",
      one(metrics.messagesSent),
    ),
    family("socket_bytes_total", "counter", "Bytes on all sockets, heads of HTTP aside.", [
      [{ direction: "received" }, metrics.bytesReceived],
      [{ direction: "sent" }, metrics.bytesSent],
    ]),
    family("commits_total", "counter", "Commits of the store.", [
      [{ outcome: "ok" }, metrics.commits],
      [{ outcome: "failed" }, metrics.failedCommits],
    ]),
    histograms("commit_seconds", "How long a commit took.", new Map([["", metrics.commitSeconds]])),
    family("gaps_total", "counter", "Lost ranges told to subscriptions.", one(metrics.gaps)),
    family(
      "record_updates_dropped_total",
      "counter",
      "Record updates that slow readers did not get.",
      one(metrics.dropped),
    ),
    family("auth_failures_total", "counter", "Failed authentications.", one(metrics.authFailures)),
    family(
      "rate_limited_total",
      "counter",
      "Requests refused for their rate.",
      one(metrics.rateLimited),
    ),
    family("log_head_seq", "gauge", "The highest seq.", one(head)),
    family("log_bytes", "gauge", "Bytes of the retained log.", one(bytes)),
    family("consumers", "gauge", "Named consumers.", one(consumers.list().length)),
    family("records", "gauge", "Defined records.", one(records.list().length)),
    family(
      "memory_bytes",
      "gauge",
      "Memory of the process.",
      by("kind", { rss: memory.rss, heap_used: memory.heapUsed }),
    ),
  ].join("");
}

/** @param byOperation Histograms by their operation; one under the empty name has no label. */
function histograms(
  name: string,
  help: string,
  byOperation: ReadonlyMap<string, Histogram>,
): string {
  let text = `# HELP postern_${name} ${help}\n# TYPE postern_${name} histogram\n`;
  for (const [operation, { counts, sum, count }] of byOperation) {
    const labels: Labels = operation === "" ? {} : { operation };
    let below = 0;
    for (const [i, bound] of LATENCY_BUCKETS.entries()) {
      below += counts[i]!;
      text += `postern_${name}_bucket${labelText({ ...labels, le: String(bound) })} ${below}\n`;
    }
    text += `postern_${name}_bucket${labelText({ ...labels, le: "+Inf" })} ${count}\n` +
      `postern_${name}_sum${labelText(labels)} ${sum}\n` +
      `postern_${name}_count${labelText(labels)} ${count}\n`;
  }
  return text;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) =>
    `${name}="${value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')}"`
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
