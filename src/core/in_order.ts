/**
 * What ends in any order, finished in the order in which it began.
 *
 * Invariant: each is finished once, after all that began before it. Bounded by whoever begins.
 */

/** `finish` is there once it has ended. */
interface Begun {
  finish: (() => void) | null;
}

/** The queue of what has begun and is not finished. */
export class InOrder {
  /** From `#first` on: shifting a long array is slow. */
  #begun: Begun[] = [];
  #first = 0;

  /** How many are not finished. */
  get size(): number {
    return this.#begun.length - this.#first;
  }

  /** Begins one. @returns What is to be called when it ends, with how it is finished. */
  begin(): (finish: () => void) => void {
    const begun: Begun = { finish: null };
    this.#begun.push(begun);
    return (finish) => {
      begun.finish = finish;
      this.#finish();
    };
  }

  /** Not counted any more when it is called: `finish` may begin others. */
  #finish(): void {
    for (let finish = this.#next(); finish !== null; finish = this.#next()) {
      this.#first++;
      if (this.size === 0 || this.#first > 1024) {
        this.#begun = this.#begun.slice(this.#first);
        this.#first = 0;
      }
      finish();
    }
  }

  #next(): (() => void) | null {
    return this.#begun[this.#first]?.finish ?? null;
  }
}
