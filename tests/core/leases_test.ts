/** Leases: one holder at a time, fences that only rise, and no time beyond the ttl. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Departure } from "../../src/core/departure.ts";
import { PosternError } from "../../src/core/errors.ts";
import {
  type HeldLease,
  MAX_LEASES,
  MAX_LEASES_EACH,
  MAX_LEASES_OF_ONE,
} from "../../src/core/leases.ts";
import { Random } from "../support/random.ts";
import {
  acquire,
  crashed,
  newsIn,
  openLeases,
  type TestLeases,
  toldBy,
} from "../support/test_leases.ts";

/** Expects a refusal of that code, and returns it. */
async function refused(promise: Promise<unknown>, code: string): Promise<PosternError> {
  const error = await assertRejects(() => promise, PosternError);
  assertEquals(error.code, code, error.message);
  return error;
}

const renew = ({ leases }: TestLeases, { leaseId }: HeldLease, ttlMs: number | null = null) =>
  leases.renew(leaseId, ttlMs).promise();
const release = ({ leases }: TestLeases, { leaseId }: HeldLease) =>
  leases.release(leaseId).promise();

Deno.test("a lease is held by one, and a conflict names who that is and nothing that proves it", async () => {
  const opened = openLeases();
  const held = await acquire(opened, "o-a");
  assertEquals([held.fence, held.expiresMs], [1, opened.clock.now() + 10_000]);
  const error = await refused(acquire(opened, "o-b"), "conflict");
  assertEquals(error.details, { originator: "o-a", fence: 1, expires_at: held.expiresMs });
  const { leaseId: _, ...told } = held;
  assertEquals(Object.keys(opened.leases.list()[0]!).includes("leaseId"), false);
  assertEquals(opened.leases.list().map(({ name, fence }) => [name, fence]), [["build", 1]]);
  assert(told.originator === "o-a" && !error.message.includes(held.leaseId));
  await refused(acquire(opened, "o-a"), "conflict");
});

Deno.test("fences rise over releases, names and restarts", async () => {
  let opened = openLeases();
  const first = await acquire(opened, "o-a");
  await release(opened, first);
  const other = await acquire(opened, "o-a", { name: "other" });
  await release(opened, other);
  await opened.log.drain();
  assertEquals(opened.store.documents.length, 1, "of what is released only the fence is kept");
  opened = crashed(opened);
  assertEquals([first.fence, other.fence, (await acquire(opened, "o-b")).fence], [1, 2, 3]);
});

Deno.test("what happens to a lease is told once, and stored with it", async () => {
  const opened = openLeases();
  const first = await acquire(opened, "o-a");
  await renew(opened, first);
  await release(opened, first);
  await acquire(opened, "o-b", { ttlMs: 1000 });
  opened.clock.step(1000);
  opened.leases.expire();
  opened.leases.expire();
  assertEquals(await toldBy(opened), [
    "acquired build o-a 1",
    "released build o-a 1",
    "acquired build o-b 2",
    "expired build o-b 2",
  ]);
  assertEquals(opened.leases.list(), []);
});

Deno.test("who knows all that is told cannot renew or release", async () => {
  const opened = openLeases();
  const held = await acquire(opened, "o-a");
  const seen = [
    ...(await newsIn(opened)).flatMap((news) => Object.values(news)),
    ...opened.store.documents.flatMap(({ key, fields }) => [...key, ...Object.values(fields)]),
    ...Object.values(opened.leases.list()[0]!),
  ].map(String);
  assert(seen.length > 10 && !seen.some((value) => value.includes(held.leaseId)));
  for (const value of ["", ...seen]) {
    await refused(renew(opened, { ...held, leaseId: value }), "not_found");
    await refused(release(opened, { ...held, leaseId: value }), "not_found");
  }
  await release(opened, held);
  const error = await refused(renew(opened, held), "not_found");
  assert(!error.message.includes(held.leaseId));
});

