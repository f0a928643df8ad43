/**
 * State that is decided at once and stored in the order of the decisions.
 *
 * Invariants: every decision stands on those before it; one write is under way at a time, and what is decided
 * meanwhile goes together into the next; what was decided on something that could not be stored is not stored either:
 * then the state is again what the disk says, and whoever waits gets the store's error.
 *
 * States are values: they are replaced and never changed. Bounded by whoever decides, through `waitingChars`.
 */

import type { NewEvent } from "./event.ts";
import { Ticket } from "./ticket.ts";

/** Where an event came to stand. */
export interface Placed {
  readonly seq: number;
  readonly msgId: string;
}

/** Stores what lies between two states, together with its events or not at all. */
export type StateWriter<S> = (
  change: { readonly from: S; readonly to: S; readonly events: readonly NewEvent[] },
) => Ticket<readonly Placed[]>;

interface Decision<S> {
  readonly state: S;
  readonly events: readonly NewEvent[];
  readonly chars: number;
  readonly ticket: Ticket<readonly Placed[]>;
}

/** Characters of events that go into one write; one decision always. */
const WRITE_CHARS = 64 * 1024;
/** Decisions that go into one write: each may change a document. */
const WRITE_DECISIONS = 64;

/** One state with its decisions on their way to the disk. */
export class StateChain<S> {
  readonly #write: StateWriter<S>;
  #decided: S;
  #stored: S;
  #waiting: Decision<S>[] = [];
  #waitingChars = 0;
  #isWriting = false;

  constructor(state: S, write: StateWriter<S>) {
    this.#decided = this.#stored = state;
    this.#write = write;
  }

  /** With all decisions, those too that are on their way. */
  get decided(): S {
    return this.#decided;
  }

  /** As it is on disk, and as others may see it. */
  get stored(): S {
    return this.#stored;
  }

  /** Whether a decision is on its way. */
  get isBusy(): boolean {
    return this.#isWriting || this.#waiting.length > 0;
  }

  /** Characters of events whose write has not begun. */
  get waitingChars(): number {
    return this.#waitingChars;
  }

  /**
   * Decides.
   *
   * @param state What holds from now on; the same as before where there is only something to tell.
   * @param events What is told of it. A change without any is written alone.
   * @returns Settled when it is on disk, with the places of the events.
   */
  decide(state: S, events: readonly NewEvent[]): Ticket<readonly Placed[]> {
    const ticket = new Ticket<readonly Placed[]>();
    const chars = events.reduce((sum, { envelope }) => sum + envelope.length, 0);
    this.#decided = state;
    this.#waiting.push({ state, events, chars, ticket });
    this.#waitingChars += chars;
    this.#writeNext();
    return ticket;
  }

  #writeNext(): void {
    if (this.#isWriting || this.#waiting.length === 0) return;
    const taken = this.#take();
    const to = taken.at(-1)!.state;
    const events = taken.flatMap((decision) => decision.events);
    this.#isWriting = true;
    this.#write({ from: this.#stored, to, events }).whenSettled((outcome) => {
      this.#isWriting = false;
      if (!outcome.ok) return this.#goBack(taken, outcome.error);
      this.#stored = to;
      let at = 0;
      for (const { events: { length }, ticket } of taken) {
        ticket.succeed(outcome.value.slice(at, at += length));
      }
      this.#writeNext();
    });
  }

  #goBack(taken: readonly Decision<S>[], error: unknown): void {
    const failed = [...taken, ...this.#waiting];
    this.#waiting = [];
    this.#waitingChars = 0;
    this.#decided = this.#stored;
    for (const { ticket } of failed) ticket.fail(error);
  }

  #take(): Decision<S>[] {
    let chars = 0;
    let count = 0;
    for (const { events, chars: own } of this.#waiting.slice(0, WRITE_DECISIONS)) {
      const isAlone = events.length === 0;
      if (count > 0 && (isAlone || chars + own > WRITE_CHARS)) break;
      chars += own;
      count++;
      if (isAlone) break;
    }
    this.#waitingChars -= chars;
    return this.#waiting.splice(0, count);
  }
}
