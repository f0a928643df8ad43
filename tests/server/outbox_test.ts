/** The outgoing side of a connection: whole lines, few writes, a bound, an end. */

import { assert, assertEquals } from "@std/assert";
import { Outbox } from "../../src/server/outbox.ts";
import { Random } from "../support/random.ts";
import { SlowWriter } from "../support/slow_writer.ts";

const encoder = new TextEncoder();

function open(limit = 1000) {
  const writer = new SlowWriter();
  const told = { room: 0, broken: 0 };
  const outbox = new Outbox(writer, {
    hold: () => {},
    limitBytes: () => limit,
    onRoom: () => told.room++,
    onBroken: () => told.broken++,
  });
  return { writer, outbox, told };
}

Deno.test("what is queued in one turn goes out in one write", async () => {
  const { writer, outbox } = open();
  for (let i = 0; i < 100; i++) outbox.push(`line ${i}\n`);
  outbox.push(encoder.encode("bytes\n"));
  outbox.push("last\n");
  await outbox.flushed();
  assertEquals(writer.writes.length, 1);
  assertEquals(writer.lines.length, 102);
  assertEquals([writer.lines[100], outbox.size], ["bytes", 0]);
});

Deno.test("there is one write at a time, and what comes meanwhile goes out after it together", async () => {
  const { writer, outbox } = open();
  writer.stop();
  const begun = writer.writeBegins();
  outbox.push("a\n");
  await begun;
  for (let i = 0; i < 50; i++) outbox.push(`${i}\n`);
  writer.go();
  await outbox.flushed();
  assertEquals(writer.writes.length, 2);
  assertEquals(writer.lines.slice(0, 3), ["a", "0", "1"]);
});

Deno.test("large pieces are not copied together, small ones between them are, all in order", async () => {
  const { writer, outbox } = open(1e9);
  const pieces = ["a\n", "b\n", "x".repeat(200_000) + "\n", "c\n", "d\n"];
  for (const piece of pieces) outbox.push(encoder.encode(piece));
  await outbox.flushed();
  assertEquals(writer.text, pieces.join(""));
  assertEquals(writer.writes.length, 3);
});

Deno.test("a write that takes only a part is gone on with, byte by byte if need be", async () => {
  for (const limit of [1, 3, 7]) {
    const { writer, outbox } = open();
    writer.limit = limit;
    outbox.push("é€🚪\n");
    outbox.push(encoder.encode("bytes\n"));
    outbox.push("end\n");
    await outbox.flushed();
    assertEquals(writer.text, "é€🚪\nbytes\nend\n");
    assertEquals(outbox.size, 0);
  }
});

Deno.test("lines come out in order and whole, however much each write takes", async () => {
  const random = new Random(13);
  const { writer, outbox } = open(1e9);
  const expected: string[] = [];
  for (let round = 0; round < 400; round++) {
    writer.limit = random.between(1, 5000);
    const line = `${round} ${random.pick(["x", "é", "🚪"]).repeat(random.below(3000))}`;
    expected.push(line);
    outbox.push(random.oneIn(2) ? `${line}\n` : encoder.encode(`${line}\n`));
    if (random.oneIn(5)) await Promise.resolve();
    if (random.oneIn(30)) await outbox.flushed();
  }
  await outbox.flushed();
  assertEquals(writer.lines, expected);
  assertEquals(outbox.size, 0);
});

Deno.test("it is full at its bound, and tells once when there is room again", async () => {
  const { writer, outbox, told } = open(1000);
  writer.stop();
  outbox.push("x".repeat(999) + "\n");
  assertEquals(outbox.isFull, true);
  outbox.push("a reply may stand above it\n");
  writer.go();
  await outbox.flushed();
  assertEquals([outbox.isFull, told.room], [false, 1]);
  outbox.push("small\n");
  await outbox.flushed();
  assertEquals(told.room, 1, "nobody waited");
});

Deno.test("streams pause at a quarter of the bound, so that replies find room", async () => {
  const { writer, outbox, told } = open(1000);
  writer.stop();
  assertEquals(outbox.hasRoomForStream, true);
  outbox.push("x".repeat(249));
  assertEquals(outbox.hasRoomForStream, true);
  outbox.push("\n");
  assertEquals([outbox.hasRoomForStream, outbox.isFull], [false, false]);
  writer.go();
  await outbox.flushed();
  assertEquals([outbox.hasRoomForStream, told.room], [true, 1]);
});

Deno.test("room is told when little is left, not with each byte", async () => {
  const { writer, outbox, told } = open(8000);
  writer.stop();
  writer.limit = 1000;
  outbox.push("x".repeat(8000));
  assertEquals(outbox.isFull, true);
  let sizeThen = -1;
  const noticed = () => told.room > 0 && sizeThen < 0 ? sizeThen = outbox.size : 0;
  writer.go();
  const flushed = outbox.flushed();
  for (let i = 0; i < 100; i++) {
    await Promise.resolve();
    noticed();
  }
  await flushed;
  assert(sizeThen >= 0 && sizeThen < 1000, String(sizeThen));
  assertEquals(told.room, 1);
});

Deno.test("a bound that shrinks while it is full does not leave anybody waiting", async () => {
  let limit = 10_000;
  const writer = new SlowWriter();
  let room = 0;
  const outbox = new Outbox(writer, {
    hold: () => {},
    limitBytes: () => limit,
    onRoom: () => room++,
    onBroken() {},
  });
  writer.stop();
  outbox.push("x".repeat(3000));
  assertEquals(outbox.hasRoomForStream, false);
  limit = 8;
  writer.go();
  await outbox.flushed();
  assertEquals([room, outbox.hasRoomForStream], [1, true]);
});

Deno.test("its size never counts less than what is held", async () => {
  const { writer, outbox } = open(1e9);
  writer.stop();
  const begun = writer.writeBegins();
  outbox.push("€".repeat(1000));
  assert(outbox.size >= 1000);
  await begun;
  assertEquals(outbox.size, 3000, "encoded by now");
  outbox.push("y".repeat(10));
  assertEquals(outbox.size, 3010);
  writer.go();
  await outbox.flushed();
  assertEquals(outbox.size, 0);
});

Deno.test("when the other side is gone it says so once, and takes no more", async () => {
  const { writer, outbox, told } = open();
  writer.stop();
  outbox.push("a\n");
  const flushed = [outbox.flushed(), outbox.flushed()];
  writer.break();
  await Promise.all(flushed);
  outbox.push("b\n");
  await outbox.flushed();
  assertEquals([told.broken, writer.writes.length], [1, 0]);
});

Deno.test("what is abandoned is not written, waits for nobody, and is not called broken", async () => {
  const { writer, outbox, told } = open();
  writer.stop();
  const begun = writer.writeBegins();
  outbox.push("a\n");
  await begun;
  outbox.push("b\n");
  const flushed = outbox.flushed();
  outbox.abandon();
  await flushed;
  writer.go();
  await outbox.flushed();
  await Promise.resolve();
  assertEquals(writer.text.includes("b"), false);
  assertEquals(told.broken, 0);
});

Deno.test("an outbox with nothing in it is flushed at once", async () => {
  const { outbox, writer } = open();
  await outbox.flushed();
  assertEquals(writer.writes, []);
});
