/**
 * Bodies that are read whole, as text.
 *
 * Bounds: one body as its route says, and `TOTAL_BYTES` of all that are read or carried out at once; one that is
 * not whole `PATIENCE_MS` after the daemon began to stop is not waited for.
 */

import { PosternError } from "../../core/errors.ts";

/** Bytes of all bodies that are held at once. */
const TOTAL_BYTES = 64 * 1024 * 1024;
/** On a stop, how long the rest of a body is waited for. */
const PATIENCE_MS = 1000;

/** The bodies of one server's requests. */
export class RequestBodies {
  readonly #stopped = Promise.withResolvers<never>();
  #heldBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    // Most often nobody waits for it.
    this.#stopped.promise.catch(() => {});
  }

  /** Gives up what does not come any more. */
  stop(): void {
    const refusal = new PosternError("shutting_down", "the daemon is stopping");
    this.#timer ??= setTimeout(() => this.#stopped.reject(refusal), PATIENCE_MS);
  }

  /** To be called when no body is awaited any more. */
  close(): void {
    clearTimeout(this.#timer);
  }

  /**
   * Reads a body, and counts it as held until what is done with it is over.
   *
   * @throws PosternError `too_large`, `too_many`, `parse_error`, `shutting_down`, `invalid_request` for half of one
   */
  async use<T>(
    request: Request,
    maxBytes: number,
    carryOut: (text: string) => Promise<T>,
  ): Promise<T> {
    const announced = Number(request.headers.get("content-length") ?? 0);
    if (announced > maxBytes) throw tooLarge(maxBytes);
    let bytes = 0;
    try {
      const decoder = new TextDecoder("utf-8", { fatal: true });
      let text = "";
      for (const reader = request.body?.getReader(); reader !== undefined;) {
        const { done, value } = await Promise.race([
          reader.read().catch(cutOff),
          this.#stopped.promise,
        ]);
        if (done) break;
        bytes += value.byteLength;
        this.#heldBytes += value.byteLength;
        if (bytes > maxBytes) throw tooLarge(maxBytes);
        if (this.#heldBytes > TOTAL_BYTES) throw tooMuch();
        text += decoded(decoder, value);
      }
      return await carryOut(text + decoded(decoder));
    } finally {
      this.#heldBytes -= bytes;
    }
  }
}

/** Nobody is there to read it. */
function cutOff(): never {
  throw new PosternError("invalid_request", "the body ended before it was whole");
}

function decoded(decoder: TextDecoder, bytes?: Uint8Array): string {
  try {
    return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
  } catch {
    throw new PosternError("parse_error", "a body must be UTF-8, this one is not");
  }
}

function tooLarge(limit: number): PosternError {
  return new PosternError(
    "too_large",
    `a body must be at most ${limit} bytes, this one is longer`,
    { limit },
  );
}

function tooMuch(): PosternError {
  return new PosternError(
    "too_many",
    `all bodies together must be at most ${TOTAL_BYTES} bytes; ask again later`,
    { limit: TOTAL_BYTES },
  );
}
