/**
 * A WebSocket as a connection's socket: a frame is a line.
 *
 * Invariants: a frame goes out whole, and no more of them than the other side takes; what comes in and is not read
 * yet is bounded, because a WebSocket cannot be told to wait: whoever sends more is closed.
 */

import type { Wire } from "../served.ts";

/** Bytes that wait to be read by the connection. */
const MAX_INPUT_BYTES = 8 * 1024 * 1024;
/** Bytes that the socket holds for the other side; then writing waits. */
const MAX_BUFFERED_BYTES = 256 * 1024;
/** How often that is looked at: a WebSocket does not tell. */
const LOOK_MS = 5;

/** Codes that a WebSocket is closed with. */
const GOING_AWAY = 1001;
const NOT_TEXT = 1003;
const TOO_BIG = 1009;
const NORMAL = 1000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One WebSocket. */
export class WebSocketWire implements Wire {
  readonly #socket: WebSocket;
  #frames: Uint8Array[] = [];
  #inputBytes = 0;
  #ended = false;
  #wake: () => void = () => {};
  /** Set when the daemon stops. */
  goingAway = false;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = () => this.#end();
    socket.onerror = () => this.#end();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#frames.length === 0) {
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const frame = this.#frames[0]!;
    const count = Math.min(buffer.byteLength, frame.byteLength);
    buffer.set(frame.subarray(0, count));
    if (count === frame.byteLength) this.#frames.shift();
    else this.#frames[0] = frame.subarray(count);
    this.#inputBytes -= count;
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
    while (!this.#ended && this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  #take(data: unknown): void {
    if (this.#ended) return;
    if (typeof data !== "string") return this.#close(NOT_TEXT, "a frame must be text");
    // Within JSON a line end is white space: inside of strings it is escaped.
    const frame = encoder.encode(`${data.replaceAll(/[\r\n]+/g, " ")}\n`);
    this.#inputBytes += frame.byteLength;
    if (this.#inputBytes > MAX_INPUT_BYTES) {
      return this.#close(TOO_BIG, "requests come faster than they are answered");
    }
    this.#frames.push(frame);
    this.#wake();
  }

  #close(code: number, reason = ""): void {
    this.#end();
    if (this.#socket.readyState <= WebSocket.OPEN) this.#socket.close(code, reason);
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }
}
