/** A stream of record updates: in order, newest first to be kept, every drop counted, a bounded memory. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { assert, assertEquals } from "@std/assert";
import type { RecordUpdate } from "../../src/core/record.ts";
import { Outbox } from "../../src/server/outbox.ts";
import { RecordStream, type RecordStreamOptions } from "../../src/server/record_stream.ts";
import { range } from "../support/expect.ts";
import { Random } from "../support/random.ts";
import { SlowWriter } from "../support/slow_writer.ts";
import { define, openRecords, type TestRecords } from "../support/test_records.ts";

const KIB = 1024;
/** What one stream holds at most, and what waits in its outbox beside that. */
const QUEUE_CHARS = 1024 * KIB;
const OUTBOX_BYTES = 64 * KIB;

interface Told {
  readonly name: string;
  readonly sequence: number;
  readonly dropped: number;
}

interface Reader {
  readonly stream: RecordStream;
  readonly writer: SlowWriter;
  readonly outbox: Outbox;
  /** Characters that it holds, and the most it ever did. */
  readonly held: { now: number; most: number };
  /** What it has counted as dropped. */
  readonly counted: { dropped: number };
  /** Everything told so far. */
  told(): Promise<Told[]>;
}

function read(
  { records }: TestRecords,
  options: Partial<RecordStreamOptions> & {
    limit?: number;
    holdOutput?: (bytes: number) => void;
    mayHold?: (bytes: number) => boolean;
  } = {},
): Reader {
  const { limit = 4 * 1024 * KIB, holdOutput = () => {}, mayHold, ...more } = options;
  const writer = new SlowWriter();
  const held = { now: 0, most: 0 };
  const counted = { dropped: 0 };
  const outbox = new Outbox(writer, {
    hold: holdOutput,
    limitBytes: () => limit,
    ...(mayHold === undefined ? {} : { mayHold }),
    onRoom: () => stream.pump(),
    onBroken: () => {},
  });
  const stream = new RecordStream({
    records,
    outbox,
    patterns: ["a"],
    queueSize: 10,
    sendInitial: true,
    mayTake: () => true,
    encode: ({ name, sequence, value }, dropped) => `${name} ${sequence} ${dropped} ${value}\n`,
    hold: (chars) => {
      held.now += chars;
      held.most = Math.max(held.most, held.now);
      return false;
    },
    onDropped: (count) => counted.dropped += count,
    ...more,
  });
  return {
    stream,
    writer,
    outbox,
    held,
    counted,
    async told() {
      await outbox.flushed();
      return writer.lines.map((line) => {
        const [name, sequence, dropped] = line.split(" ");
        return { name: name!, sequence: Number(sequence), dropped: Number(dropped) };
      });
    },
  };
}

async function ringOf(opened: TestRecords, name = "a") {
  return await define(opened, name, { type: "spmc_ring", capacity: 2, volatile: true });
}

function sequencesOf(told: readonly Told[]): number[] {
  return told.map(({ sequence }) => sequence);
}

function droppedIn(told: readonly Told[]): number {
  return told.reduce((sum, { dropped }) => sum + dropped, 0);
}

/** A value that fills so much of an outbox. */
function valueOf(chars: number): string {
  return JSON.stringify("x".repeat(chars - 2));
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}

Deno.test("nothing is told before the stream begins; then what is there, if wanted, and what comes", async () => {
  for (const sendInitial of [true, false]) {
    const opened = openRecords();
    const record = await ringOf(opened);
    record.set("1");
    const reader = read(opened, { sendInitial });
    record.set("2");
    assertEquals([await reader.told(), record.watcherCount], [[], 0]);
    reader.stream.begin();
    record.set("3");
    assertEquals(sequencesOf(await reader.told()), sendInitial ? [2, 3] : [3]);
    assertEquals(record.watcherCount, 1);
  }
});

Deno.test("a reader that reads is told everything, and nothing is dropped or held", async () => {
  const opened = openRecords();
  const record = await ringOf(opened);
  const reader = read(opened, { queueSize: 1 });
  reader.stream.begin();
  for (let i = 0; i < 500; i++) {
    record.set(valueOf(KIB));
    await reader.outbox.flushed();
  }
  const told = await reader.told();
  assertEquals([sequencesOf(told), droppedIn(told)], [range(1, 500), 0]);
  assertEquals([reader.held, reader.counted.dropped], [{ now: 0, most: 0 }, 0]);
});