Deno.test("a renewal holds for its own time, and a restart changes nothing of it", async () => {
  let opened = openLeases();
  const held = await acquire(opened, "o-a", { ttlMs: 1000 });
  opened.clock.step(600);
  const renewed = await renew(opened, held);
  assertEquals([renewed.fence, renewed.expiresMs], [1, opened.clock.now() + 1000]);
  opened = crashed(opened);
  opened.clock.step(900);
  await refused(acquire(opened, "o-b"), "conflict");
  await renew(opened, held, 5000);
  opened = crashed(opened);
  opened.clock.step(4999);
  assertEquals(opened.leases.list().length, 1);
  opened.clock.step(1);
  assertEquals(opened.leases.list().length, 0);
  opened.leases.expire();
  assertEquals((await toldBy(opened)).at(-1), "expired build o-a 1");
  await opened.log.drain();
  assertEquals(opened.store.documents.length, 1, "nothing is left of the renewal");
});

Deno.test("a lease is over when its time is, whether or not that was told yet", async () => {
  const opened = openLeases();
  const held = await acquire(opened, "o-a", { ttlMs: 1000 });
  opened.clock.step(1000);
  await refused(renew(opened, held), "not_found");
  await refused(release(opened, held), "not_found");
  assertEquals((await acquire(opened, "o-b")).fence, 2);
  opened.leases.expire();
  assertEquals((await toldBy(opened)).slice(1), ["expired build o-a 1", "acquired build o-b 2"]);
});

Deno.test("a clock that steps back does not lengthen a lease beyond its ttl from now", async () => {
  const opened = openLeases();
  await acquire(opened, "o-a", { ttlMs: 10_000 });
  opened.clock.step(-3_600_000);
  opened.leases.expire();
  assertEquals(opened.leases.list()[0]!.expiresMs, opened.clock.now() + 10_000);
  opened.clock.step(10_000);
  assertEquals(opened.leases.list(), []);
  opened.clock.step(-5000);
  assertEquals(opened.leases.list(), [], "what was over stays over");
});

Deno.test("a clock that has stepped back while the daemon was down lengthens nothing either", async () => {
  let opened = openLeases();
  await acquire(opened, "o-a", { ttlMs: 10_000 });
  opened.clock.step(-3_600_000);
  opened = crashed(opened);
  opened.leases.expire();
  opened.clock.step(10_000);
  await acquire(opened, "o-b");
});

Deno.test("a lease that ran out while the daemon was down is told of at its start", async () => {
  let opened = openLeases();
  await acquire(opened, "o-a", { ttlMs: 1000 });
  opened.clock.step(5000);
  opened = crashed(opened);
  opened.leases.expire();
  assertEquals(await toldBy(opened), ["acquired build o-a 1", "expired build o-a 1"]);
});

Deno.test("with its caller go the leases that were to be released with it, and no others", async () => {
  const opened = openLeases();
  const departure = new Departure();
  await acquire(opened, "o-a", { name: "kept" });
  await acquire(opened, "o-a", { name: "left", departure });
  const given = await acquire(opened, "o-a", { name: "given", departure });
  await release(opened, given);
  assertEquals(departure.size, 1, "what was given back has nothing to do then");
  await acquire(opened, "o-b", { name: "given" });
  departure.end();
  await opened.log.drain();
  assertEquals(opened.leases.list().map(({ name }) => name), ["given", "kept"]);
  assertEquals((await toldBy(opened)).at(-1), "released left o-a 2");
});

Deno.test("a caller that goes while its lease is on its way to the disk does not hold it", async () => {
  const opened = openLeases();
  const departure = new Departure();
  const release = opened.store.holdCommits();
  const held = acquire(opened, "o-a", { departure });
  departure.end();
  release();
  await held;
  await opened.log.drain();
  assertEquals(await toldBy(opened), ["acquired build o-a 1", "released build o-a 1"]);
  assertEquals(departure.size, 0);
});

Deno.test("of a thousand who want a name at once, one gets it", async () => {
  const opened = openLeases();
  const outcomes = await Promise.allSettled(
    Array.from({ length: 1000 }, (_, i) => acquire(opened, `o-${i}`)),
  );
  assertEquals(outcomes.map(({ status }) => status).lastIndexOf("fulfilled"), 0);
  assertEquals(await toldBy(opened), ["acquired build o-0 1"]);
});

