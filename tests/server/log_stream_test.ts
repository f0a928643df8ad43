/** A stream tells the log at its reader's pace: in order, each event once, what is lost as a gap. */

import { assert, assertEquals } from "@std/assert";
import type { LogEvent } from "../../src/core/event.ts";
import { ALL_EVENTS, Filter } from "../../src/core/filter.ts";
import { Ticket } from "../../src/core/ticket.ts";
import { LogStream, type LogStreamOptions } from "../../src/server/log_stream.ts";
import { Outbox } from "../../src/server/outbox.ts";
import { SharedEncodings } from "../../src/server/shared_encodings.ts";
import { newEvent, payloadOf } from "../support/new_event.ts";
import { Random } from "../support/random.ts";
import { SlowWriter } from "../support/slow_writer.ts";
import { range } from "../support/expect.ts";
import { appendEach, appendOne, openTestLog, type TestLog } from "../support/test_log.ts";

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

interface Reader {
  readonly stream: LogStream;
  readonly writer: SlowWriter;
  readonly outbox: Outbox;
  readonly told: { broken: number; delivered: number };
  /** Everything told so far, as `seq`, `seq replay` or `seq gap a-b`. */
  lines(): Promise<string[]>;
}

function encode({ seq }: LogEvent, { replay, gap }: { replay: boolean; gap: unknown }): string {
  const lost = gap as { from_seq: number; to_seq: number } | null;
  const shown = lost === null ? "" : ` gap ${lost.from_seq}-${lost.to_seq}`;
  return `${seq}${replay ? " replay" : ""}${shown}\n`;
}

/** A reader of a log, which is told of every commit, as the server does. */
function read(
  { log }: TestLog,
  options: Partial<LogStreamOptions> & { limit?: number; writer?: SlowWriter } = {},
): Reader {
  const { limit = 1e6, writer = new SlowWriter(), ...more } = options;
  const told = { broken: 0, delivered: 0 };
  const outbox = new Outbox(writer, {
    hold: () => {},
    limitBytes: () => limit,
    onRoom: () => stream.pump(),
    onBroken: () => told.broken++,
  });
  const stream = new LogStream({
    log,
    outbox,
    filter: ALL_EVENTS,
    from: 1,
    replayTo: log.head,
    reminders: [],
    encode,
    sharedAs: () => null,
    shared: new SharedEncodings(),
    reserve: () => null,
    delivered: (seq) => told.delivered = Math.max(told.delivered, seq),
    onGap() {},
    diagnostics: SILENT,
    ...more,
  });
  const before = log.onAppended;
  log.onAppended = () => {
    before();
    stream.pump();
  };
  return {
    stream,
    writer,
    outbox,
    told,
    async lines() {
      await outbox.flushed();
      return writer.lines;
    },
  };
}

const replayed = (first: number, last: number) => range(first, last).map((seq) => `${seq} replay`);
const live = (first: number, last: number) => range(first, last).map(String);

/** The turns of the event loop that a read of the memory store takes, with plenty to spare. */
async function settled(log: { drain(): Promise<void> }): Promise<void> {
  await log.drain();
  for (let i = 0; i < 2000; i++) await Promise.resolve();
}

Deno.test("nothing is told before the stream begins, then replay and live events follow in order", async () => {
  const opened = openTestLog();
  await appendEach(opened.log, 3);
  const reader = read(opened);
  await appendEach(opened.log, 2);
  assertEquals(await reader.lines(), []);
  reader.stream.begin();
  await appendEach(opened.log, 2);
  assertEquals(await reader.lines(), [...replayed(1, 3), ...live(4, 7)]);
  assertEquals(reader.told.delivered, 7);
});

Deno.test("the border between replay and live may lie inside a block, at its ends too", async () => {
  for (let replayTo = 0; replayTo <= 10; replayTo++) {
    const opened = openTestLog();
    await opened.log.append(range(1, 10).map(() => newEvent())).promise();
    const reader = read(opened, { replayTo });
    reader.stream.begin();
    assertEquals(await reader.lines(), [...replayed(1, replayTo), ...live(replayTo + 1, 10)]);
  }
});

