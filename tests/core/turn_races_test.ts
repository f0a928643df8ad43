/**
 * Any interleaving of what can happen to turns: whatever fails and whoever goes, each turn is told in order, ends
 * once, and whoever asked was told what the log says.
 */

import { assert, assertEquals } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { OWNER_ID } from "../../src/core/principal.ts";
import { Runner } from "../../src/core/runners.ts";
import { TURN_TELLINGS } from "../../src/core/turns.ts";
import { Random } from "../support/random.ts";
import {
  attempt,
  news,
  openSessions,
  QUEUE_SECS,
  restarted,
  type TestSessions,
} from "../support/test_sessions.ts";

const RUNS = 300;
const STEPS = 60;
const SESSIONS = ["a", "b", "c"];
const ENDS = ["completed", "failed", "cancelled"];
const TALE =
  /^queued( started( (delta|tool_start|tool_end))*( (completed|failed))?)?( cancelled| failed)?$/;
const FULL = new PosternError("storage_full", "no room");

/** What was asked for, and what its asker was told. */
interface Asked {
  readonly marker: string;
  ok: boolean | null;
}

/** One run, step by step. */
class Run {
  readonly random: Random;
  opened: TestSessions = openSessions();
  readonly asked: Asked[] = [];
  readonly turnIds: string[] = [];
  /** Who ended a turn and was told that it has. */
  readonly enders = new Map<string, number>();
  #runners: Runner[] = [new Runner(), new Runner(), new Runner()];
  #steps = 0;
  readonly outcomes = { ok: 0, refused: 0, lost: 0 };

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  async step(): Promise<void> {
    this.#steps++;
    const { random, opened: { sessions, clock, store } } = this;
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        return this.#send();
      case 3:
      case 4:
      case 5:
        return this.#emit();
      case 6:
        return this.#cancel();
      case 7:
        try {
          sessions.attach(random.pick(this.#runners), { sessionId: random.pick(SESSIONS) });
        } catch (error) {
          assert(error instanceof PosternError && error.code === "conflict", String(error));
        }
        return;
      case 8: {
        const at = random.below(this.#runners.length);
        sessions.runnerGone(this.#runners[at]!);
        this.#runners[at] = new Runner();
        return;
      }
      case 9:
        clock.step(random.between(-50, QUEUE_SECS * 600));
        return sessions.expire();
      case 10:
        if (random.oneIn(2)) store.failNext(FULL, random.below(3));
        return;
      default:
        if (random.oneIn(6)) return await this.restart();
        for (let i = random.below(6); i > 0; i--) await Promise.resolve();
    }
  }

  /** Stops in order and starts again. */
  async restart(): Promise<void> {
    await this.opened.log.drain();
    this.opened = restarted(this.opened);
    this.#runners = this.#runners.map(() => new Runner());
  }

  #send(): void {
    const { random, opened: { sessions } } = this;
    const marker = `send ${this.#steps}`;
    const message = {
      sessionId: random.pick(SESSIONS),
      text: marker,
      data: null,
      originator: null,
      tokenId: OWNER_ID,
    };
    this.#note(
      marker,
      attempt(() => sessions.send(message)).then((accepted) => {
        this.turnIds.push(accepted.turnId);
      }),
    );
  }

  #emit(): void {
    const turnId = this.#someTurn();
    if (turnId === null) return;
    const { random, opened: { sessions } } = this;
    const type = random.pick(TURN_TELLINGS);
    const marker = `emit ${this.#steps}`;
    const telling = { turnId, type, data: JSON.stringify(marker) };
    const told = attempt(() => sessions.emit(random.pick(this.#runners), telling));
    this.#note(marker, told.then(() => this.#endedBy(turnId, type)));
  }

  #cancel(): void {
    const turnId = this.#someTurn();
    if (turnId === null) return;
    const { opened: { sessions } } = this;
    const marker = `cancelled by ${this.#steps}`;
    const told = attempt(() => sessions.cancel(turnId, String(this.#steps)));
    this.#note(marker, told.then(() => this.#endedBy(turnId, "cancelled")));
  }

  #endedBy(turnId: string, type: string): void {
    if (ENDS.includes(type)) this.enders.set(turnId, (this.enders.get(turnId) ?? 0) + 1);
  }

  #someTurn(): string | null {
    return this.turnIds.length === 0 ? null : this.random.pick(this.turnIds.slice(-4));
  }

  #note(marker: string, told: Promise<void>): void {
    const asked: Asked = { marker, ok: null };
    this.asked.push(asked);
    told.then(() => {
      asked.ok = true;
      this.outcomes.ok++;
    }, (error) => {
      assert(error instanceof PosternError, error?.stack);
      asked.ok = false;
      if (error.code === "storage_full") this.outcomes.lost++;
      else this.outcomes.refused++;
    });
  }

  /** What must hold of the log, whatever happened. */
  async check(): Promise<void> {
    const told = await news(this.opened);
    const text = told.map(({ topic, payload }) => `${topic} ${JSON.stringify(payload)}`).join("\n");
    for (const { marker, ok } of this.asked) {
      const isTold = told.some(({ payload: { text, data, reason } }) =>
        text === marker || data === marker || reason === marker
      );
      assertEquals(isTold, ok, `${marker} in:\n${text}`);
    }
    const tales = new Map<string, string[]>();
    const running = new Map<string, string | null>();
    const queued = new Map(SESSIONS.map((id) => [id, [] as string[]]));
    for (const { topic, payload } of told.filter(({ topic }) => topic.startsWith("turn."))) {
      const { turn_id, session_id } = payload;
      const word = topic.slice("turn.".length);
      tales.set(turn_id, [...tales.get(turn_id) ?? [], word]);
      const waiting = queued.get(session_id)!;
      if (word === "queued") waiting.push(turn_id);
      if (word === "started") {
        assertEquals(running.get(session_id) ?? null, null, `two at once in:\n${text}`);
        assertEquals(waiting.shift(), turn_id, `out of order in:\n${text}`);
        running.set(session_id, turn_id);
      }
      if (ENDS.includes(word)) {
        if (running.get(session_id) === turn_id) running.set(session_id, null);
        else queued.set(session_id, waiting.filter((id) => id !== turn_id));
      }
    }
    for (const [id, tale] of tales) {
      assert(TALE.test(tale.join(" ")), `${tale.join(" ")} in:\n${text}`);
      const ends = tale.filter((word) => ENDS.includes(word)).length;
      assert(ends <= 1, `${id} has ${ends} ends in:\n${text}`);
      assert((this.enders.get(id) ?? 0) <= 1, `${id} was ended for several askers`);
    }
    this.#checkStored(tales);
  }

  /** What is on disk of turns is what the log says is open. */
  #checkStored(tales: ReadonlyMap<string, readonly string[]>): void {
    const { sessions, store } = this.opened;
    const open = [...tales].filter(([, tale]) => !ENDS.includes(tale.at(-1)!)).map(([id]) => id);
    const stored = store.documents.filter(({ key }) => key[0] === "turn").map(({ key }) => key[1]);
    assertEquals(stored.toSorted(), open.toSorted());
    const listed = sessions.list().flatMap(({ turns }) => turns.map(({ id }) => id));
    assertEquals(listed.toSorted(), open.toSorted());
  }
}

Deno.test(`in ${RUNS} random interleavings each turn has one end, and its events are in order`, async () => {
  const seen = { ok: 0, refused: 0, lost: 0, turns: 0 };
  for (let seed = 1; seed <= RUNS; seed++) {
    const run = new Run(seed);
    for (let i = 0; i < STEPS; i++) await run.step();
    await run.opened.log.drain();
    await run.check();
    await run.restart();
    await run.check();
    run.opened.clock.step(QUEUE_SECS * 1000);
    // A failure may still wait for its commit.
    for (let i = 0; i < 5; i++) {
      run.opened.sessions.expire();
      await run.opened.log.drain();
    }
    await run.check();
    assertEquals(run.opened.sessions.list().flatMap(({ turns }) => turns), []);
    for (const name of ["ok", "refused", "lost"] as const) seen[name] += run.outcomes[name];
    seen.turns += run.turnIds.length;
  }
  // Otherwise the test would have seen nothing.
  assert(Object.values(seen).every((count) => count > RUNS), JSON.stringify(seen));
});
