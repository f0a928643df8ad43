/**
 * In which order the changes of one record begin and end.
 *
 * Invariants: they begin in the order in which they were given; one that is alone begins when nothing is on its way,
 * and one that holds lets nothing begin until it has ended; they end in the order in which they began. Bounded by
 * whoever gives them.
 */

import { InOrder } from "./in_order.ts";
import { Queue } from "./queue.ts";
import { Ticket } from "./ticket.ts";

interface Change {
  readonly isAlone: boolean;
  readonly begin: () => void;
}

/** The changes of one record. */
export class ChangeOrder {
  readonly #inFlight = new InOrder();
  readonly #waiting = new Queue<Change>();
  #isHeld = false;

  /** Whether one that has begun has not ended. */
  get isBusy(): boolean {
    return this.#inFlight.size > 0;
  }

  /** Begins a change, behind what waits already. @returns A ticket, which fails with what `begin` throws. */
  add<T>(isAlone: boolean, begin: (ticket: Ticket<T>) => void): Ticket<T> {
    const ticket = new Ticket<T>();
    this.#waiting.add({
      isAlone,
      begin() {
        try {
          begin(ticket);
        } catch (error) {
          ticket.fail(error);
        }
      },
    });
    this.#beginWaiting();
    return ticket;
  }

  /** Notes that the change that begins is on its way. @returns What is to be called when it ends, with how. */
  onItsWay(): (end: () => void) => void {
    const finish = this.#inFlight.begin();
    return (end) =>
      finish(() => {
        end();
        this.#beginWaiting();
      });
  }

  /** As `onItsWay`, and nothing begins before it has ended. */
  holdOthers(): (end: () => void) => void {
    this.#isHeld = true;
    return (end) => {
      this.#isHeld = false;
      end();
      this.#beginWaiting();
    };
  }

  #beginWaiting(): void {
    for (let next = this.#waiting.first; next !== undefined; next = this.#waiting.first) {
      if (this.#isHeld || (next.isAlone && this.isBusy)) return;
      this.#waiting.take();
      next.begin();
    }
  }
}
