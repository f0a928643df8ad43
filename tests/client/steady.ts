/** A client that reconnects at once, or when the test lets it. */

import { type Client, connect, type ConnectOptions } from "../../src/client/mod.ts";
import type { TestDaemon } from "../support/in_process.ts";

const NO_ENV = new Map<string, string>();

/** Lets no connection be tried for until it is opened. */
export class Gate {
  #open = Promise.withResolvers<void>();

  open(): void {
    this.#open.resolve();
  }

  shut(): void {
    this.#open = Promise.withResolvers();
  }

  async pass(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([this.#open.promise, aborted]);
  }
}

interface Steady {
  readonly gate?: Gate;
  readonly options?: ConnectOptions;
}

/** Connects to a daemon that goes and comes. */
export function connectTo(
  daemon: TestDaemon | string,
  { gate, options }: Steady = {},
): Promise<Client> {
  const wait = gate === undefined ? {} : {
    wait: (_ms: number, signal: AbortSignal) => gate.pass(signal),
  };
  const reconnect = { minDelayMs: 1, maxDelayMs: 10, ...wait };
  const dir = typeof daemon === "string" ? daemon : daemon.directory;
  return connect({ dir, env: NO_ENV, reconnect, ...options });
}

/** Longer than anything takes on a machine that is busy with others. */
const LIMIT_MS = 20_000;

interface Stream<T> extends AsyncIterator<T, undefined> {
  close(): void;
}

/** What is told of the next items; a stream that holds back any of them is ended, so that the test fails. */
export async function takeFrom<T, R>(
  stream: Stream<T>,
  count: number,
  told: (item: T) => R,
): Promise<R[]> {
  const taken: R[] = [];
  const timer = setTimeout(() => stream.close(), LIMIT_MS);
  try {
    while (taken.length < count) {
      const { value } = await stream.next();
      if (value === undefined) throw new Error(`the stream ended behind ${JSON.stringify(taken)}`);
      taken.push(told(value));
    }
    return taken;
  } finally {
    clearTimeout(timer);
  }
}
