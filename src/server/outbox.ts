/**
 * What waits to be written to one connection.
 *
 * Invariants: one writer, so that a line is written whole and writes never pile up; everything queued in one
 * turn of the event loop goes out in one write. The bound is kept by the callers, who ask `isFull` before they
 * make more; one reply may stand above it, and text counts as ASCII until it is encoded.
 */

type Piece = string | Uint8Array;

/** Pieces up to this size are copied together into one write. */
const COALESCE_BYTES = 64 * 1024;
/** What may be added to any outbox, however much all of them hold. */
const FEW_BYTES = 4 * 1024;

const encoder = new TextEncoder();

export interface OutboxOptions {
  /** Above this, in bytes, the outbox is full. */
  readonly limitBytes: () => number;
  /** Accounts for what this outbox holds; a negative number of bytes has left it. */
  readonly hold: (bytes: number) => void;
  /** Whether all outboxes together have room for so many bytes more. @default always */
  readonly mayHold?: (bytes: number) => boolean;
  /** Called with what the other side has taken. */
  readonly onWritten?: (bytes: number) => void;
  /** Called when a full outbox is so no longer. */
  readonly onRoom: () => void;
  /** Called once when the other side is gone, or the connection given up. */
  readonly onBroken: () => void;
}

/** The outgoing side of one connection. */
export class Outbox {
  readonly #writer: { write(bytes: Uint8Array): Promise<number> };
  readonly #options: OutboxOptions;
  #queue: Piece[] = [];
  #size = 0;
  #writtenBytes = 0;
  #writing = false;
  #scheduled = false;
  #broken = false;
  #wasFull = false;
  #idle: (() => void)[] = [];

  constructor(writer: { write(bytes: Uint8Array): Promise<number> }, options: OutboxOptions) {
    this.#writer = writer;
    this.#options = options;
  }

  /** Bytes held; text that is not encoded yet counts as if it were ASCII. */
  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    const full = this.#size >= this.#options.limitBytes();
    this.#wasFull ||= full;
    return full;
  }

  /** Whether a stream may add more: below a quarter of the bound, so that replies always find room. */
  get hasRoomForStream(): boolean {
    const room = this.#size < this.#options.limitBytes() / 4;
    if (!room) this.#wasFull = true;
    return room;
  }

  /**
   * Whether less than so many bytes wait; for what is better dropped than told late.
   *
   * @param more Bytes of what would be added, which all outboxes together must have room for unless they are few.
   */
  hasRoomWithin(bytes: number, more = 0): boolean {
    const room = this.#size < Math.min(bytes, this.#options.limitBytes() / 4);
    if (!room) this.#wasFull = true;
    return room && (more <= FEW_BYTES || (this.#options.mayHold?.(more) ?? true));
  }

  /** Queues whole lines, each with its end. */
  push(piece: Piece): void {
    if (this.#broken) return;
    this.#queue.push(piece);
    this.#grow(piece.length);
    if (this.#scheduled || this.#writing) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#writing) this.#write();
    });
  }

  /** Resolves when all that was queued is written, or cannot be. */
  flushed(): Promise<void> {
    if (this.#broken || (this.#queue.length === 0 && !this.#writing)) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** As `flushed`, but gives up when nothing was written for so long. */
  async flushedOrStuck(stuckMs: number): Promise<void> {
    let done = false;
    const flushed = this.flushed().then(() => done = true);
    while (!done) {
      const before = this.#writtenBytes;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const pause = new Promise((resolve) => timer = setTimeout(resolve, stuckMs));
      await Promise.race([flushed, pause]);
      clearTimeout(timer);
      if (this.#writtenBytes === before) return;
    }
  }

  /** Gives the connection up, as when the other side is gone. */
  fail(): void {
    if (!this.#broken) this.#options.onBroken();
    this.abandon();
  }

  /** Throws away what is queued; nothing is written any more. */
  abandon(): void {
    this.#queue = [];
    this.#grow(-this.#size);
    this.#broken = true;
    this.#settleIdle();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    try {
      while (this.#queue.length > 0 && !this.#broken) {
        const pieces = this.#queue;
        this.#queue = [];
        for (const bytes of this.#joined(pieces)) await this.#writeAll(bytes);
      }
    } catch {
      this.fail();
    }
    this.#writing = false;
    this.#settleIdle();
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength && !this.#broken;) {
      const count = await this.#writer.write(at === 0 ? bytes : bytes.subarray(at));
      at += count;
      this.#writtenBytes += count;
      this.#options.onWritten?.(count);
      this.#grow(-count);
      this.#tellRoom();
    }
  }

  #grow(bytes: number): void {
    if (this.#broken) return;
    this.#size += bytes;
    this.#options.hold(bytes);
  }

  #tellRoom(): void {
    if (!this.#wasFull || this.#size >= this.#options.limitBytes() / 8) return;
    this.#wasFull = false;
    this.#options.onRoom();
  }

  /** Encodes and joins what was queued, and puts the count of bytes right. */
  #joined(pieces: readonly Piece[]): Uint8Array[] {
    const parts: Uint8Array[] = [];
    let text = "";
    const endText = () => {
      if (text === "") return;
      const bytes = encoder.encode(text);
      this.#grow(bytes.byteLength - text.length);
      parts.push(bytes);
      text = "";
    };
    for (const piece of pieces) {
      if (typeof piece === "string") text += piece;
      else {
        endText();
        parts.push(piece);
      }
    }
    endText();
    return coalesced(parts);
  }

  #settleIdle(): void {
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }
}

function coalesced(parts: readonly Uint8Array[]): Uint8Array[] {
  if (parts.length <= 1) return [...parts];
  const joined: Uint8Array[] = [];
  let group: Uint8Array[] = [];
  let bytes = 0;
  const endGroup = () => {
    if (group.length > 0) joined.push(group.length === 1 ? group[0]! : concatenated(group, bytes));
    group = [];
    bytes = 0;
  };
  for (const part of parts) {
    if (bytes + part.byteLength > COALESCE_BYTES) endGroup();
    group.push(part);
    bytes += part.byteLength;
  }
  endGroup();
  return joined;
}

function concatenated(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
