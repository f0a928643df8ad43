/**
 * A daemon's socket as one that falls silent, or ends, when it is asked for a certain operation.
 *
 * What clients send is passed on until the name of the operation is in it; from then on nothing is, in neither
 * direction.
 */

import { dirname, join } from "@std/path/posix";

/** A socket in front of another; `await using` ends it. */
export class HeldSocket implements AsyncDisposable {
  readonly path: string;
  /** The operation was asked for. */
  readonly asked: Promise<void>;
  readonly #operation: string;
  readonly #ends: boolean;
  readonly #listener: Deno.UnixListener;
  readonly #connections: Deno.UnixConn[] = [];
  readonly #asked = Promise.withResolvers<void>();
  #isHeld = false;

  /** @param ends Whether the connections end then, which are kept by default. */
  constructor(daemonPath: string, operation: string, { ends = false } = {}) {
    this.path = join(dirname(daemonPath), "held.sock");
    this.asked = this.#asked.promise;
    this.#operation = operation;
    this.#ends = ends;
    this.#listener = Deno.listen({ transport: "unix", path: this.path });
    void this.#accept(daemonPath);
  }

  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.#endAll();
  }

  async #accept(daemonPath: string): Promise<void> {
    for await (const client of this.#listener) {
      const daemon = await Deno.connect({ transport: "unix", path: daemonPath });
      this.#connections.push(client, daemon);
      void this.#pass(client, daemon, (text) => this.#look(text));
      void this.#pass(daemon, client, () => {});
    }
  }

  async #pass(from: Deno.UnixConn, to: Deno.UnixConn, look: (text: string) => void) {
    const bytes = new Uint8Array(65_536);
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const count = await from.read(bytes);
        if (count === null) return closeOf(to);
        look(decoder.decode(bytes.subarray(0, count)));
        if (this.#isHeld) continue;
        for (let at = 0; at < count;) at += await to.write(bytes.subarray(at, count));
      }
    } catch {
      // One side has gone.
      closeOf(to);
    }
  }

  #look(text: string): void {
    if (!text.includes(this.#operation)) return;
    this.#isHeld = true;
    if (this.#ends) this.#endAll();
    this.#asked.resolve();
  }

  #endAll(): void {
    for (const connection of this.#connections) closeOf(connection);
  }
}

function closeOf(connection: Deno.UnixConn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
