/** A damaged block costs whoever reads it, and nobody else. */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path/posix";
import type { BlockValue } from "../../src/store/block_value.ts";
import { expectError, range, seqsOf } from "../support/expect.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

/** The event whose block is damaged, of `EVENTS`; it is large enough for chunks. */
const DAMAGED = 3;
const EVENTS = 5;

interface Place {
  readonly kv: Deno.Kv;
  readonly seq: number;
}

function noise(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 7919) % 251);
}

async function overwriteLines(
  { kv, seq }: Place,
  change: (lines: Uint8Array) => Uint8Array,
): Promise<void> {
  const { value } = await kv.get<BlockValue>(["log", seq]);
  assert(value !== null && value.lines.byteLength > 0, "the event has a block of its own");
  await kv.set(["log", seq], { ...value, lines: change(value.lines) });
}

interface Damage {
  /** Characters of the event's payload. */
  readonly size: number;
  readonly damage: (place: Place) => Promise<unknown>;
}

const DAMAGES: Readonly<Record<string, Damage>> = {
  "whose lines are noise": {
    size: 500,
    damage: (place) => overwriteLines(place, ({ length }) => noise(length)),
  },
  "whose lines are cut short": {
    size: 500,
    damage: (place) => overwriteLines(place, (lines) => lines.slice(0, lines.length / 2)),
  },
  "whose lines are gone": {
    size: 500,
    damage: (place) => overwriteLines(place, () => new Uint8Array()),
  },
  "whose lines are another's": {
    size: 500,
    damage: async (place) => {
      const { value } = await place.kv.get<BlockValue>(["log", 1]);
      await overwriteLines(place, () => value!.lines);
    },
  },
  "whose line is damaged in the middle": {
    size: 500,
    damage: (place) => overwriteLines(place, (lines) => lines.fill(0, 300, 310)),
  },
  "whose first chunk is overwritten": {
    size: 150_000,
    damage: ({ kv, seq }) => kv.set(["chunk", seq, 0], noise(61_440)),
  },
  "whose second chunk is overwritten": {
    size: 150_000,
    damage: ({ kv, seq }) => kv.set(["chunk", seq, 1], noise(61_440)),
  },
  "whose chunk is gone": {
    size: 150_000,
    damage: ({ kv, seq }) => kv.delete(["chunk", seq, 1]),
  },
};

/** A daemon whose store was damaged while it was stopped. */
async function startDamaged({ size, damage }: Damage): Promise<TestDaemon> {
  const daemon = await startTestDaemon();
  for (const seq of range(1, EVENTS)) {
    await daemon.fill(1, { payload: "x".repeat(seq === DAMAGED ? size : 10) });
  }
  await daemon.stop();
  using kv = await Deno.openKv(join(daemon.directory, "events.kv"));
  await damage({ kv, seq: DAMAGED });
  await daemon.start();
  return daemon;
}

for (const [which, how] of Object.entries(DAMAGES)) {
  Deno.test(`a block ${which} is an error for its readers, and everybody else goes on`, async () => {
    await using daemon = await startDamaged(how);
    const other = await daemon.v2("other");
    await other.ask({ cmd: "subscribe", replay: false });
    const reader = await daemon.v2("reader");
    assertEquals((await reader.ask({ cmd: "subscribe" })).ok, true);
    assertEquals(seqsOf(await reader.untilClosed()), range(1, DAMAGED - 1));
    const poller = await daemon.v2("poller");
    expectError(await poller.ask({ cmd: "inbox" }), "internal_error");
    assertEquals(seqsOf((await poller.ask({ cmd: "inbox", limit: 1 })).messages), [1]);
    const { events } = await poller.ask({ cmd: "event.read", after: DAMAGED });
    assertEquals(seqsOf(events), range(DAMAGED + 1, EVENTS));
    assertEquals(await daemon.fill(1), [EVENTS + 1]);
    assertEquals((await other.pushed()).seq, EVENTS + 1);
    assert(daemon.logged.some(({ level }) => level === "error"), "the log says so");
  });
}
