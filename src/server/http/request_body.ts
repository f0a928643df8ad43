/**
 * Bodies that are read whole, as text, and what is done with them until it is answered.
 *
 * Bounds: one body as its route says, and `TOTAL_BYTES` of all that are read or carried out at once, of which one token
 * has a quarter, for one body as for several, and the owner's has one kept; so long for a part of it, and for all.
 * Whoever has shown no token has less of everything, and takes at most 256 KiB of the total (`MAX_STRANGERS` bodies of
 * `STRANGER_BYTES`). On a stop one that is not whole after `PATIENCE_MS` is not waited for.
 */

import { PosternError } from "../../core/errors.ts";
import { Places, quarters } from "../../core/places.ts";
import { OWNER_ID } from "../../core/principal.ts";
import type { Exchange } from "./route.ts";

/** Bytes of all bodies that are held at once. */
const TOTAL_BYTES = 64 * 1024 * 1024;
const SHARES = quarters(TOTAL_BYTES);
/** On a stop, how long the rest of a body is waited for. */
const PATIENCE_MS = 1000;
/** How long the next part of a body may take, and all of it together. */
const IDLE_MS = 30_000;
const WHOLE_MS = 120_000;
/** Bytes of a body without a token: `auth.login` fits, and what needs no token. */
const STRANGER_BYTES = 4 * 1024;
/** Bodies without a token at once. */
const MAX_STRANGERS = 64;

/** One body, from its first part until what it asks for is answered. */
interface Use {
  readonly ended: AbortController;
  isRead: boolean;
}

export interface RequestBodiesOptions {
  /** How long a body may take whose sender has shown no token. */
  readonly strangerMs: () => number;
  /** @default 30 s */
  readonly idleMs?: number;
  /** @default 2 min */
  readonly wholeMs?: number;
}

/** The bodies of one server's requests. */
export class RequestBodies {
  readonly #options: RequestBodiesOptions;
  readonly #inUse = new Set<Use>();
  #strangers = 0;
  readonly #bytes = new Places({ of: "bodies", what: "bytes", ...SHARES });
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RequestBodiesOptions) {
    this.#options = options;
  }

  /** Ends what is carried out and can be ended, and a little later also what does not come any more. */
  stop(): void {
    for (const use of this.#inUse) if (use.isRead) use.ended.abort(stopping());
    this.#timer ??= setTimeout(() => {
      for (const { ended } of this.#inUse) ended.abort(stopping());
    }, PATIENCE_MS);
  }

  /** To be called when no body is awaited any more. */
  close(): void {
    clearTimeout(this.#timer);
  }

  /**
   * Reads a body, and counts it as held until what is done with it is over.
   *
   * @param carryOut Its signal says, by a PosternError, that nobody waits for the answer or that the daemon stops.
   * @throws PosternError `auth_required`, `too_large`, `too_many`, `parse_error`, `shutting_down`, `timeout`,
   * `invalid_request` for half of one
   */
  async use<T>(
    { request, caller }: Pick<Exchange, "request" | "caller">,
    maxBytes: number,
    carryOut: (text: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const isStranger = caller.principal === null;
    const tokenId = caller.principal?.tokenId ?? "";
    const requireSize = (bytes: number) => {
      if (isStranger && bytes > STRANGER_BYTES) throw needsToken();
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      // There will never be room for it: that is no reason to try again.
      if (tokenId !== OWNER_ID && bytes > SHARES.perToken) throw tooLargeForToken(SHARES.perToken);
    };
    requireSize(Number(request.headers.get("content-length") ?? 0));
    if (isStranger && this.#strangers >= MAX_STRANGERS) throw tooManyStrangers();
    const use: Use = { ended: new AbortController(), isRead: false };
    const onGone = () => use.ended.abort(gone());
    request.signal.addEventListener("abort", onGone);
    this.#inUse.add(use);
    if (isStranger) this.#strangers++;
    const held = { bytes: 0 };
    try {
      const text = await this.#read(request, use, {
        wholeMs: isStranger ? this.#options.strangerMs() : this.#options.wholeMs ?? WHOLE_MS,
        take: (bytes) => {
          requireSize(held.bytes + bytes);
          this.#bytes.add(tokenId, bytes);
          held.bytes += bytes;
        },
      });
      use.isRead = true;
      return await carryOut(text, use.ended.signal);
    } finally {
      request.signal.removeEventListener("abort", onGone);
      this.#inUse.delete(use);
      if (isStranger) this.#strangers--;
      this.#bytes.giveBack(tokenId, held.bytes);
    }
  }

  async #read(
    { body }: Request,
    { ended }: Use,
    { wholeMs, take }: { readonly wholeMs: number; readonly take: (bytes: number) => void },
  ): Promise<string> {
    if (body === null) return "";
    const { signal } = ended;
    const { promise: over, reject } = Promise.withResolvers<never>();
    over.catch(() => {});
    signal.addEventListener("abort", () => reject(signal.reason));
    const { idleMs = IDLE_MS } = this.#options;
    const end = performance.now() + wholeMs;
    const reader = body.getReader();
    const decoder = new TextDecoder("utf-8", { fatal: true });
    let text = "";
    try {
      for (;;) {
        const leftMs = end - performance.now();
        if (leftMs <= 0) throw tooSlow();
        const timer = setTimeout(() => ended.abort(tooSlow()), Math.min(idleMs, leftMs));
        const { done, value } = await Promise.race([reader.read().catch(cutOff), over])
          .finally(() => clearTimeout(timer));
        if (done) return text + decoded(decoder);
        take(value.byteLength);
        text += decoded(decoder, value);
      }
    } catch (error) {
      reader.cancel().catch(() => {});
      throw error;
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

function stopping(): PosternError {
  return new PosternError("shutting_down", "the daemon is stopping");
}

function gone(): PosternError {
  return new PosternError("invalid_request", "whoever asked has gone");
}

function tooSlow(): PosternError {
  return new PosternError("timeout", "the body did not come in time");
}

function needsToken(): PosternError {
  return new PosternError(
    "auth_required",
    `without a token a body must be at most ${STRANGER_BYTES} bytes, this one is longer; show the token in a header`,
    { limit: STRANGER_BYTES },
  );
}

function tooManyStrangers(): PosternError {
  return new PosternError(
    "too_many",
    `at most ${MAX_STRANGERS} requests without a token may have a body at once`,
    { limit: MAX_STRANGERS },
  );
}

function tooLargeForToken(limit: number): PosternError {
  return new PosternError(
    "too_large",
    `a body must be at most ${limit} bytes unless the owner sends it, this one is longer`,
    { limit },
  );
}

function tooLarge(limit: number): PosternError {
  return new PosternError(
    "too_large",
    `a body must be at most ${limit} bytes, this one is longer`,
    { limit },
  );
}
