/** A clock that moves only when a test says so, in either direction. */

import type { Clock } from "../../src/core/ports.ts";

export class FakeClock implements Clock {
  #now: number;

  constructor(now = 1_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** Moves the time; a negative step is what a corrected wall clock does. */
  step(ms: number): void {
    this.#now += ms;
  }
}
