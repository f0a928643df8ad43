/** A subscription over a socket in memory: the reader's pace, the bound, and every end. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Connection } from "../../src/client/connection.ts";
import { ConnectionError } from "../../src/client/mod.ts";
import { Subscription } from "../../src/client/subscription.ts";
import { FakeSocket } from "../support/fake_axon.ts";

const START = { subscription_id: "s", replayed: 0, replay_to_seq: 0 };

function open(): { socket: FakeSocket; stream: Subscription } {
  const socket = new FakeSocket();
  const stream = new Subscription((onEvent) => {
    const connection = new Connection(socket, { onEvent });
    return Promise.resolve({ connection, start: START, epoch: "e", from: 0 });
  });
  return { socket, stream };
}

function event(seq: number, payload: unknown = null): Record<string, unknown> {
  return { event: "inbound", replay: false, seq, buffered_at_ms: 1, envelope: { payload } };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

Deno.test("events come in order, whether they were there before or are waited for", async () => {
  const { socket, stream } = open();
  socket.say(event(1), event(2));
  const seqs: number[] = [];
  for await (const { seq } of stream) {
    seqs.push(seq);
    if (seq < 5) socket.say(event(seq + 2));
    else break;
  }
  assertEquals(seqs, [1, 2, 3, 4, 5]);
  assert(socket.closed, "leaving the loop ends the subscription");
});

Deno.test("a reader who takes nothing stops the reading of the socket, and gets all later", async () => {
  const { socket, stream } = open();
  await stream.started;
  const total = 20_000;
  for (let seq = 1; seq <= total; seq++) socket.say(event(seq));
  // Every turn reads on if nothing holds it back, and this is more turns than there are events.
  await turns(total * 10);
  assert(socket.reads < 2000, `${socket.reads} reads although nobody takes an event`);
  let last = 0;
  for await (const { seq } of stream) {
    assertEquals(seq, last + 1);
    last = seq;
    if (seq === total) break;
  }
});

Deno.test("few large events stop the reading as well", async () => {
  const { socket, stream } = open();
  await stream.started;
  for (let seq = 1; seq <= 100; seq++) socket.say(event(seq, "x".repeat(200_000)));
  await turns(100_000);
  const read = socket.reads;
  await turns(1000);
  assertEquals(socket.reads, read);
  let last = 0;
  for await (const { seq } of stream) {
    last = seq;
    if (seq === 100) break;
  }
  assertEquals(last, 100);
  assert(socket.reads > read);
});

Deno.test("a lost connection is thrown after what had come before", async () => {
  const { socket, stream } = open();
  socket.say(event(1), event(2));
  socket.end();
  const seqs: number[] = [];
  const error = await assertRejects(async () => {
    for await (const { seq } of stream) seqs.push(seq);
  }, ConnectionError);
  assertEquals(seqs, [1, 2]);
  assertEquals(error.code, "ECONNRESET");
});

Deno.test("close ends a loop that waits", async () => {
  const { stream } = open();
  await stream.started;
  const ended = (async () => {
    for await (const _ of stream) throw new Error("nothing was sent");
  })();
  stream.close();
  await ended;
});

Deno.test("what keeps a subscription from beginning is thrown to whoever iterates", async () => {
  const stream = new Subscription(() => Promise.reject(new ConnectionError("ENOENT", "no daemon")));
  await assertRejects(() => stream.next(), ConnectionError, "no daemon");
  assertEquals(await stream.next(), { done: true, value: undefined });
});
