/** What several scenarios do to a daemon, and what they say of it. */

import { type AxonSocket, countLines } from "./axon_socket.ts";
import { quantile, timeEach } from "./statistics.ts";

/** What a scenario found: a name for each number. */
export type Figures = Record<string, number>;

/** How much of it to do. */
export interface Load {
  readonly directory: string;
  /** Requests, events or connections, as the scenario counts. */
  readonly count: number;
}

/** Requests without a reply at any moment, where a scenario has many. */
export const OUTSTANDING = 1_000;
const WARM_UP_REQUESTS = 200;

/**
 * Keeps {@linkcode OUTSTANDING} requests unanswered until `count` are answered: each reply lets one more go.
 *
 * @param lines So many request lines, all of one length.
 */
export async function pump(socket: AxonSocket, count: number, lines: Uint8Array): Promise<void> {
  const lineBytes = lines.length / OUTSTANDING;
  let sent = Math.min(OUTSTANDING, count);
  await socket.write(lines.subarray(0, sent * lineBytes));
  for (let answered = 0; answered < count;) {
    const replies = countLines(await socket.read());
    answered += replies;
    const more = Math.min(replies, count - sent);
    if (more > 0) await socket.write(lines.subarray(0, more * lineBytes));
    sent += more;
  }
}

/** The microseconds that each of `count` requests took, one after the other. */
export async function askRepeatedly(
  socket: AxonSocket,
  request: Uint8Array,
  count: number,
): Promise<number[]> {
  const ask = async () => {
    await socket.write(request);
    await socket.readLines(1);
  };
  await timeEach(WARM_UP_REQUESTS, ask);
  return await timeEach(count, ask);
}

/** The two quantiles that are shown. */
export function latencies(name: string, times: readonly number[]): Figures {
  return { [`${name}_p50_us`]: quantile(times, 0.5), [`${name}_p99_us`]: quantile(times, 0.99) };
}

export function expectEqual(actual: number, expected: number, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${actual} instead of ${expected}`);
}