Deno.test("what could not be stored has not been, and whoever asked next is not refused for it", async () => {
  const opened = openLeases();
  opened.store.failNext(new PosternError("storage_full", "the disk is full"));
  const [failed, second] = await Promise.allSettled([
    acquire(opened, "o-a"),
    acquire(opened, "o-b"),
  ]);
  assertEquals([failed.status, second.status], ["rejected", "fulfilled"]);
  const held = (second as PromiseFulfilledResult<HeldLease>).value;
  for (const change of [renew, release]) {
    opened.store.failNext(new PosternError("storage_full", "the disk is full"));
    await refused(change(opened, held), "storage_full");
    assertEquals(opened.leases.list()[0]!.expiresMs, held.expiresMs);
  }
  opened.clock.step(10_000);
  opened.store.failNext(new PosternError("storage_full", "the disk is full"));
  opened.leases.expire();
  await opened.log.drain();
  assertEquals((await toldBy(opened)).length, 1);
  opened.leases.expire();
  assertEquals((await toldBy(opened)).at(-1), "expired build o-b 2");
});

Deno.test("leases are bounded, of one originator and together", async () => {
  const opened = openLeases();
  const names = Array.from({ length: MAX_LEASES_OF_ONE }, (_, i) => `n${i}`);
  const take = (originator: string) =>
    Promise.all(
      names.map((name) => acquire(opened, originator, { name: `${originator}.${name}` })),
    );
  const [first] = await take("o-0");
  await refused(acquire(opened, "o-0", { name: "one-more" }), "too_many");
  for (let i = 1; i < MAX_LEASES / MAX_LEASES_OF_ONE; i++) await take(`o-${i}`);
  const again = crashed(opened);
  for (const one of [opened, again]) {
    await refused(acquire(one, "o-new", { name: "one-more" }), "too_many");
    await release(one, first!);
    await acquire(one, "o-new", { name: "one-more" });
  }
});

Deno.test("a token that is not the owner's holds a tenth, in however many names, and others go on", async () => {
  const opened = openLeases();
  const tokenId = "sender";
  const take = (one: TestLeases, i: number) =>
    acquire(one, `o-${i % 10}`, { name: `n${i}`, tokenId });
  const all = await Promise.all(
    Array.from({ length: MAX_LEASES_EACH }, (_, i) => take(opened, i)),
  );
  for (const one of [opened, crashed(opened)]) {
    const error = await refused(take(one, MAX_LEASES_EACH), "too_many");
    assertEquals(error.details, { limit: MAX_LEASES / 10 });
    await release(one, await acquire(one, "o-0", { name: "owners" }));
    await release(one, await acquire(one, "o-0", { name: "others", tokenId: "other" }));
    await release(one, all[0]!);
    await take(one, 0);
  }
});

Deno.test("a lease is released by its name, whoever holds it, and its holder finds it gone", async () => {
  const opened = openLeases();
  const departure = new Departure();
  const held = await acquire(opened, "o-a", { departure });
  await opened.leases.releaseNamed("build").promise();
  assertEquals((await toldBy(opened)).at(-1), "released build o-a 1");
  await refused(release(opened, held), "not_found");
  await refused(opened.leases.releaseNamed("build").promise(), "not_found");
  assertEquals(departure.size, 0);
  await acquire(opened, "o-b", { ttlMs: 1000 });
  opened.clock.step(1000);
  await refused(opened.leases.releaseNamed("build").promise(), "not_found");
});

Deno.test("neither what was refused by the disk nor what is over counts among those held", async () => {
  const opened = openLeases();
  for (let i = 0; i < MAX_LEASES_OF_ONE + 1; i++) {
    opened.store.failNext(new PosternError("storage_full", "the disk is full"));
    await refused(acquire(opened, "o-a"), "storage_full");
  }
  for (let i = 0; i < MAX_LEASES_OF_ONE + 1; i++) {
    await acquire(opened, "o-a", { ttlMs: 1 });
    opened.clock.step(1);
  }
});

Deno.test("a renewal that was asked for in time holds, though the disk took longer", async () => {
  const opened = openLeases();
  const held = await acquire(opened, "o-a", { ttlMs: 1000 });
  const letGo = opened.store.holdCommits();
  const renewing = renew(opened, held, 5000);
  opened.clock.step(1000);
  opened.leases.expire();
  assertEquals(opened.leases.list(), []);
  letGo();
  await renewing;
  await refused(acquire(opened, "o-b"), "conflict");
});