Deno.test("a reader that stops is told the newest when it goes on, and how many it has missed", async () => {
  const opened = openRecords();
  const record = await ringOf(opened);
  const reader = read(opened);
  reader.stream.begin();
  reader.writer.stop();
  for (let i = 0; i < 1000; i++) record.set(valueOf(KIB));
  assert(reader.outbox.size < OUTBOX_BYTES + 2 * KIB, "little waits in the outbox");
  reader.writer.go();
  const told = await reader.told();
  const early = told.length - 10;
  assertEquals(sequencesOf(told), [...range(1, early), ...range(991, 1000)]);
  assertEquals(told.map(({ dropped }) => dropped).filter((dropped) => dropped > 0), [990 - early]);
  assertEquals(told[early]!.dropped, 990 - early);
  assertEquals([reader.counted.dropped, reader.held.now], [990 - early, 0]);
  record.set("1");
  assertEquals((await reader.told()).at(-1), { name: "a", sequence: 1001, dropped: 0 });
});

Deno.test("what is told and what is dropped is all there was, whenever the reader reads", async () => {
  const random = new Random(7);
  for (let round = 0; round < 20; round++) {
    const opened = openRecords();
    const records = [await ringOf(opened, "a.x"), await ringOf(opened, "a.y")];
    const queueSize = random.between(1, 50);
    const reader = read(opened, { patterns: ["a.*"], queueSize, limit: 64 * KIB });
    reader.stream.begin();
    let sent = 0;
    for (let step = 0; step < 400; step++) {
      if (random.oneIn(20)) reader.writer.stop();
      if (random.oneIn(20)) reader.writer.go();
      for (let i = random.below(8); i > 0; i--, sent++) {
        random.pick(records).set(valueOf(random.between(3, 3000)));
      }
      if (random.oneIn(3)) await Promise.resolve();
    }
    reader.writer.go();
    const told = await reader.told();
    assertEquals(told.length + droppedIn(told), sent);
    assertEquals([reader.counted.dropped, reader.held.now], [droppedIn(told), 0]);
    for (const record of records) {
      const own = told.filter(({ name }) => name === record.definition.name);
      assertEquals(sequencesOf(own), sequencesOf(own).toSorted((a, b) => a - b));
      assertEquals(new Set(sequencesOf(own)).size, own.length, "none is told twice");
    }
  }
});

Deno.test("at most queue_size updates and 1 MiB wait, the newest always", async () => {
  const opened = openRecords();
  const record = await ringOf(opened);
  const reader = read(opened, { queueSize: 100_000 });
  reader.stream.begin();
  reader.writer.stop();
  for (let i = 0; i < 3000; i++) record.set(valueOf(KIB));
  assert(reader.held.now > QUEUE_CHARS - 2 * KIB && reader.held.most <= QUEUE_CHARS + KIB);
  record.set(valueOf(3 * QUEUE_CHARS));
  assertEquals(reader.held.now, 3 * QUEUE_CHARS);
  record.set("1");
  assertEquals(reader.held.now, 1);
  reader.writer.go();
  const told = await reader.told();
  assertEquals([told.at(-1)!.sequence, told.length + droppedIn(told)], [3002, 3002]);
  assertEquals(reader.counted.dropped, droppedIn(told));
});

Deno.test("when all readers together hold too much each keeps its newest only", async () => {
  const opened = openRecords();
  const record = await ringOf(opened);
  let held = 0;
  const hold = (chars: number) => (held += chars) > 100 * KIB;
  const readers = Array.from({ length: 20 }, () => read(opened, { queueSize: 1000, hold }));
  for (const { stream, writer } of readers) {
    stream.begin();
    writer.stop();
  }
  for (let i = 0; i < 500; i++) record.set(valueOf(KIB));
  assert(held <= 101 * KIB + 20 * KIB, `${held} are held`);
  for (const { writer } of readers) writer.go();
  for (const reader of readers) {
    const told = await reader.told();
    assertEquals([told.at(-1)!.sequence, told.length + droppedIn(told)], [500, 500]);
  }
  assertEquals(held, 0);
});

