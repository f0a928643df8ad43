/**
 * The way from a turn's id to where it is: open turns by their sessions, and of ended ones how they ended.
 *
 * Bounds: `MAX_OPEN_CHARS` of all open turns; `MAX_ENDED` ends, the oldest forgotten first.
 */

import { PosternError, shown } from "./errors.ts";
import type { TurnEnd } from "./session.ts";
import type { SessionTurns } from "./turns.ts";

/** Of the messages of all turns that are open. More is refused with `too_many`. */
export const MAX_OPEN_CHARS = 16 * 1024 * 1024;
/** Turns of which it is remembered how they ended. */
export const MAX_ENDED = 10_000;

interface OpenTurn {
  readonly turns: SessionTurns;
  readonly chars: number;
}

/** The turns of one daemon by their ids. */
export class OpenTurns {
  readonly #open = new Map<string, OpenTurn>();
  #chars = 0;
  readonly #ended = new Map<string, TurnEnd>();

  /** @throws PosternError `too_many` */
  requireRoom(operation: string, chars: number): void {
    if (this.#chars + chars <= MAX_OPEN_CHARS) return;
    throw new PosternError(
      "too_many",
      `${operation}: the messages of all open turns take at most ${MAX_OPEN_CHARS} characters`,
      { limit: MAX_OPEN_CHARS },
    );
  }

  enter(turnId: string, open: OpenTurn): void {
    this.#open.set(turnId, open);
    this.#chars += open.chars;
  }

  /** It never was: it could not be stored. */
  forget(turnId: string): void {
    this.#chars -= this.#open.get(turnId)?.chars ?? 0;
    this.#open.delete(turnId);
  }

  /** Its end is on disk. */
  ended(turnId: string, end: TurnEnd): void {
    this.forget(turnId);
    this.#ended.set(turnId, end);
    if (this.#ended.size > MAX_ENDED) this.#ended.delete(this.#ended.keys().next().value!);
  }

  /** The session of a turn, if it is open. */
  find(turnId: string): SessionTurns | undefined {
    return this.#open.get(turnId)?.turns;
  }

  /**
   * The session of an open turn.
   *
   * @throws PosternError `conflict` for one that has ended, `not_found` for one that is not remembered.
   */
  get(operation: string, turnId: string): SessionTurns {
    const open = this.#open.get(turnId);
    if (open !== undefined) return open.turns;
    const outcome = this.#ended.get(turnId);
    if (outcome === undefined) {
      throw new PosternError("not_found", `${operation}: there is no open turn ${shown(turnId)}`);
    }
    throw new PosternError(
      "conflict",
      `${operation}: turn ${shown(turnId)} has ended as ${outcome}`,
      { outcome },
    );
  }
}
