/**
 * The way from a turn's id to where it is: open turns by their sessions, and of ended ones how they ended.
 *
 * Bounds: `MAX_OPEN_CHARS` of all open turns, `MAX_OPEN_CHARS_EACH` of those of one token but the owner's; `MAX_ENDED`
 * ends, the oldest forgotten first.
 */

import { PosternError, shown } from "./errors.ts";
import type { Turn, TurnEnd } from "./session.ts";
import { Shares } from "./shares.ts";
import type { SessionTurns } from "./turns.ts";

/** Of the messages of all turns that are open. More is refused with `too_many`. */
export const MAX_OPEN_CHARS = 16 * 1024 * 1024;
/** Of them those that were asked for with one token, if that is not the owner's. */
export const MAX_OPEN_CHARS_EACH = 4 * 1024 * 1024;
/** Turns of which it is remembered how they ended. */
export const MAX_ENDED = 10_000;

/** What counts of a turn. */
type Counted = Pick<Turn, "tokenId" | "text" | "data">;

interface OpenTurn {
  readonly turns: SessionTurns;
  readonly tokenId: string;
  readonly chars: number;
}

/** The turns of one daemon by their ids. */
export class OpenTurns {
  readonly #open = new Map<string, OpenTurn>();
  readonly #chars = new Shares({ all: MAX_OPEN_CHARS, each: MAX_OPEN_CHARS_EACH });
  readonly #ended = new Map<string, TurnEnd>();

  /** @throws PosternError `too_many` */
  requireRoom(operation: string, asked: Counted): void {
    const exceeded = this.#chars.exceededBy(asked.tokenId, charsOf(asked));
    if (exceeded === null) return;
    const { limit, isOfToken } = exceeded;
    const whose = isOfToken ? " of this token" : "";
    throw new PosternError(
      "too_many",
      `${operation}: the messages of all open turns${whose} take at most ${limit} characters`,
      { limit },
    );
  }

  /** @param turns Of the session that the turn belongs to. */
  enter(turns: SessionTurns, turn: Counted & Pick<Turn, "id">): void {
    const { id, tokenId } = turn;
    const chars = charsOf(turn);
    this.#open.set(id, { turns, tokenId, chars });
    this.#chars.take(tokenId, chars);
  }

  /** It never was: it could not be stored. */
  forget(turnId: string): void {
    const open = this.#open.get(turnId);
    if (open === undefined) return;
    this.#open.delete(turnId);
    this.#chars.giveBack(open.tokenId, open.chars);
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

function charsOf({ text, data }: Counted): number {
  return text.length + (data?.length ?? 0);
}
