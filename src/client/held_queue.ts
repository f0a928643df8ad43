/**
 * What came and was not taken yet, oldest first, with its length in characters. Its owner sees to the bound.
 */

/** Taken items stay in the array until there are so many. */
const MAX_TAKEN = 1024;

interface Held<T> {
  readonly item: T;
  readonly chars: number;
}

/** A queue that knows how many characters it holds. */
export class HeldQueue<T> {
  #held: Held<T>[] = [];
  /** Where the queue begins: shifting a long array is slow. */
  #first = 0;
  #chars = 0;

  get size(): number {
    return this.#held.length - this.#first;
  }

  get chars(): number {
    return this.#chars;
  }

  /** The oldest; it stays. */
  get first(): T | undefined {
    return this.#held[this.#first]?.item;
  }

  push(item: T, chars: number): void {
    this.#held.push({ item, chars });
    this.#chars += chars;
  }

  /** Takes the oldest. */
  shift(): T | undefined {
    const held = this.#held[this.#first];
    if (held === undefined) return undefined;
    this.#first++;
    this.#chars -= held.chars;
    if (this.size === 0 || this.#first >= MAX_TAKEN) {
      this.#held = this.#held.slice(this.#first);
      this.#first = 0;
    }
    return held.item;
  }

  clear(): void {
    this.#held = [];
    this.#first = this.#chars = 0;
  }
}
