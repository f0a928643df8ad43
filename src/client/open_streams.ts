/** The open streams of one sort that a client has: bounded, and closed with it. */

import type { AsyncStream } from "./async_stream.ts";
import { PosternError } from "./errors.ts";

/** The daemon's own bound for one connection; here it is for one client and sort of stream. */
const MAX_OPEN = 32;

/** At most `MAX_OPEN` streams. */
export class OpenStreams {
  readonly #doing: string;
  readonly #open = new Set<AsyncStream<unknown>>();

  /** @param doing What the program does with such a stream, for the message of a refusal. */
  constructor(doing: string) {
    this.#doing = doing;
  }

  /**
   * Adds a stream until it calls the given function.
   *
   * @throws {PosternError} `too_many`
   */
  add<S extends AsyncStream<unknown>>(make: (onClose: () => void) => S): S {
    if (this.#open.size >= MAX_OPEN) {
      const rule = `a client has at most ${MAX_OPEN} open ones`;
      throw new PosternError("too_many", `${this.#doing}: ${rule}, and has as many`);
    }
    const stream: S = make(() => this.#open.delete(stream));
    this.#open.add(stream);
    return stream;
  }

  closeAll(): void {
    for (const stream of [...this.#open]) stream.close();
  }
}
