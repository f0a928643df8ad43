/**
 * What ends in any order, finished in the order in which it began.
 *
 * Invariant: each is finished once, after all that began before it. Bounded by whoever begins.
 */

import { Queue } from "./queue.ts";

/** `finish` is there once it has ended. */
interface Begun {
  finish: (() => void) | null;
}

/** The queue of what has begun and is not finished. */
export class InOrder {
  readonly #begun = new Queue<Begun>();

  /** How many are not finished. */
  get size(): number {
    return this.#begun.size;
  }

  /** Begins one. @returns What is to be called when it ends, with how it is finished. */
  begin(): (finish: () => void) => void {
    const begun: Begun = { finish: null };
    this.#begun.add(begun);
    return (finish) => {
      begun.finish = finish;
      this.#finish();
    };
  }

  /** Not counted any more when it is called: `finish` may begin others. */
  #finish(): void {
    for (let finish = this.#next(); finish !== null; finish = this.#next()) {
      this.#begun.take();
      finish();
    }
  }

  #next(): (() => void) | null {
    return this.#begun.first?.finish ?? null;
  }
}
