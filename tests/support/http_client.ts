/**
 * HTTP over a Unix socket for tests, three ways: requests by `fetch`, bytes by hand for what `fetch` would not
 * send, and WebSockets; and a reader of server-sent events that reads no more than it is asked for.
 *
 * Nothing here waits for time; the only clock is a guard that fails a test which would otherwise hang.
 */

import { assertEquals, fail } from "@std/assert";
import type { Line } from "./raw_client.ts";

/** How long a test waits before it fails; never a pause. */
const GUARD_MS = 20_000;

/** An answer that was read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON. */
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: BodyInit;
  /** Shown as a bearer token; `null` for none. @default the client's own */
  readonly token?: string | null;
}

/** A client of one HTTP socket. */
export class HttpClient implements Disposable {
  /** Shown with each request. */
  token: string | null;
  readonly path: string;
  readonly #client: Deno.HttpClient;
  readonly #streams: EventReader[] = [];
  readonly #sockets: SocketClient[] = [];

  constructor(path: string, token: string | null = null) {
    this.path = path;
    this.token = token;
    this.#client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
  }

  /** Sends a request and reads the whole answer. */
  async ask(target: string, asked: Asked = {}): Promise<Answer> {
    const response = await this.open(target, asked);
    const text = await guarded(response.text(), `the answer to ${target}`);
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    const body = isJson && text !== "" ? JSON.parse(text) : null;
    return { status: response.status, headers: response.headers, text, body };
  }

  /** One JSON-RPC request; the answer is the reply. */
  async rpc(method: string, params: Line = {}, asked: Asked = {}): Promise<Answer> {
    const request = { jsonrpc: "2.0", id: 1, method, params };
    return await this.post(request, asked);
  }

  /** Posts a value to /rpc. */
  async post(value: unknown, asked: Asked = {}): Promise<Answer> {
    return await this.ask("/rpc", { method: "POST", body: JSON.stringify(value), ...asked });
  }

  /** The result of an operation, which must succeed. */
  async call(method: string, params: Line = {}): Promise<Line> {
    const { status, body } = await this.rpc(method, params);
    if (status !== 200) fail(`${method}: ${status} ${JSON.stringify(body)}`);
    return body.result;
  }

  /** Opens `GET /events`, which must be accepted. */
  async events(query = "", asked: Asked = {}): Promise<EventReader> {
    const response = await this.open(`/events${query}`, asked);
    if (response.status !== 200) fail(`/events: ${response.status} ${await response.text()}`);
    const reader = new EventReader(response);
    this.#streams.push(reader);
    return reader;
  }

