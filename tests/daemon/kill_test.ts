/**
 * `kill -9` in the middle of pipelined sends, again and again in one directory: every acknowledged event is
 * there, in its place, with the id that the sender was told, and the consumer goes on where it acked.
 */

import { assert, assertEquals } from "@std/assert";
import { DaemonProcess, startProcess, TestDirectory } from "../support/process.ts";
import { type Line, RawClient } from "../support/raw_client.ts";

const ROUNDS = 50;
const OUTSTANDING = 1000;
/** Sends of one round; the kill comes somewhere in between. */
const SENDS = 4000;

/** What the daemon acknowledged: message ids by seq. */
type Acknowledged = Map<number, string>;

Deno.test(`kill -9 during pipelined sends loses no acknowledged event in ${ROUNDS} rounds`, async () => {
  await using directory = new TestDirectory();
  const random = seeded(20_260_115);
  let acked = 0;
  const acknowledged: Acknowledged = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    await using daemon = await startProcess(directory.path).ready();
    using client = await greeted(directory);
    acked = await readBack(client, { acked, acknowledged });
    await sendUntilKilled(client, daemon, {
      killAfter: 1 + random(SENDS - OUTSTANDING),
      acknowledged,
    });
  }
  assert(acknowledged.size > ROUNDS, "nothing was acknowledged, so nothing was tested");
});

async function greeted(directory: TestDirectory): Promise<RawClient> {
  const client = await RawClient.connect(directory.at("postern.sock"));
  await client.hello("reader");
  assertEquals((await client.ask({ cmd: "auth", token: directory.read("ipc-token") })).ok, true);
  return client;
}

/** Reads everything behind the cursor, compares it with what was acknowledged, and acks half of it. */
async function readBack(
  client: RawClient,
  { acked, acknowledged }: { acked: number; acknowledged: Acknowledged },
): Promise<number> {
  const found = new Map<number, string>();
  for (let after = acked, more = true; more;) {
    const reply = await client.ask({ cmd: "event.read", after, limit: 1000 });
    for (const { seq, envelope } of reply.events) {
      assertEquals(seq, after + 1, "seqs are contiguous");
      found.set(seq, envelope.id);
      after = seq;
    }
    more = reply.has_more;
  }
  for (const [seq, id] of acknowledged) {
    if (seq > acked) assertEquals(found.get(seq), id, `the event ${seq} was acknowledged`);
  }
  const [first] = (await client.ask({ cmd: "inbox", limit: 1000 })).messages as Line[];
  if (first === undefined) return acked;
  assertEquals(first.seq, acked + 1, "the consumer goes on where it acked");
  const half = first.seq + Math.floor((Math.min(found.size, 1000) - 1) / 2);
  assertEquals((await client.ask({ cmd: "ack", up_to_seq: half })).acked_seq, half);
  return half;
}

/** Sends with many outstanding, kills after so many replies, and takes the replies that were on their way. */
async function sendUntilKilled(
  client: RawClient,
  daemon: DaemonProcess,
  { killAfter, acknowledged }: { killAfter: number; acknowledged: Acknowledged },
): Promise<void> {
  const note = ({ ok, seq, msg_id }: Line) => {
    assertEquals(ok, true);
    acknowledged.set(seq, msg_id);
  };
  let sent = await send(client, OUTSTANDING);
  for (let replies = 0; replies < killAfter; replies++) {
    note(await client.reply());
    if (sent - replies <= OUTSTANDING / 2 && sent < SENDS) {
      sent += await send(client, OUTSTANDING / 2);
    }
  }
  await daemon.crash();
  for (const line of await client.untilClosed()) note(line);
}

async function send(client: RawClient, count: number): Promise<number> {
  const line = `{"cmd":"send","req_id":"s","to":"self","kind":"notify","payload":"${
    "x".repeat(100)
  }"}\n`;
  await client.write(line.repeat(count));
  return count;
}

/** The same numbers each time, so that a failure can be had again. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % below;
  };
}