Deno.test("a stream begins where it is asked to, inside a block too", async () => {
  const opened = openTestLog();
  await opened.log.append(range(1, 10).map(() => newEvent())).promise();
  const reader = read(opened, { from: 7, replayTo: 8 });
  reader.stream.begin();
  assertEquals(await reader.lines(), ["7 replay", "8 replay", "9", "10"]);
});

Deno.test("a filter holds events back, and costs no order", async () => {
  const opened = openTestLog();
  for (let i = 0; i < 10; i++) await appendOne(opened.log, newEvent({ topic: i % 3 ? "a" : "b" }));
  const reader = read(opened, { filter: new Filter({ topics: ["b"] }) });
  reader.stream.begin();
  assertEquals(await reader.lines(), ["1 replay", "4 replay", "7 replay", "10 replay"]);
  assertEquals([reader.told.delivered, reader.stream.isBehind(10)], [10, false]);
});

Deno.test("a paused reader loses nothing while the log has it, in memory or not", async () => {
  for (const memoryBytes of [0, 1e6]) {
    const opened = openTestLog({ memoryBytes });
    const reader = read(opened, { limit: 100 });
    reader.writer.stop();
    reader.stream.begin();
    await appendEach(opened.log, 500);
    assert(reader.outbox.size < 100 + 10, "it holds what its bound allows and one block");
    assert(reader.stream.isBehind(500));
    reader.writer.go();
    while (reader.stream.isBehind(500)) {
      await reader.outbox.flushed();
      await Promise.resolve();
    }
    assertEquals(await reader.lines(), live(1, 500));
  }
});

Deno.test("a paused reader that retention has passed is told of the gap in the next event, once", async () => {
  const opened = openTestLog({ retention: { maxEvents: 10 } });
  const reader = read(opened, { limit: 8 });
  reader.stream.begin();
  await appendEach(opened.log, 2);
  await reader.lines();
  reader.writer.stop();
  await appendEach(opened.log, 50);
  reader.writer.go();
  await settled(opened.log);
  const lines = await reader.lines();
  const gaps = lines.filter((line) => line.includes("gap"));
  assertEquals(gaps.length, 1);
  const [, first, from, to] = /^(\d+) gap (\d+)-(\d+)$/.exec(gaps[0]!)!.map(Number);
  assertEquals([first, to], [43, 42]);
  assertEquals(lines, [...live(1, from! - 1), gaps[0]!, ...live(44, 52)]);
});

Deno.test("a gap stays until an event passes the filter", async () => {
  const opened = openTestLog({ retention: { maxEvents: 3 } });
  await appendEach(opened.log, 8);
  const reader = read(opened, { filter: new Filter({ topics: ["x"] }) });
  reader.stream.begin();
  await appendEach(opened.log, 2);
  assertEquals(await reader.lines(), []);
  await appendOne(opened.log, newEvent({ topic: "x" }));
  await appendOne(opened.log, newEvent({ topic: "x" }));
  assertEquals(await reader.lines(), ["11 gap 1-5", "12"]);
});

Deno.test("two gaps without an event between them are told as one", async () => {
  const opened = openTestLog({ retention: { maxEvents: 3 } });
  await appendEach(opened.log, 8);
  const reader = read(opened, { filter: new Filter({ topics: ["x"] }), limit: 1000 });
  reader.stream.begin();
  reader.writer.stop();
  reader.outbox.push("something else\n".repeat(100));
  await appendEach(opened.log, 20);
  reader.writer.go();
  await reader.outbox.flushed();
  await appendOne(opened.log, newEvent({ topic: "x" }));
  assertEquals((await reader.lines()).at(-1), "29 gap 1-25");
});