  /** Opens a WebSocket; resolves when it is open. */
  async socket(target = "/ws", asked: Asked = {}): Promise<SocketClient> {
    const headers = this.#headers(asked);
    const socket = new SocketClient(
      new WebSocket(`ws://localhost${target}`, { client: this.#client, headers }),
    );
    this.#sockets.push(socket);
    await socket.opened;
    return socket;
  }

  /** Sends a request; its body is still to be read. */
  open(target: string, asked: Asked = {}): Promise<Response> {
    const { method = "GET", body } = asked;
    const sent = fetch(`http://localhost${target}`, {
      method,
      headers: this.#headers(asked),
      ...(body === undefined ? {} : { body }),
      client: this.#client,
    });
    return guarded(sent, `the answer to ${target}`);
  }

  [Symbol.dispose](): void {
    for (const stream of this.#streams) stream.close();
    for (const socket of this.#sockets) socket.close();
    this.#client.close();
  }

  #headers({ headers = {}, token = this.token }: Asked): Record<string, string> {
    return token === null ? headers : { authorization: `Bearer ${token}`, ...headers };
  }
}

/** One frame of a stream of server-sent events. */
export interface Frame {
  readonly event: string;
  readonly id: string | null;
  // deno-lint-ignore no-explicit-any
  readonly data: any;
}

/** Reads server-sent events as they are asked for. */
export class EventReader {
  readonly headers: Headers;
  /** Comments that came so far. */
  comments = 0;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #frames: Frame[] = [];
  #rest = "";

  constructor(response: Response) {
    this.headers = response.headers;
    this.#reader = response.body!.getReader();
  }

  /** The next frame that is no comment. */
  async next(): Promise<Frame> {
    return await this.nextOrEnd() ?? fail("the stream ended before the awaited event");
  }

  /** The next frame, or `null` at the end of the stream. */
  async nextOrEnd(): Promise<Frame | null> {
    while (this.#frames.length === 0) if (!await this.#fill()) return null;
    return this.#frames.shift()!;
  }

  /** The next so many. */
  async many(count: number): Promise<Frame[]> {
    const frames: Frame[] = [];
    while (frames.length < count) frames.push(await this.next());
    return frames;
  }

  /** All up to the end of the stream. */
  async rest(): Promise<Frame[]> {
    const frames: Frame[] = [];
    for (;;) {
      const frame = await this.nextOrEnd();
      if (frame === null) return frames;
      frames.push(frame);
    }
  }

  /** Reads until so many comments have come. */
  async heartbeats(count: number): Promise<void> {
    while (this.comments < count) {
      if (!await this.#fill()) fail("the stream ended before the awaited comment");
    }
  }

  close(): void {
    this.#reader.cancel().catch(() => {});
  }

  async #fill(): Promise<boolean> {
    const { done, value } = await guarded(this.#reader.read(), "a part of the stream");
    if (done) {
      assertEquals(this.#rest, "", "the stream ended in the middle of a frame");
      return false;
    }
    const frames = (this.#rest + this.#decoder.decode(value, { stream: true })).split("\n\n");
    this.#rest = frames.pop()!;
    for (const frame of frames) {
      if (frame.startsWith(":")) this.comments++;
      else this.#frames.push(parsed(frame));
    }
    return true;
  }
}

function parsed(frame: string): Frame {
  const fields = new Map(
    frame.split("\n").map((line) => {
      const at = line.indexOf(": ");
      return [line.slice(0, at), line.slice(at + 2)];
    }),
  );
  return {
    event: fields.get("event") ?? "message",
    id: fields.get("id") ?? null,
    data: JSON.parse(fields.get("data") ?? "null"),
  };
}

interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** A WebSocket that speaks JSON, one message a frame. */
export class SocketClient {
  readonly opened: Promise<void>;
  readonly #closed: Promise<Closed>;
  readonly #socket: WebSocket;
  readonly #lines: string[] = [];
  #wake: () => void = () => {};
  #isClosed = false;
  #lastId = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.opened = guarded(promise, "the WebSocket");
    socket.onopen = () => resolve();
    socket.onerror = (event) => reject(new Error((event as ErrorEvent).message));
    socket.onmessage = ({ data }) => {
      this.#lines.push(data);
      this.#wake();
    };
    this.#closed = new Promise((done) =>
      socket.onclose = ({ code, reason }) => {
        this.#isClosed = true;
        this.#wake();
        done({ code, reason });
      }
    );
  }

  /** Sends values, one frame each. */
  send(...values: unknown[]): Promise<void> {
    for (const value of values) this.#socket.send(JSON.stringify(value));
    return Promise.resolve();
  }

  /** Sends a frame as it stands. */
  write(frame: string | ArrayBuffer): void {
    this.#socket.send(frame);
  }

  /** The next message. */
  async next(): Promise<Line> {
    return JSON.parse(await this.text());
  }

  /** The next message as it was written. */
  async text(): Promise<string> {
    while (this.#lines.length === 0) {
      if (this.#isClosed) fail("the WebSocket was closed before the awaited message");
      await guarded(new Promise<void>((resolve) => this.#wake = resolve), "a message");
    }
    return this.#lines.shift()!;
  }

  /** Asks for an operation; the next message is the answer. */
  async ask(method: string, params: Line = {}): Promise<Line> {
    await this.send({ jsonrpc: "2.0", id: ++this.#lastId, method, params });
    return await this.next();
  }

  /** What it was closed with, when it is. */
  get closed(): Promise<Closed> {
    return guarded(this.#closed, "end of the WebSocket");
  }

  close(): void {
    this.#socket.close();
  }
}

const UPGRADE = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n" +
  "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const VERSION = "Sec-WebSocket-Version: 13\r\n";

/** Asks for a WebSocket by hand, and waits for no answer. */
export async function sendUpgrade(
  path: string,
  token: string | null,
  more = VERSION,
): Promise<Deno.Conn> {
  const conn = await Deno.connect({ transport: "unix", path });
  const shown = token === null ? "" : `Authorization: Bearer ${token}\r\n`;
  await conn.write(new TextEncoder().encode(`${UPGRADE}${shown}${more}\r\n`));
  return conn;
}

/**
 * Asks for a WebSocket by hand, and answers the connection with the head of what came back.
 *
 * @param version Lines that say which version of WebSockets is meant.
 */
export async function upgradeByHand(
  path: string,
  token: string | null,
  more = "",
  version = VERSION,
): Promise<{ readonly conn: Deno.Conn; readonly head: string }> {
  const conn = await sendUpgrade(path, token, `${version}${more}`);
  const part = new Uint8Array(4096);
  const count = await guarded(conn.read(part), "answer to an upgrade") ?? 0;
  return { conn, head: new TextDecoder().decode(part.subarray(0, count)) };
}

/** A text frame as a client sends it, masked with zeros. */
export function textFrame(text: string): Uint8Array<ArrayBuffer> {
  const payload = new TextEncoder().encode(text);
  const length = payload.length;
  const head = length < 126
    ? [0x81, 0x80 | length]
    : [0x81, 0x80 | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (length >> shift) & 0xff)];
  return new Uint8Array([...head, 0, 0, 0, 0, ...payload]);
}

/** Writes a request by hand, and answers what comes back until the daemon ends the connection. */
export async function askByHand(path: string, text: string): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path });
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  return await guarded(new Response(conn.readable).text(), "the end of the connection");
}

/** A promise that fails when it takes longer than anything here does. */
export async function guarded<T>(awaited: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${GUARD_MS} ms`)), GUARD_MS);
  });
  try {
    return await Promise.race([awaited, limit]);
  } finally {
    clearTimeout(timer);
  }
}
