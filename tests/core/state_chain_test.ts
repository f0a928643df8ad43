/** States that are decided at once and stored in their order. */

import { assertEquals } from "@std/assert";
import { type Placed, StateChain } from "../../src/core/state_chain.ts";
import { Ticket } from "../../src/core/ticket.ts";
import { newEvent } from "../support/new_event.ts";

interface Write {
  readonly from: number;
  readonly to: number;
  readonly events: number;
  readonly ticket: Ticket<readonly Placed[]>;
}

/** A chain of numbers, and its writes as they are asked for. */
function openChain(): { chain: StateChain<number>; writes: Write[]; store(): void } {
  const writes: Write[] = [];
  let seq = 0;
  const chain = new StateChain(0, ({ from, to, events }) => {
    const ticket = new Ticket<readonly Placed[]>();
    writes.push({ from, to, events: events.length, ticket });
    return ticket;
  });
  const store = () => {
    const { events, ticket } = writes.at(-1)!;
    ticket.succeed(Array.from({ length: events }, () => ({ seq: ++seq, msgId: "" })));
  };
  return { chain, writes, store };
}

/** Decides with so many events; the seqs of these, or what it came to. */
function decide(chain: StateChain<number>, state: number, events = 1, chars = 200): unknown[] {
  const outcome: unknown[] = [];
  const made = Array.from({ length: events }, () => newEvent({ chars }));
  chain.decide(state, made).whenSettled((settled) =>
    outcome.push(...settled.ok ? settled.value.map(({ seq }) => seq) : [settled.error])
  );
  return outcome;
}

function shown(writes: readonly Write[]): string[] {
  return writes.map(({ from, to, events }) => `${from}-${to}: ${events}`);
}

Deno.test("what is decided during a write goes together into the next, each with its own places", () => {
  const { chain, writes, store } = openChain();
  const told = [1, 2, 3].map((state) => decide(chain, state, state));
  assertEquals([chain.decided, chain.stored, shown(writes)], [3, 0, ["0-1: 1"]]);
  store();
  assertEquals([chain.stored, shown(writes).at(-1)], [1, "1-3: 5"]);
  store();
  assertEquals([told, chain.stored, chain.isBusy], [[[1], [2, 3], [4, 5, 6]], 3, false]);
});

Deno.test("a change without events is written alone", () => {
  const { chain, writes, store } = openChain();
  [1, 1, 0, 1].forEach((events, i) => decide(chain, i + 1, events));
  for (let i = 0; i < 4; i++) store();
  assertEquals(shown(writes), ["0-1: 1", "1-2: 1", "2-3: 0", "3-4: 1"]);
});

Deno.test("a write takes a bounded number of decisions and of characters, one decision always", () => {
  const { chain, writes, store } = openChain();
  decide(chain, 1);
  for (let state = 2; state <= 101; state++) decide(chain, state);
  for (const state of [102, 103]) decide(chain, state, 1, 100_000);
  while (chain.isBusy) store();
  assertEquals(shown(writes), ["0-1: 1", "1-65: 64", "65-101: 36", "101-102: 1", "102-103: 1"]);
  assertEquals(chain.waitingChars, 0);
});

Deno.test("what stands on a failed write fails with it, and the next stands on what is stored", () => {
  const { chain, writes, store } = openChain();
  decide(chain, 1);
  store();
  const told = [2, 3].map((state) => decide(chain, state));
  writes.at(-1)!.ticket.fail("full");
  assertEquals([told, chain.decided, chain.waitingChars], [[["full"], ["full"]], 1, 0]);
  decide(chain, 4);
  assertEquals(shown(writes).at(-1), "1-4: 1");
});
