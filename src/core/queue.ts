/**
 * A queue, first in first out: adding and taking cost the same however long it is, which an array's `shift` does not.
 *
 * Invariant: what was taken takes no memory. Bound: whoever adds, for a queue refuses nothing; beside what is in it,
 * it has room for at most `MAX_TAKEN` that were taken.
 */

/** Empty places at the front above which what follows is moved there. */
const MAX_TAKEN = 1024;

/** Items in the order in which they were added. */
export class Queue<T> {
  #items: (T | undefined)[] = [];
  /** Where the first stands. */
  #first = 0;

  get size(): number {
    return this.#items.length - this.#first;
  }

  /** The first, or `undefined` for none. */
  get first(): T | undefined {
    return this.#items[this.#first];
  }

  add(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first out; `undefined` for none. */
  take(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first++] = undefined;
    if (this.size === 0 || this.#first > MAX_TAKEN) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#first = 0;
  }
}
