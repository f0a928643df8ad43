/**
 * The load generator's end of a connection: bytes out, lines counted, nothing parsed that need not be.
 *
 * The client must cost less than the daemon it measures, so requests are encoded once, beforehand, and
 * replies are counted by their line feeds. What a reply says is checked where it is not timed.
 */

import { readDiscovery } from "../daemon_process.ts";

const LINE_FEED = 10;
const READ_BYTES = 256 * 1024;
/** The size of one line that publishes or sets, its line feed included: a small event as programs send them. */
export const PUBLISH_LINE_BYTES = 224;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One connection, used by one task at a time. */
export class AxonSocket implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #buffer = new Uint8Array(READ_BYTES);

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** Connects, says hello as version 2 and authenticates. */
  static async open(directory: string, consumer = "bench"): Promise<AxonSocket> {
    const { socketPath, token } = readDiscovery(directory);
    const socket = new AxonSocket(await Deno.connect({ transport: "unix", path: socketPath }));
    await socket.ask({ cmd: "hello", req_id: "h", version: 2, consumer });
    await socket.ask({ cmd: "auth", req_id: "a", token });
    return socket;
  }

  /** Writes all of it; `write` alone may take less than it is given. */
  async write(bytes: Uint8Array): Promise<void> {
    let written = await this.#conn.write(bytes);
    while (written < bytes.length) written += await this.#conn.write(bytes.subarray(written));
  }

  /** What has arrived, at least a byte. It stays valid until the next read. */
  async read(): Promise<Uint8Array> {
    const length = await this.#conn.read(this.#buffer);
    if (length === null) throw new Error("the daemon closed the connection");
    return this.#buffer.subarray(0, length);
  }

  /** Reads until as many lines have arrived, and any that came with the last of them. */
  async readLines(count: number): Promise<void> {
    for (let seen = 0; seen < count;) seen += countLines(await this.read());
  }

  /** One request and its reply, for whatever is not timed and while nothing else is outstanding. */
  async ask(request: Record<string, unknown>): Promise<Record<string, unknown>> {
    await this.write(encoder.encode(JSON.stringify(request) + "\n"));
    let text = "";
    while (!text.includes("\n")) text += decoder.decode(await this.read(), { stream: true });
    const reply = JSON.parse(text.slice(0, text.indexOf("\n")));
    if (reply.ok !== true) throw new Error(`${request.cmd}: ${reply.error}: ${reply.message}`);
    return reply;
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

/** How many lines end in these bytes. */
export function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) count++;
  return count;
}

/** The bytes of as many publish requests, each of {@linkcode PUBLISH_LINE_BYTES} bytes. */
export function publishLines(count: number): Uint8Array {
  return filledLines(
    count,
    (filler) =>
      `{"cmd":"send","req_id":"1","to":"self","kind":"notify","topic":"bench.load",` +
      `"payload":{"text":"${filler}"}}\n`,
  );
}

/** The bytes of as many requests that set a record, each as long as a publish request. */
export function setLines(name: string, count: number): Uint8Array {
  return filledLines(
    count,
    (filler) => `{"cmd":"record.set","req_id":"1","name":"${name}","value":{"text":"${filler}"}}\n`,
  );
}

function filledLines(count: number, line: (filler: string) => string): Uint8Array {
  const filler = ".".repeat(PUBLISH_LINE_BYTES - line("").length);
  return encoder.encode(line(filler).repeat(count));
}

/** One request line. */
export function requestLine(request: Record<string, unknown>): Uint8Array {
  return encoder.encode(JSON.stringify(request) + "\n");
}
