/**
 * Answers that are longer than a socket takes at once: handed over a piece at a time, as their readers take them.
 *
 * Bounds: `MAX_BYTES` and `MAX_ANSWERS` that are not taken; beyond, the one is cut off of which nothing was taken for
 * longest, and so is one of which nothing was taken for `STUCK_MS`.
 */

import { PosternError } from "../../core/errors.ts";
import { JSON_HEADERS } from "./route.ts";

/** The sockets take so much even when nobody reads. */
const SMALL_BYTES = 64 * 1024;
/** The platform takes up to sixteen pieces ahead of the reader. */
const PIECE_BYTES = 8 * 1024;
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_ANSWERS = 256;
const STUCK_MS = 10_000;

const encoder = new TextEncoder();

/** Gives the next piece, `null` behind the last one. */
type Pieces = () => Uint8Array | null | Promise<Uint8Array | null>;

interface Open {
  readonly bytes: number;
  cut(): void;
}

/** The long answers of one server. */
export class Answers {
  readonly #stuckMs: number;
  /** The one that was not read from for longest comes first. */
  readonly #open = new Set<Open>();
  #bytes = 0;

  /** @param stuckMs How long nothing of an answer may be taken. @default 10 s */
  constructor(stuckMs: number = STUCK_MS) {
    this.#stuckMs = stuckMs;
  }

  /** How many are not taken yet. */
  get count(): number {
    return this.#open.size;
  }

  /** Text as the body of an answer, JSON unless the headers say otherwise. */
  respond(text: string, status = 200, headers: Record<string, string> = JSON_HEADERS): Response {
    if (text.length < SMALL_BYTES / 3) return new Response(text, { status, headers });
    const bytes = encoder.encode(text);
    if (bytes.byteLength <= SMALL_BYTES) return new Response(bytes, { status, headers });
    let at = 0;
    const next = () => at < bytes.byteLength ? bytes.subarray(at, at += PIECE_BYTES) : null;
    const body = this.#paced(next, bytes.byteLength, () => {});
    return new Response(body, {
      status,
      headers: { ...headers, "content-length": String(bytes.byteLength) },
    });
  }

  /** Content that is read from elsewhere as it is taken, and so takes no memory of its own. */
  stream(content: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const reader = content.getReader();
    const next = async () => (await reader.read()).value ?? null;
    return this.#paced(next, 0, () => reader.cancel().catch(() => {}));
  }

  /** Cuts off whoever has not taken theirs. */
  close(): void {
    for (const { cut } of [...this.#open]) cut();
  }

  #paced(next: Pieces, bytes: number, onCut: () => void): ReadableStream<Uint8Array> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let controller: ReadableStreamDefaultController<Uint8Array>;
    const end = () => {
      clearTimeout(timer);
      if (this.#open.delete(open)) this.#bytes -= bytes;
    };
    const open: Open = {
      bytes,
      cut: () => {
        end();
        controller.error(new PosternError("too_many", "nobody takes the answer; it was cut off"));
        onCut();
      },
    };
    // What is taken from makes room by being the last to be cut off.
    const taken = () => {
      clearTimeout(timer);
      this.#open.delete(open);
      this.#open.add(open);
      timer = setTimeout(open.cut, this.#stuckMs);
    };
    const body = new ReadableStream<Uint8Array>({
      start: (given) => void (controller = given),
      pull: async () => {
        const piece = await next();
        if (!this.#open.has(open)) return;
        taken();
        if (piece !== null) return controller.enqueue(piece);
        end();
        controller.close();
      },
      cancel: () => {
        end();
        onCut();
      },
    }, { highWaterMark: 0 });
    this.#bytes += bytes;
    taken();
    while (this.#bytes > MAX_BYTES || this.#open.size > MAX_ANSWERS) {
      this.#open.values().next().value!.cut();
    }
    return body;
  }
}