Deno.test("a log whose every event is lost tells so with the next one", async () => {
  const opened = openTestLog({ retention: { maxAgeMs: 1000 } });
  await appendEach(opened.log, 5);
  opened.clock.step(2000);
  const reader = read(opened);
  reader.stream.begin();
  assertEquals(await reader.lines(), []);
  await appendOne(opened.log);
  assertEquals(await reader.lines(), ["6 gap 1-5"]);
});

Deno.test("of a log that keeps nothing a stream tells what comes, once, and no gap", async () => {
  const opened = openTestLog({ retention: { maxEvents: 0 } });
  await appendEach(opened.log, 3);
  const reader = read(opened, { from: 4, replayTo: 3 });
  reader.stream.begin();
  await appendEach(opened.log, 4);
  assertEquals(await reader.lines(), live(4, 7));
});

Deno.test("an ended stream tells nothing more, even when it was waiting for the store", async () => {
  const opened = openTestLog({ memoryBytes: 0 });
  await appendEach(opened.log, 5);
  const release = opened.store.holdLoads();
  const reader = read(opened);
  reader.stream.begin();
  reader.stream.end();
  release();
  await settled(opened.log);
  await appendEach(opened.log, 2);
  assertEquals([await reader.lines(), reader.stream.isBehind(7)], [[], false]);
});

Deno.test("nothing is told before its bound is on disk, and then it is", async () => {
  const opened = openTestLog();
  await appendEach(opened.log, 2);
  const bound = new Ticket<void>();
  const asked: number[] = [];
  const reader = read(opened, {
    reserve: (seq) => (asked.push(seq), asked.length === 1 ? bound : null),
  });
  reader.stream.begin();
  await appendEach(opened.log, 2);
  assertEquals([await reader.lines(), asked], [[], [1]]);
  bound.succeed();
  assertEquals(await reader.lines(), [...replayed(1, 2), ...live(3, 4)]);
});

Deno.test("a bound that cannot be stored keeps nobody from reading", async () => {
  const opened = openTestLog();
  await appendEach(opened.log, 2);
  const bound = new Ticket<void>();
  const reader = read(opened, { reserve: () => bound });
  reader.stream.begin();
  bound.fail(new Error("no disk"));
  assertEquals(await reader.lines(), replayed(1, 2));
});

Deno.test("a store that cannot be read breaks the connection, which is no silent hole", async () => {
  const opened = openTestLog({ memoryBytes: 0 });
  await appendEach(opened.log, 5);
  opened.store.load = () => Promise.reject(new Error("no disk"));
  const reader = read(opened);
  reader.stream.begin();
  await settled(opened.log);
  assertEquals([reader.told.broken, await reader.lines()], [1, []]);
});

Deno.test("readers of the same share an encoding, those of other things do not", async () => {
  const opened = openTestLog();
  const shared = new SharedEncodings();
  let encoded = 0;
  const options = {
    shared,
    sharedAs: (replay: boolean) => `axon ${replay}`,
    encode: (event: LogEvent, delivery: { replay: boolean; gap: unknown }) => {
      encoded++;
      return encode(event, delivery);
    },
  };
  await opened.log.append(range(1, 10).map(() => newEvent({ topic: "a.b" }))).promise();
  const readers = Array.from({ length: 16 }, () => read(opened, options));
  for (const { stream } of readers) stream.begin();
  for (const reader of readers) assertEquals(await reader.lines(), replayed(1, 10));
  assertEquals(encoded, 10);
  const others = [
    read(opened, { ...options, filter: new Filter({ topics: ["a.*"] }) }),
    read(opened, { ...options, replayTo: 0 }),
    read(opened, { ...options, from: 3 }),
  ];
  for (const { stream } of others) stream.begin();
  assertEquals(await others[0]!.lines(), replayed(1, 10));
  assertEquals(await others[1]!.lines(), live(1, 10));
  assertEquals(await others[2]!.lines(), replayed(3, 10));
});

