/**
 * What the daemon counts of itself, for whoever watches it.
 *
 * A label holds an operation, a code of the closed lists or a transport, and nothing that a client chose: so the
 * number of series is bounded, and none can hold a token, an id or free text.
 */

/** Upper bounds of the buckets of latencies, in seconds. */
export const LATENCY_BUCKETS = [
  0.00005,
  0.0001,
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.05,
  0.1,
  0.5,
  1,
  5,
] as const;

/** How long something took, told by buckets. */
export class Histogram {
  /** Of each bucket what fell into it alone; the last is what was longer than all. */
  readonly counts: number[] = new Array(LATENCY_BUCKETS.length + 1).fill(0);
  sum = 0;
  count = 0;

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < LATENCY_BUCKETS.length && seconds > LATENCY_BUCKETS[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.sum += seconds;
    this.count++;
  }
}

/** Counts since the start of the process, and what is open now. */
export class Metrics {
  /** Of each operation how many requests came to what: `ok` or an error code. */
  readonly requests = new Map<string, Map<string, number>>();
  readonly latencies = new Map<string, Histogram>();
  readonly commitSeconds: Histogram = new Histogram();
  requestCount = 0;
  messagesSent = 0;
  bytesReceived = 0;
  bytesSent = 0;
  commits = 0;
  failedCommits = 0;
  /** Open now. */
  subscriptions = 0;
  gaps = 0;
  /** Record updates that readers did not get because they did not read. */
  dropped = 0;
  authFailures = 0;
  rateLimited = 0;

  /** Notes a request of an operation that exists. */
  answered(operation: string, outcome: string, seconds: number): void {
    let outcomes = this.requests.get(operation);
    if (outcomes === undefined) this.requests.set(operation, outcomes = new Map());
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    let latency = this.latencies.get(operation);
    if (latency === undefined) this.latencies.set(operation, latency = new Histogram());
    latency.observe(seconds);
  }
}
