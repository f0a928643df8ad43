/**
 * The other side of a client, under the test's control: in memory for what is written and read, or on a
 * Unix socket for a daemon that misbehaves as no real one would.
 */

import { join } from "@std/path/posix";

/** A socket in memory. The test plays the daemon: `heard` is what the client wrote, `say` answers. */
export class FakeSocket {
  /** Every write of the client, one entry each. */
  readonly writes: string[] = [];
  /** The requests that have been written whole. */
  readonly heard: Record<string, unknown>[] = [];
  /** How many reads have begun. */
  reads = 0;
  closed = false;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  #incoming: Uint8Array[] = [];
  #unfinished = "";
  #ended = false;
  #waiting: PromiseWithResolvers<void> | null = null;
  #wrote: PromiseWithResolvers<void> = Promise.withResolvers();

  /** Waits until so many requests have been written. */
  async hears(count: number): Promise<Record<string, unknown>[]> {
    while (this.heard.length < count) await this.#wrote.promise;
    return this.heard;
  }

  /** Sends a value as one line, or text as it is. */
  say(...values: (Record<string, unknown> | string)[]): void {
    const text = values.map((value) =>
      typeof value === "string" ? value : `${JSON.stringify(value)}\n`
    ).join("");
    this.sayBytes(this.#encoder.encode(text));
  }

  sayBytes(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#incoming.push(bytes);
    this.#wake();
  }

  /** Ends the connection from the daemon's side. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    this.reads++;
    while (this.#incoming.length === 0) {
      if (this.closed) throw new Deno.errors.BadResource("closed");
      if (this.#ended) return null;
      this.#waiting ??= Promise.withResolvers();
      await this.#waiting.promise;
    }
    const part = this.#incoming.shift()!;
    const taken = part.subarray(0, buffer.length);
    if (taken.length < part.length) this.#incoming.unshift(part.subarray(taken.length));
    buffer.set(taken);
    return taken.length;
  }

  /** Takes at most 1,000 bytes at a time, as a socket may. */
  async write(bytes: Uint8Array): Promise<number> {
    await Promise.resolve();
    if (this.closed) throw new Deno.errors.BadResource("closed");
    const taken = bytes.subarray(0, 1000);
    const text = this.#decoder.decode(taken, { stream: true });
    this.writes.push(text);
    const lines = (this.#unfinished + text).split("\n");
    this.#unfinished = lines.pop()!;
    this.heard.push(...lines.map((line) => JSON.parse(line)));
    this.#wrote.resolve();
    this.#wrote = Promise.withResolvers();
    return taken.length;
  }

  close(): void {
    this.closed = true;
    this.#wake();
  }

  #wake(): void {
    this.#waiting?.resolve();
    this.#waiting = null;
  }
}

/** What a fake daemon does with a request: the lines to answer, or `"close"`. */
export type Behaviour = (request: Record<string, unknown>) => string | "close";

/** A daemon on `postern.sock` of a directory of its own that does what the test says. */
export class FakeDaemon implements AsyncDisposable {
  readonly directory: string;
  readonly socketPath: string;
  /** Every request of every connection, in the order of arrival. */
  readonly heard: Record<string, unknown>[] = [];
  readonly #listener: Deno.UnixListener;
  readonly #behaviour: Behaviour;
  readonly #open = new Set<Deno.UnixConn>();
  readonly #served: Promise<void>;

  constructor(behaviour: Behaviour) {
    this.#behaviour = behaviour;
    this.directory = Deno.realPathSync(Deno.makeTempDirSync());
    this.socketPath = join(this.directory, "postern.sock");
    this.#listener = Deno.listen({ transport: "unix", path: this.socketPath });
    this.#served = this.#serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const socket of this.#open) socket.close();
    await this.#served;
    await Deno.remove(this.directory, { recursive: true });
  }

  async #serve(): Promise<void> {
    const talks: Promise<void>[] = [];
    for await (const socket of this.#listener) {
      this.#open.add(socket);
      talks.push(this.#talk(socket).catch(() => {}).finally(() => this.#open.delete(socket)));
    }
    await Promise.all(talks);
  }

  async #talk(socket: Deno.UnixConn): Promise<void> {
    const buffer = new Uint8Array(65536);
    const decoder = new TextDecoder();
    let text = "";
    for (let count = await socket.read(buffer); count !== null; count = await socket.read(buffer)) {
      text += decoder.decode(buffer.subarray(0, count), { stream: true });
      const lines = text.split("\n");
      text = lines.pop()!;
      for (const line of lines) {
        const request = JSON.parse(line);
        this.heard.push(request);
        const answer = this.#behaviour(request);
        if (answer === "close") return socket.close();
        await writeAll(socket, answer);
      }
    }
    socket.close();
  }
}

/** Answers hello and auth as a daemon would, and leaves the rest to `others`. */
export function polite(others: Behaviour = () => ""): Behaviour {
  return (request) => {
    if (request.cmd === "hello") return line({ ok: true, req_id: request.req_id, ...GREETING });
    if (request.cmd === "auth") return line({ ok: true, req_id: request.req_id, auth: "accepted" });
    return others(request);
  };
}

/** A value as a line of the wire. */
export function line(value: Record<string, unknown>): string {
  return `${JSON.stringify(value)}\n`;
}

const GREETING = {
  version: 2,
  daemon_max_version: 2,
  agent_id: "ed25519.00",
  features: ["buffer"],
  epoch: "e",
};

async function writeAll(socket: Deno.UnixConn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}
