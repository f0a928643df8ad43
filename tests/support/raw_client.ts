/**
 * A client that knows nothing of Postern: it writes text to a Unix socket and reads lines of JSON.
 *
 * It never waits for time, only for lines, for the end of the connection, or for the answer to a `status`,
 * which shows that whatever the daemon had to say before has been said. The only clock is a guard that fails
 * a test which would otherwise hang. Nothing is read that no test asked for, so a client can also be slow.
 */

import { assertEquals, fail } from "@std/assert";

/** One line from the daemon, as parsed JSON. */
// deno-lint-ignore no-explicit-any
export type Line = Record<string, any>;

/** How long a test waits for a line before it fails; never a pause. */
const GUARD_MS = 20_000;
/** The longest line this client takes before it calls the daemon broken. */
const MAX_LINE_BYTES = 8 * 1024 * 1024;

const LF = 0x0a;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Whether a line was pushed, rather than sent in reply to a request. */
export function isPushed(line: Line): boolean {
  return "event" in line || "inbound" in line;
}

/** One connection, spoken to by hand. */
export class RawClient implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #chunk = new Uint8Array(64 * 1024);
  #pending = new Uint8Array(0);
  #ready: string[] = [];
  #readyAt = 0;
  #pushed: Line[] = [];
  #replies: Line[] = [];
  #lastId = 0;
  #closed = false;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** Connects to a Unix socket. */
  static async connect(path: string): Promise<RawClient> {
    return new RawClient(await Deno.connect({ transport: "unix", path }));
  }

  /** Writes text or bytes as they are, to the last byte. */
  async write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  /** Writes values as one line of JSON each, in one write. */
  async send(...values: unknown[]): Promise<void> {
    await this.write(values.map((value) => JSON.stringify(value) + "\n").join(""));
  }

  /** Sends a request, with a fresh `req_id` unless it has one, and returns the next reply. */
  async ask(request: Record<string, unknown>): Promise<Line> {
    await this.send("req_id" in request ? request : { ...request, req_id: `r${++this.#lastId}` });
    return await this.reply();
  }

  /** Sends a request exactly as given, as v1 clients do, and returns the next reply. */
  async askBare(request: unknown): Promise<Line> {
    await this.send(request);
    return await this.reply();
  }

  /** Writes text and a newline, and returns the next reply. */
  async askText(text: string): Promise<Line> {
    await this.write(text + "\n");
    return await this.reply();
  }

  /** The next line, whatever it is. */
  async next(): Promise<Line> {
    return this.#replies.shift() ?? this.#pushed.shift() ?? JSON.parse(await this.text());
  }

  /** The next line as it came, without its newline; to be used alone, not mixed with `reply`. */
  async text(): Promise<string> {
    return await this.#line() ?? fail("the daemon closed the connection before the awaited line");
  }

  /** The next line that is a reply; pushed ones are kept for {@linkcode pushed}. */
  async reply(): Promise<Line> {
    const kept = this.#replies.shift();
    if (kept !== undefined) return kept;
    for (;;) {
      const line = JSON.parse(await this.text());
      if (!isPushed(line)) return line;
      this.#pushed.push(line);
    }
  }

  /** The next line that was pushed; replies are kept for {@linkcode reply}. */
  async pushed(): Promise<Line> {
    const kept = this.#pushed.shift();
    if (kept !== undefined) return kept;
    for (;;) {
      const line = JSON.parse(await this.text());
      if (isPushed(line)) return line;
      this.#replies.push(line);
    }
  }

  /** The next `count` pushed lines. */
  async pushedMany(count: number): Promise<Line[]> {
    const lines: Line[] = [];
    while (lines.length < count) lines.push(await this.pushed());
    return lines;
  }

  /** Lines that were pushed and that no test took yet. */
  get keptPushed(): readonly Line[] {
    return this.#pushed;
  }

  /** Fails if anything came and was not yet taken, up to the answer of a `status` sent now. */
  async expectNothingPushed(): Promise<void> {
    const barrier = `barrier${++this.#lastId}`;
    const status = await this.ask({ cmd: "status", req_id: barrier });
    assertEquals(status.req_id, barrier, `an unexpected reply: ${JSON.stringify(status)}`);
    assertEquals(this.#pushed, [], "nothing should have been pushed");
  }

  /** Says hello in version 2. */
  async hello(consumer?: string): Promise<Line> {
    return await this.ask({ cmd: "hello", version: 2, ...(consumer ? { consumer } : {}) });
  }

  /** Reads until the daemon closes the connection, and returns the lines that came before. */
  async untilClosed(): Promise<Line[]> {
    const lines = [...this.#replies.splice(0), ...this.#pushed.splice(0)];
    for (;;) {
      const line = await this.#line();
      if (line === null) return lines;
      lines.push(JSON.parse(line));
    }
  }

  /** Says that no more will be written; reading goes on. */
  async endWriting(): Promise<void> {
    await (this.#conn as Deno.UnixConn).closeWrite();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #line(): Promise<string | null> {
    while (this.#readyAt >= this.#ready.length) {
      this.#ready = [];
      this.#readyAt = 0;
      if (!await this.#fill()) return null;
    }
    return this.#ready[this.#readyAt++]!;
  }

  /** Reads once and splits what came; false at the end of the connection. */
  async #fill(): Promise<boolean> {
    const count = await this.#read();
    if (count === null) {
      assertEquals(decoder.decode(this.#pending), "", "the daemon's last line has no newline");
      return false;
    }
    const bytes = new Uint8Array(this.#pending.length + count);
    bytes.set(this.#pending);
    bytes.set(this.#chunk.subarray(0, count), this.#pending.length);
    const end = bytes.lastIndexOf(LF) + 1;
    if (end > 0) this.#ready = decoder.decode(bytes.subarray(0, end - 1)).split("\n");
    this.#pending = bytes.slice(end);
    if (this.#pending.length > MAX_LINE_BYTES) fail("the daemon sent a line without an end");
    return true;
  }

  async #read(): Promise<number | null> {
    let guard: ReturnType<typeof setTimeout> | undefined;
    const hung = new Promise<never>((_, reject) => {
      guard = setTimeout(() => reject(new Error(`no line within ${GUARD_MS} ms`)), GUARD_MS);
    });
    try {
      return await Promise.race([this.#conn.read(this.#chunk), hung]);
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    } finally {
      clearTimeout(guard);
    }
  }
}
