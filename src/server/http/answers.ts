/**
 * Answers that are longer than a socket takes at once: handed over a piece at a time, as their readers take them.
 *
 * Bounds: `MAX_BYTES` and `MAX_ANSWERS` that are not taken; beyond, of the token's that has most of them the one is cut
 * off of which nothing was taken for longest. So is one of which nothing was taken for `STUCK_MS`, or for as long as
 * its route says.
 */

import { PosternError } from "../../core/errors.ts";
import { utf8Length } from "../../core/text.ts";
import { JSON_HEADERS } from "./route.ts";

/** The sockets take so much even when nobody reads. */
const SMALL_BYTES = 64 * 1024;
/** The platform takes up to sixteen pieces ahead of the reader. */
const PIECE_CHARS = 8 * 1024;
const MAX_BYTES = 64 * 1024 * 1024;
const CROWDED_BYTES = MAX_BYTES / 8;
const MAX_ANSWERS = 256;
const STUCK_MS = 10_000;

const encoder = new TextEncoder();

/** Gives the next piece, `null` behind the last one. */
type Pieces = () => Uint8Array | null | Promise<Uint8Array | null>;

interface Open {
  readonly bytes: number;
  cut(): void;
}

/** What one token has not taken. */
interface Share {
  bytes: number;
  /** The one that was not read from for longest comes first. */
  readonly open: Set<Open>;
}

/** One answer on its way. */
interface Paced {
  readonly tokenId: string;
  readonly next: Pieces;
  readonly bytes: number;
  readonly stuckMs: number;
  readonly onCut: () => void;
}

/** Where the answers to one token go. */
export interface TokenAnswers {
  /** Whether so much is not taken yet, some of it by this token, that answers had better be made one by one. */
  readonly isCrowded: boolean;
  /** Text as the body of an answer, JSON unless the headers say otherwise. */
  respond(text: string, status?: number, headers?: Record<string, string>): Response;
  /**
   * Content that is read from elsewhere as it is taken, and so takes no memory of its own.
   *
   * @param stuckMs How long nothing of it may be taken. @default that of all answers
   */
  stream(content: ReadableStream<Uint8Array>, stuckMs?: number): ReadableStream<Uint8Array>;
}

/** Encoded as they are taken: what is cut off is text, which goes with the next collection. */
function piecesOf(text: string): Pieces {
  let at = 0;
  return () => {
    if (at >= text.length) return null;
    let to = at + PIECE_CHARS;
    // Not between the halves of one character.
    if ((text.charCodeAt(to) & 0xfc00) === 0xdc00) to++;
    const piece = encoder.encode(text.slice(at, to));
    at = to;
    return piece;
  };
}

/** The long answers of one server. */
export class Answers {
  readonly #stuckMs: number;
  readonly #shares = new Map<string, Share>();
  #bytes = 0;
  #count = 0;

  /** @param stuckMs How long nothing of an answer may be taken. @default 10 s */
  constructor(stuckMs: number = STUCK_MS) {
    this.#stuckMs = stuckMs;
  }

  /** How many are not taken yet. */
  get count(): number {
    return this.#count;
  }

  /** Those to one token; without one all are alike. */
  of(tokenId: string): TokenAnswers {
    const isCrowded = () => this.#bytes > CROWDED_BYTES && this.#shares.has(tokenId);
    return {
      get isCrowded() {
        return isCrowded();
      },
      respond: (text, status = 200, headers = JSON_HEADERS) => {
        const bytes = utf8Length(text);
        if (bytes <= SMALL_BYTES) return new Response(text, { status, headers });
        const next = piecesOf(text);
        const stuckMs = this.#stuckMs;
        const body = this.#paced({ tokenId, next, bytes, stuckMs, onCut: () => {} });
        return new Response(body, {
          status,
          headers: { ...headers, "content-length": String(bytes) },
        });
      },
      stream: (content, stuckMs = this.#stuckMs) => {
        const reader = content.getReader();
        const next = async () => (await reader.read()).value ?? null;
        const onCut = () => void reader.cancel().catch(() => {});
        return this.#paced({ tokenId, next, bytes: 0, stuckMs, onCut });
      },
    };
  }

  /** Cuts off whoever has not taken theirs. */
  close(): void {
    for (const { open } of [...this.#shares.values()]) {
      for (const { cut } of [...open]) cut();
    }
  }

  #paced({ tokenId, next: given, bytes, stuckMs, onCut }: Paced): ReadableStream<Uint8Array> {
    // The platform keeps what it was given until it can say that it was cut off; the content goes at once.
    let next: Pieces | null = given;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let controller: ReadableStreamDefaultController<Uint8Array>;
    const end = () => {
      clearTimeout(timer);
      if (next !== null) this.#leave(tokenId, open);
      next = null;
    };
    const open: Open = {
      bytes,
      cut: () => {
        end();
        controller.error(new PosternError("too_many", "nobody takes the answer; it was cut off"));
        onCut();
      },
    };
    const share = this.#enter(tokenId, open);
    // What is taken from makes room by being the last to be cut off.
    const taken = () => {
      clearTimeout(timer);
      share.open.delete(open);
      share.open.add(open);
      timer = setTimeout(open.cut, stuckMs);
    };
    const body = new ReadableStream<Uint8Array>({
      start: (given) => void (controller = given),
      pull: async () => {
        const piece = await next?.();
        if (piece === undefined || next === null) return;
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
    taken();
    while (this.#bytes > MAX_BYTES) this.#cutOne(({ bytes }) => bytes);
    while (this.#count > MAX_ANSWERS) this.#cutOne(({ open }) => open.size);
    return body;
  }

  #enter(tokenId: string, open: Open): Share {
    const share = this.#shares.get(tokenId) ?? { bytes: 0, open: new Set() };
    this.#shares.set(tokenId, share);
    share.open.add(open);
    share.bytes += open.bytes;
    this.#bytes += open.bytes;
    this.#count++;
    return share;
  }

  #leave(tokenId: string, open: Open): void {
    const share = this.#shares.get(tokenId)!;
    share.open.delete(open);
    share.bytes -= open.bytes;
    if (share.open.size === 0) this.#shares.delete(tokenId);
    this.#bytes -= open.bytes;
    this.#count--;
  }

  /** Cuts off the stalest of the token's that weighs most. */
  #cutOne(weight: (share: Share) => number): void {
    const [heaviest] = [...this.#shares.values()].sort((a, b) => weight(b) - weight(a));
    const [stalest] = [...heaviest!.open];
    stalest!.cut();
  }
}
