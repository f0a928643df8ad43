/** What all connections share: the log's backlog, and the memory for what nobody reads. */

import { assert, assertEquals } from "@std/assert";
import { MemoryServer } from "../support/memory_server.ts";
import { newEvent } from "../support/new_event.ts";

const MIB = 1024 * 1024;
const HELLO = { cmd: "hello", req_id: "h", version: 2 };

/** More turns of the event loop than anything in memory takes here. */
const MOST_TURNS = 100;

async function settled(): Promise<void> {
  for (let turn = 0; turn < MOST_TURNS; turn++) await nextTurn();
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

Deno.test("whoever waits for a full backlog goes on at half of it, though others never let the log rest", async () => {
  await using server = new MemoryServer();
  const { log, store } = server.opened;
  const release = store.holdCommits();
  for (let i = 0; i < 40; i++) log.append([newEvent({ chars: MIB })]);
  const client = server.connect();
  client.say(HELLO);
  await settled();
  assertEquals(client.lines, 0, "40 MiB wait, and nothing more is begun");
  let rounds = 0;
  const most = 2000;
  const keepBusy = () => {
    if (client.lines === 0 && ++rounds < most) log.append([newEvent()]).whenSettled(keepBusy);
  };
  keepBusy();
  release();
  await client.hears(1);
  assert(rounds < most, "it was answered while the log was busy");
});

Deno.test("what many connections ask for and do not read is bounded, and comes when they read at last", async () => {
  const replyBytes = MIB / 4;
  const asked = 8;
  const addr = "x".repeat(replyBytes - 100);
  let made = 0;
  await using server = new MemoryServer(() => {
    made++;
    return [{ id: "p", addr, status: "connected", source: "static" }];
  });
  const requests = Array.from({ length: asked }, (_, i) => ({ cmd: "peers", req_id: `${i}` }));
  const join = async () => {
    const client = server.connect();
    client.stop();
    client.say(HELLO, ...requests);
    await settled();
    return client;
  };
  const clients = [];
  for (let i = 1; i <= 300; i++) {
    clients.push(await join());
    // Beyond what all of them share, each is owed one reply: who reads again is answered again.
    const bound = 256 * MIB + i * replyBytes;
    assert(made * replyBytes <= bound, `${made * replyBytes / MIB} MiB are held for ${i}`);
    assert(made >= i, "everyone is answered once");
  }
  // Those who hold most go away, the others read.
  for (const client of clients.slice(0, 250)) client.break();
  for (const client of clients.slice(250)) client.go();
  for (const client of clients.slice(250)) await client.hears(1 + asked);
  const before = made;
  await join();
  // On a busy machine whoever asks for so much gives way to the others for longer.
  for (let i = 0; i < 1000 * MOST_TURNS && made - before < asked; i++) await nextTurn();
  assertEquals(made - before, asked, "all that was held is free again");
});
