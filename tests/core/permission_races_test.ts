/** Any interleaving of what may happen to requests for permission: each ends in one outcome, told in one event. */

import { assert, assertEquals } from "@std/assert";
import { Departure } from "../../src/core/departure.ts";
import { Random } from "../support/random.ts";
import {
  ask,
  comesTo,
  crashed,
  openPermissions,
  type TestPermissions,
  type Told,
  told,
} from "../support/test_permissions.ts";

const STEPS = 1000;
const NAMES = ["owner", "other", "third"] as const;
const ANSWERS = [true, false].map((isApproval) => (
  { isApproval, json: `{"approve":${isApproval}}` }
));

/** What was seen of one request by those who asked for something. */
interface Seen {
  readonly id: string;
  /** Outcomes that somebody was told he had brought about. */
  readonly wins: string[];
}

/** One run of a random story; `opened` changes with each restart. */
class Story {
  opened: TestPermissions = openPermissions();
  readonly random: Random;
  readonly seen = new Map<string, Seen>();
  #departure = new Departure();
  #running: Promise<unknown>[] = [];

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  async step(): Promise<void> {
    const { random } = this;
    const { clock, store, permissions } = this.opened;
    switch (random.below(20)) {
      case 0:
      case 1:
        return this.#ask();
      case 2:
        return clock.step(random.below(4000));
      case 3:
        return permissions.expire();
      case 4:
        return store.failNext(new Error("no disk"), random.below(3));
      case 5:
        if (random.oneIn(4)) this.#departure.end();
        return;
      case 6:
        if (random.oneIn(4)) await this.#restart();
        return;
      case 7:
      case 8:
        for (let turns = random.below(10); turns > 0; turns--) await Promise.resolve();
        return;
      default:
        return this.#attempt();
    }
  }

  /** Lets everything end, and time out what nobody has decided. */
  async end(): Promise<void> {
    await this.#settle();
    this.opened.clock.step(1e9);
    // Failures that a test has asked for are still to come.
    for (let left = STEPS; left > 0 && this.opened.permissions.pendingCount > 0; left--) {
      this.opened.permissions.expire();
      await this.#settle();
    }
  }

  #ask(): void {
    const { random, opened } = this;
    if (this.#departure.size === 0) this.#departure = new Departure();
    const seen: Seen = { id: `r${this.seen.size}`, wins: [] };
    this.seen.set(seen.id, seen);
    const requester = random.pick(NAMES);
    const asked = { requester, originator: random.pick(NAMES), secs: 1 + random.below(20) };
    const withEnd = random.oneIn(3) ? { departure: this.#departure } : {};
    this.#running.push(comesTo(() => ask(opened, seen.id, { ...asked, ...withEnd })));
  }

  #attempt(): void {
    const { random, seen } = this;
    const { permissions } = this.opened;
    if (seen.size === 0) return;
    const one = seen.get(`r${Math.max(0, seen.size - 1 - random.below(8))}`)!;
    const [by, to] = [random.pick(NAMES), random.pick(NAMES)];
    const answer = random.pick(ANSWERS);
    const attempts = {
      answer: () => permissions.answer(one.id, by, answer),
      cancel: () => permissions.cancel(one.id, by),
      delegate: () => permissions.delegate(one.id, by, to),
      extend: () => permissions.extend(one.id, by, 1 + random.below(5000)),
    };
    const kind = random.pick(["answer", "answer", "cancel", "delegate", "extend"] as const);
    const wins = kind === "answer" || kind === "cancel";
    const outcome = kind === "cancel" ? "cancelled" : answer.isApproval ? "approved" : "denied";
    this.#running.push(
      comesTo(attempts[kind]).then((code) => {
        if (code === "ok" && wins) one.wins.push(`${outcome} ${by}`);
      }),
    );
  }

  /** Another daemon goes on with what is on disk; whoever was connected is gone. */
  async #restart(): Promise<void> {
    await this.#settle();
    this.opened = crashed(this.opened);
    this.#departure = new Departure();
  }

  async #settle(): Promise<void> {
    await Promise.all(this.#running);
    await this.opened.log.drain();
    this.#running = [];
  }
}

/** Expects of the events of one request that they are a story that may happen. */
function expectPossible(events: readonly Told[], { id, wins }: Seen): void {
  const where = JSON.stringify(events);
  const [first, ...rest] = events;
  if (first === undefined) return assertEquals(wins, [], id);
  assertEquals(first.topic, "permission.requested", where);
  let { originator, expires_at } = first.payload;
  rest.forEach(({ topic, payload }, i) => {
    if (topic === "permission.delegated") originator = payload.to;
    else if (topic === "permission.extended") {
      assert(payload.expires_at as number > (expires_at as number), where);
      expires_at = payload.expires_at;
    } else {
      assertEquals([topic, i], ["permission.resolved", rest.length - 1], where);
    }
  });
  const { outcome, by } = rest.at(-1)!.payload;
  const decider = { approved: originator, denied: originator, timeout: null }[outcome as string];
  assertEquals(by, outcome === "cancelled" ? first.payload.requester : decider, where);
  assert(wins.length <= 1, `${id} was decided more than once: ${wins.join()}`);
  if (wins.length === 1) assertEquals(wins, [`${outcome} ${by}`], where);
}

for (const seed of [1, 2, 3, 5, 8, 13, 21, 34, 55, 89]) {
  Deno.test(`whatever ${STEPS} random steps do, each request ends once (seed ${seed})`, async () => {
    const story = new Story(seed);
    for (let step = 0; step < STEPS; step++) await story.step();
    await story.end();
    const events = await told(story.opened);
    const byRequest = Map.groupBy(events, ({ payload }) => payload.request_id as string);
    for (const seen of story.seen.values()) expectPossible(byRequest.get(seen.id) ?? [], seen);
    assertEquals(story.opened.permissions.pendingCount, 0);
    const outcomes = Map.groupBy(
      events.filter(({ topic }) => topic === "permission.resolved"),
      ({ payload }) => payload.outcome,
    );
    assertEquals(outcomes.size, 4, "the story has every outcome");
    assert(byRequest.size < story.seen.size, "the story has requests that failed");
    const stored = story.opened.store.documents.filter(({ fields }) => fields.outcome === null);
    assertEquals(stored, [], "on disk nothing waits any more");
  });
}