Deno.test("an event whose time is over is not told from what others were told", async () => {
  const opened = openTestLog();
  const { log, clock } = opened;
  await log.append([newEvent(), newEvent({ ttlMs: 100 }), newEvent()]).promise();
  const options = { shared: new SharedEncodings(), sharedAs: () => "axon" };
  const early = read(opened, options);
  early.stream.begin();
  assertEquals(await early.lines(), replayed(1, 3));
  clock.step(100);
  const late = read(opened, options);
  late.stream.begin();
  assertEquals(await late.lines(), ["1 replay", "3 replay"]);
});

Deno.test("a hundred paused readers hold no more than their bounds, and a quick one is not held up", async () => {
  const opened = openTestLog({ memoryBytes: 1_000_000, retention: { maxBytes: 4_000_000 } });
  const shared = new SharedEncodings();
  const limit = 64 * 1024;
  const options = {
    limit,
    shared,
    sharedAs: () => "axon",
    encode: ({ seq, envelope }: LogEvent) => `${seq} ${envelope}\n`,
  };
  const paused = Array.from({ length: 100 }, () => read(opened, options));
  const quick = read(opened, { ...options, limit: 1e9 });
  for (const reader of [...paused, quick]) reader.stream.begin();
  for (const { writer } of paused) writer.stop();
  for (let i = 0; i < 2000; i++) await appendOne(opened.log, newEvent({ chars: 5000 }));
  const lines = await quick.lines();
  assertEquals(lines.map((line) => parseInt(line)), range(1, 2000));
  for (const { outbox, writer } of paused) {
    assert(outbox.size <= limit / 4 + 5020, `${outbox.size} bytes are held`);
    assertEquals(writer.writes, []);
  }
  assert(shared.bytes <= 16 * 1024 * 1024);
  for (const { outbox } of paused) outbox.abandon();
});

Deno.test("readers of any pace see every event once, or in a gap, in order", async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = new Random(seed);
    const opened = openTestLog({
      memoryBytes: random.pick([0, 3000, 1e6]),
      retention: { maxEvents: random.pick([50, 1e6]) },
      unitsPerBlock: random.pick([1, 5, 100]),
    });
    const { log } = opened;
    await appendEach(log, random.below(60));
    const readers = Array.from(
      { length: 4 },
      () =>
        read(opened, {
          limit: random.pick([50, 500, 5000]),
          from: random.between(1, log.head + 1),
        }),
    );
    const starts = readers.map(({ stream }) => (stream.begin(), log.head));
    for (let step = 0; step < 200; step++) {
      const { writer } = random.pick(readers);
      if (random.oneIn(2)) writer.stop();
      else writer.go();
      writer.limit = random.between(1, 200);
      const count = random.between(1, 6);
      await Promise.all(Array.from({ length: count }, () => log.append([newEvent()]).promise()));
    }
    for (const [i, reader] of readers.entries()) {
      reader.writer.go();
      while (reader.stream.isBehind(log.head)) {
        await reader.outbox.flushed();
        await Promise.resolve();
      }
      expectWhole(await reader.lines(), { head: log.head, replayTo: starts[i]! });
    }
  }
});

function expectWhole(
  lines: string[],
  { head, replayTo }: { head: number; replayTo: number },
): void {
  let next = 0;
  for (const line of lines) {
    const [, seq, replay, , from, to] = /^(\d+)( replay)?( gap (\d+)-(\d+))?$/.exec(line)!;
    if (from !== undefined) {
      if (next > 0) assertEquals(Number(from), next);
      next = Number(to) + 1;
    }
    if (next > 0) assertEquals(Number(seq), next);
    assertEquals(replay !== undefined, Number(seq) <= replayTo);
    next = Number(seq) + 1;
  }
  assertEquals(next, head + 1);
}

Deno.test("what is told is what was appended", async () => {
  const opened = openTestLog();
  const payloads = [null, 1, "é\n", { a: [{}] }];
  for (const payload of payloads) await appendOne(opened.log, newEvent({ payload }));
  const told: unknown[] = [];
  const reader = read(opened, {
    encode: ({ envelope }) => (told.push(payloadOf(envelope)), "x\n"),
  });
  reader.stream.begin();
  await reader.lines();
  assertEquals(told, payloads);
});
