/**
 * A result that comes later, delivered by a plain callback in the turn in which it is known.
 *
 * A promise for each message of a pipelined send costs more than the message; a ticket is settled once,
 * has few listeners, and calls one at once when it is settled already.
 */

type Outcome<T> = { readonly ok: true; readonly value: T } | {
  readonly ok: false;
  readonly error: unknown;
};

type Listener<T> = (outcome: Outcome<T>) => void;

/** One pending result. Settled exactly once; a second settling is a bug and ignored. */
export class Ticket<T> {
  #outcome: Outcome<T> | null = null;
  #listener: Listener<T> | null = null;
  #moreListeners: Listener<T>[] | null = null;

  /** A ticket that already has its value. */
  static of<T>(value: T): Ticket<T> {
    const ticket = new Ticket<T>();
    ticket.succeed(value);
    return ticket;
  }

  succeed(value: T): void {
    this.#settle({ ok: true, value });
  }

  fail(error: unknown): void {
    this.#settle({ ok: false, error });
  }

  /** Calls `listener` with the outcome: now, or when it is known. */
  whenSettled(listener: Listener<T>): void {
    if (this.#outcome !== null) listener(this.#outcome);
    else if (this.#listener === null) this.#listener = listener;
    else (this.#moreListeners ??= []).push(listener);
  }

  /** A ticket for what `change` makes of the value. */
  map<U>(change: (value: T) => U): Ticket<U> {
    const next = new Ticket<U>();
    this.whenSettled((outcome) => {
      if (outcome.ok) next.succeed(change(outcome.value));
      else next.fail(outcome.error);
    });
    return next;
  }

  /** A ticket for what `next` comes to, which begins once this one has succeeded; what it throws is a failure. */
  chain<U>(next: (value: T) => Ticket<U>): Ticket<U> {
    const result = new Ticket<U>();
    this.whenSettled((outcome) => {
      if (!outcome.ok) return result.fail(outcome.error);
      try {
        next(outcome.value).whenSettled((last) =>
          last.ok ? result.succeed(last.value) : result.fail(last.error)
        );
      } catch (error) {
        result.fail(error);
      }
    });
    return result;
  }

  /** The outcome as a promise. */
  promise(): Promise<T> {
    return new Promise((resolve, reject) => {
      this.whenSettled((outcome) => outcome.ok ? resolve(outcome.value) : reject(outcome.error));
    });
  }

  #settle(outcome: Outcome<T>): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    this.#listener?.(outcome);
    this.#moreListeners?.forEach((listener) => listener(outcome));
    this.#listener = this.#moreListeners = null;
  }
}

/** A ticket for the values of all, in their order; it fails with the first that does. */
export function allSettled<T>(tickets: readonly Ticket<T>[]): Ticket<readonly T[]> {
  const all = new Ticket<readonly T[]>();
  const values: T[] = new Array(tickets.length);
  let missing = tickets.length;
  if (missing === 0) all.succeed(values);
  tickets.forEach((ticket, i) =>
    ticket.whenSettled((outcome) => {
      if (!outcome.ok) return all.fail(outcome.error);
      values[i] = outcome.value;
      if (--missing === 0) all.succeed(values);
    })
  );
  return all;
}