Deno.test("what was told or dropped is let go of, though the reader never catches up", async () => {
  const opened = openRecords();
  const record = await ringOf(opened);
  const dropped: WeakRef<RecordUpdate>[] = [];
  const reader = read(opened, { queueSize: 2 });
  reader.stream.begin();
  reader.writer.stop();
  record.watch({ isReady: true, tell: (update) => dropped.push(new WeakRef(update)) }, false);
  for (let i = 0; i < 300; i++) record.set(valueOf(KIB));
  // What is only weakly held is kept to the end of the turn in which it was made.
  await new Promise((resolve) => setImmediate(resolve));
  collectGarbage();
  const alive = dropped.filter((update) => update.deref() !== undefined).length;
  assert(alive < 10, `${alive} of ${dropped.length} updates are still held`);
  reader.stream.end();
});

Deno.test("an ended stream tells nothing, holds nothing and watches nothing", async () => {
  const opened = openRecords();
  const record = await ringOf(opened);
  const reader = read(opened);
  reader.stream.begin();
  reader.writer.stop();
  for (let i = 0; i < 300; i++) record.set(valueOf(KIB));
  assert(reader.held.now > 0);
  const { length } = reader.writer.lines;
  reader.stream.end();
  reader.stream.end();
  record.set("1");
  assertEquals([reader.held.now, record.watcherCount], [0, 0]);
  reader.writer.go();
  reader.stream.pump();
  const told = await reader.told();
  assert(told.length < 80 && told.length >= length, "only what was in the outbox");
  const never = read(opened);
  never.stream.end();
  never.stream.begin();
  record.set("2");
  assertEquals([await never.told(), record.watcherCount], [[], 0]);
});

Deno.test("several patterns are one stream, and a record that two of them match is told once", async () => {
  const opened = openRecords();
  const [x, y] = [await ringOf(opened, "a.x"), await ringOf(opened, "b.y")];
  x.set("1");
  const reader = read(opened, { patterns: ["a.*", "a.x", "b.>"] });
  reader.stream.begin();
  x.set("2");
  y.set("1");
  assertEquals(
    (await reader.told()).map(({ name, sequence }) => `${name} ${sequence}`),
    ["a.x 1", "a.x 2", "b.y 1"],
  );
});

Deno.test("a mailbox goes round a reader that does not read, and back to it when it does", async () => {
  const opened = openRecords();
  const record = await define(opened, "a", { type: "mailbox", volatile: true });
  const [slow, quick] = [read(opened), read(opened)];
  for (const { stream } of [slow, quick]) stream.begin();
  slow.writer.stop();
  const filler = "x".repeat(OUTBOX_BYTES) + "\n";
  slow.outbox.push(filler);
  for (let i = 0; i < 3; i++) {
    record.set(String(i));
    await quick.outbox.flushed();
  }
  assertEquals(sequencesOf(await quick.told()), [1, 2, 3]);
  quick.stream.end();
  record.set("4");
  record.set("5");
  assertEquals(record.latest!.sequence, 5);
  slow.writer.go();
  assertEquals(sequencesOf((await slow.told()).slice(1)), [5]);
  assertEquals([record.latest, slow.counted.dropped], [null, 0]);
});

Deno.test("long lines wait where they can be dropped while all outboxes together have no room for them", async () => {
  const opened = openRecords();
  const record = await ringOf(opened);
  const total = { now: 0, most: 0 };
  const limit = 4 * 1024 * KIB;
  const shared = {
    holdOutput: (bytes: number) => {
      total.now += bytes;
      total.most = Math.max(total.most, total.now);
    },
    mayHold: (bytes: number) => total.now + bytes <= limit,
  };
  const readers = Array.from({ length: 30 }, () => read(opened, shared));
  for (const { stream, writer } of readers) {
    stream.begin();
    writer.stop();
  }
  // Of a character that takes three bytes.
  for (let i = 0; i < 3; i++) record.set(JSON.stringify("\u20ac".repeat(300 * KIB)));
  for (const { writer } of readers) writer.go();
  for (const { stream, outbox } of readers) {
    stream.pump();
    await outbox.flushed();
  }
  for (const reader of readers) {
    reader.stream.pump();
    const told = await reader.told();
    assertEquals([told.at(-1)!.sequence, told.length + droppedIn(told)], [3, 3]);
  }
  assert(total.most <= limit + 1024 * KIB, `${total.most} bytes in all outboxes`);
});