Deno.test("what a crash has left of a former holder's renewal does not lengthen the next one's lease", async () => {
  let opened = openLeases();
  const first = await acquire(opened, "o-a", { ttlMs: 1000 });
  await renew(opened, first, 60_000);
  // The release goes in, and what would remove the renewal does not.
  opened.store.failNext(new Error("no"), 1);
  opened.store.failNext(new Error("no"));
  await release(opened, first);
  await opened.log.drain();
  await acquire(opened, "o-b", { ttlMs: 1000 });
  opened = crashed(opened);
  opened.clock.step(1000);
  await acquire(opened, "o-c");
});

/** Takes one random step after another, with failing commits, steps of the clock and crashes. */
class Walk {
  readonly random: Random;
  opened = openLeases();
  /** Every lease that was ever given. */
  readonly given: HeldLease[] = [];
  departure = new Departure();
  readonly #answers: Promise<void>[] = [];

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  async run(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      if (this.random.oneIn(20)) this.opened.store.failNext(new Error("no"), this.random.below(2));
      this.#step();
      // So that some steps fall into one commit, and others wait for theirs.
      if (this.random.oneIn(3)) await this.opened.log.drain();
    }
    await this.#settle();
  }

  #step(): void {
    const { opened, random } = this;
    switch (random.below(9)) {
      case 0:
      case 1:
      case 2:
        return this.#acquire();
      case 3:
      case 4:
        if (this.given.length === 0) return;
        return this.#note(opened.leases.renew(this.#some().leaseId, null).promise());
      case 5:
        if (this.given.length === 0) return;
        return this.#note(opened.leases.release(this.#some().leaseId).promise());
      case 6:
        return opened.clock.step(random.between(-800, 1200));
      case 7:
        return opened.leases.expire();
      default:
        if (random.oneIn(4)) this.departure.end();
        if (random.oneIn(4)) this.departure = new Departure();
    }
  }

  #acquire(): void {
    const name = this.random.pick(["a", "b", "c"]);
    const departure = this.random.oneIn(3) ? this.departure : null;
    const ttlMs = this.random.between(500, 2000);
    const asked = acquire(this.opened, `o-${this.random.below(4)}`, { name, ttlMs, departure });
    this.#note(asked.then((lease) => void this.given.push(lease)));
  }

  /** Mostly one of the newest. */
  #some(): HeldLease {
    return this.random.oneIn(4) ? this.random.pick(this.given) : this.given.at(-1)!;
  }

  #note(asked: Promise<unknown>): void {
    this.#answers.push(asked.then(() => {}, () => {}));
  }

  async #settle(): Promise<void> {
    await this.opened.log.drain();
    await Promise.all(this.#answers);
    await this.opened.log.drain();
  }

  async crash(): Promise<void> {
    await this.#settle();
    this.opened = crashed(this.opened);
    this.departure = new Departure();
  }

  /** The leases that a renewal is granted for now. */
  async holders(): Promise<HeldLease[]> {
    const held: HeldLease[] = [];
    for (const lease of this.given) {
      await renew(this.opened, lease).then(() => held.push(lease), () => {});
    }
    return held;
  }
}

/** Of each name: acquired, then ended once by the same fence, then acquired with a higher one. */
async function expectHistory({ opened, given }: Walk): Promise<Map<string, number>> {
  const holding = new Map<string, number>();
  const acquired: number[] = [];
  for (const { topic, name, fence } of await newsIn(opened)) {
    if (topic === "lease.acquired") {
      assert(!holding.has(name), `${name} was acquired, and ${fence} has acquired it again`);
      assert(fence > (acquired.at(-1) ?? 0), `the fence ${fence} does not rise`);
      acquired.push(fence);
      holding.set(name, fence);
    } else {
      assertEquals(holding.get(name), fence, `${topic} of a lease that is not held`);
      holding.delete(name);
    }
  }
  assertEquals(given.map(({ fence }) => fence).toSorted((a, b) => a - b), acquired);
  return holding;
}

for (let seed = 1; seed <= 40; seed++) {
  Deno.test(`no name has two holders and every fence is higher than those before (seed ${seed})`, async () => {
    const walk = new Walk(seed);
    for (let round = 0; round < 8; round++) {
      await walk.run(60);
      const holding = await expectHistory(walk);
      for (const { name, fence } of await walk.holders()) {
        assertEquals(holding.get(name), fence, "who may renew is the one that was told of");
      }
      await walk.crash();
      await expectHistory(walk);
    }
    assert(walk.given.length > 20, "the walk is worth its name");
  });
}
