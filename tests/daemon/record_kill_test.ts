/**
 * `kill -9` in the middle of pipelined sets, again and again in one directory: every record is at or above what
 * was acknowledged, its value belongs to its sequence, and what was removed stays removed.
 *
 * Each value says the sequence that it must get, which one connection alone can tell beforehand.
 */

import { assert, assertEquals } from "@std/assert";
import { startProcess, TestDirectory } from "../support/process.ts";
import { Random } from "../support/random.ts";
import { type Line, RawClient } from "../support/raw_client.ts";

const ROUNDS = 20;
const OUTSTANDING = 500;
/** Sets of one round; the kill comes somewhere in between. */
const SETS = 3000;
/** Characters that a value is made longer by; the last does not fit one stored value. */
const PADS = [0, 0, 0, 0, 100, 100, 100, 2000, 2000, 70_000];

interface Kept {
  readonly name: string;
  readonly type: "single_latest" | "spmc_ring" | "mailbox";
  readonly capacity: number;
  readonly volatile: boolean;
}

const RECORDS: readonly Kept[] = [
  { name: "latest", type: "single_latest", capacity: 1, volatile: false },
  { name: "box", type: "mailbox", capacity: 1, volatile: false },
  { name: "ring.2", type: "spmc_ring", capacity: 2, volatile: false },
  { name: "ring.90", type: "spmc_ring", capacity: 90, volatile: false },
  { name: "quick", type: "single_latest", capacity: 1, volatile: true },
  { name: "quick.ring", type: "spmc_ring", capacity: 5, volatile: true },
];

/** The highest sequence that was acknowledged, by name. */
type Acknowledged = Map<string, number>;

Deno.test(`kill -9 during pipelined sets loses no acknowledged value in ${ROUNDS} rounds`, async () => {
  await using directory = new TestDirectory();
  const random = new Random(20_260_301);
  const acknowledged: Acknowledged = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    await using daemon = await startProcess(directory.path).ready();
    using client = await greeted(directory);
    if (round === 0) await defineAll(client);
    else await checkRemoved(client);
    const sequences = new Map<string, number>();
    for (const record of RECORDS) {
      sequences.set(record.name, await check(client, record, acknowledged));
    }
    await setAndRemove(client, "gone");
    const plan = setsOf(random, sequences);
    const killAfter = 1 + random.below(SETS - OUTSTANDING);
    await setUntil(client, { plan, killAfter, acknowledged });
    await daemon.crash();
    for (const line of await client.untilClosed()) note(line, acknowledged);
  }
  assertEquals(acknowledged.size, RECORDS.length, "each record was set");
});

async function greeted(directory: TestDirectory): Promise<RawClient> {
  const client = await RawClient.connect(directory.at("postern.sock"));
  await client.hello();
  assertEquals((await client.ask({ cmd: "auth", token: directory.read("ipc-token") })).ok, true);
  return client;
}

async function asked(client: RawClient, request: Record<string, unknown>): Promise<Line> {
  const reply = await client.ask(request);
  assertEquals(reply.ok, true, JSON.stringify(reply));
  return reply;
}

async function defineAll(client: RawClient): Promise<void> {
  for (const { name, type, capacity, volatile } of RECORDS) {
    await asked(client, {
      cmd: "record.define",
      name,
      buffer_type: type,
      capacity,
      volatile,
    });
  }
}

/** A record is as it was acknowledged, or further. @returns Its sequence. */
async function check(
  client: RawClient,
  { name, type, capacity, volatile }: Kept,
  acknowledged: Acknowledged,
): Promise<number> {
  const least = acknowledged.get(name) ?? 0;
  const { sequence } = await metadataOf(client, name);
  assert(sequence >= least, `${name} was acknowledged at ${least} and is at ${sequence}`);
  if (volatile || sequence === 0) return sequence;
  const latest = await asked(client, { cmd: "record.get", name });
  assertEquals([latest.sequence, latest.value.n], [sequence, sequence], name);
  if (type !== "spmc_ring") return sequence;
  const history = await asked(client, { cmd: "record.history", name, limit: capacity });
  const found = (history.values as Line[]).map(({ value, sequence }) => {
    assertEquals(value.n, sequence, name);
    return sequence as number;
  });
  assertEquals(found.at(-1), sequence);
  // A reply stops before 1 MiB, with the newest.
  const from = history.has_more ? found[0]! : Math.max(1, sequence - capacity + 1);
  for (let n = from; n <= sequence; n++) {
    assert(found.includes(n), `${name} ${n} is not in ${found}`);
  }
  return sequence;
}

async function metadataOf(client: RawClient, name: string): Promise<Line> {
  return (await listed(client)).find((record) => record.name === name)!;
}

async function listed(client: RawClient): Promise<Line[]> {
  return (await asked(client, { cmd: "record.list" })).result as Line[];
}

/** What was removed in the round before is not there, and nothing of it comes back with its name. */
async function checkRemoved(client: RawClient): Promise<void> {
  assertEquals((await listed(client)).filter(({ name }) => name === "gone"), []);
}

async function setAndRemove(client: RawClient, name: string): Promise<void> {
  await asked(client, { cmd: "record.define", name, buffer_type: "spmc_ring", capacity: 70 });
  for (let n = 1; n <= 80; n++) {
    assertEquals((await asked(client, { cmd: "record.set", name, value: n })).sequence, n);
  }
  await asked(client, { cmd: "record.remove", name });
}

/** The lines of one round, each set of a record picked at random. */
function setsOf(random: Random, sequences: ReadonlyMap<string, number>): string[] {
  const next = new Map(sequences);
  return Array.from({ length: SETS }, () => {
    const { name } = random.pick(RECORDS);
    const n = next.get(name)! + 1;
    next.set(name, n);
    const value = { n, pad: "x".repeat(random.pick(PADS)) };
    return JSON.stringify({ cmd: "record.set", req_id: `${name} ${n}`, name, value }) + "\n";
  });
}

/** Sets with many outstanding until so many are answered. */
async function setUntil(
  client: RawClient,
  { plan, killAfter, acknowledged }: {
    plan: readonly string[];
    killAfter: number;
    acknowledged: Acknowledged;
  },
): Promise<void> {
  await client.write(plan.slice(0, OUTSTANDING).join(""));
  let sent = OUTSTANDING;
  for (let replies = 0; replies < killAfter; replies++) {
    note(await client.reply(), acknowledged);
    if (sent - replies > OUTSTANDING / 2) continue;
    await client.write(plan.slice(sent, sent + OUTSTANDING / 2).join(""));
    sent += OUTSTANDING / 2;
  }
}

function note(line: Line, acknowledged: Acknowledged): void {
  assertEquals(line.ok, true, JSON.stringify(line));
  const [name, n] = String(line.req_id).split(" ");
  assertEquals(line.sequence, Number(n), "the value that says so");
  acknowledged.set(name!, line.sequence);
}
