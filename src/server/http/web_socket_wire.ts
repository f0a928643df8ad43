/**
 * A WebSocket as a connection's socket: a frame is a line.
 *
 * Invariants: a frame goes out whole, and no more of them than the other side takes; what comes in and is not read
 * yet is bounded, because a WebSocket cannot be told to wait: whoever sends more is closed.
 */

import type { Wire } from "../served.ts";

/** Bytes that wait to be read by the connection. */
const MAX_INPUT_BYTES = 8 * 1024 * 1024;
/** When all WebSockets together hold too much, whoever holds more than this is closed. */
const MODEST_INPUT_BYTES = 64 * 1024;
/** What a frame takes beside its text. */
const FRAME_BYTES = 128;
/** Bytes that the socket holds for the other side; then writing waits. */
const MAX_BUFFERED_BYTES = 256 * 1024;
/** How often that is looked at, because a WebSocket does not tell; more and more seldom. */
const LOOK_MS = 1;
const MAX_LOOK_MS = 100;

/** How long the other side may take to answer a goodbye. */
const GOODBYE_MS = 1000;

/** Codes that a WebSocket is closed with. */
const NORMAL = 1000;
const GOING_AWAY = 1001;
const NOT_TEXT = 1003;
const TOO_BIG = 1009;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface WireOptions {
  /** Accounts for what waits to be read; answers whether all WebSockets together hold too much. */
  readonly hold: (bytes: number) => boolean;
  /** Called when the other side is closed for breaking a rule. */
  readonly onRefused: (reason: string) => void;
  /** Called when the platform has let go of it: one that does not read its goodbye stays open till it goes. */
  readonly onGone: () => void;
}

/** One WebSocket. */
export class WebSocketWire implements Wire {
  /** Set when the daemon stops. */
  goingAway = false;
  /** Resolves when the other side knows that it is closed, or takes too long to say so. */
  readonly gone: Promise<void>;
  readonly #socket: WebSocket;
  readonly #options: WireOptions;
  #frames: Uint8Array[] = [];
  /** The first frame that is not read. */
  #at = 0;
  #inputBytes = 0;
  #ended = false;
  #isGone = false;
  #wake: () => void = () => {};
  #resolveGone: () => void = () => {};
  #goneTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: WebSocket, options: WireOptions) {
    this.#socket = socket;
    this.#options = options;
    this.gone = new Promise((resolve) => this.#resolveGone = resolve);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#take(data);
    // What it had said before is still carried out.
    socket.onclose = () => this.#onGone();
    socket.onerror = () => this.#onGone();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#at === this.#frames.length) {
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    let count = 0;
    while (this.#at < this.#frames.length && count < buffer.byteLength) {
      const frame = this.#frames[this.#at]!;
      const part = frame.subarray(0, buffer.byteLength - count);
      buffer.set(part, count);
      count += part.byteLength;
      if (part.byteLength < frame.byteLength) {
        this.#frames[this.#at] = frame.subarray(part.byteLength);
        this.#account(-part.byteLength);
      } else {
        this.#at++;
        this.#account(-part.byteLength - FRAME_BYTES);
      }
    }
    if (this.#at === this.#frames.length) {
      this.#frames = [];
      this.#at = 0;
    }
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    for (const line of decoder.decode(bytes).split("\n")) {
      if (line === "") continue;
      if (this.#socket.readyState !== WebSocket.OPEN) {
        throw new Deno.errors.BrokenPipe("the WebSocket is closed");
      }
      this.#socket.send(line);
      await this.#untilTaken();
    }
    return bytes.byteLength;
  }

  close(): void {
    this.#close(this.goingAway ? GOING_AWAY : NORMAL);
  }

  async #untilTaken(): Promise<void> {
    let lookMs = LOOK_MS;
    while (!this.#ended && this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) {
      await new Promise((resolve) => setTimeout(resolve, lookMs));
      lookMs = Math.min(MAX_LOOK_MS, lookMs * 2);
    }
  }

  #take(data: unknown): void {
    if (this.#ended) return;
    if (typeof data !== "string") return this.#refuse(NOT_TEXT, "a frame must be text");
    // Within JSON a line end is white space: inside of strings it is escaped.
    const frame = encoder.encode(`${data.replaceAll(/[\r\n]+/g, " ")}\n`);
    const areTooMany = this.#account(frame.byteLength + FRAME_BYTES);
    const most = areTooMany ? MODEST_INPUT_BYTES : MAX_INPUT_BYTES;
    if (this.#inputBytes > most) {
      return this.#refuse(TOO_BIG, "requests come faster than they are answered");
    }
    this.#frames.push(frame);
    this.#wake();
  }

  #account(bytes: number): boolean {
    this.#inputBytes += bytes;
    return this.#options.hold(bytes);
  }

  #refuse(code: number, reason: string): void {
    this.#options.onRefused(reason);
    this.#close(code, reason);
  }

  /** Whoever is closed for breaking a rule is not heard any more. */
  #close(code: number, reason = ""): void {
    this.#frames = [];
    this.#at = 0;
    this.#account(-this.#inputBytes);
    this.#end();
    if (this.#isGone || this.#socket.readyState > WebSocket.OPEN) return;
    this.#socket.close(code, reason);
    this.#goneTimer = setTimeout(() => this.#resolveGone(), GOODBYE_MS);
  }

  #onGone(): void {
    this.#isGone = true;
    clearTimeout(this.#goneTimer);
    this.#resolveGone();
    this.#end();
    this.#options.onGone();
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }
}
