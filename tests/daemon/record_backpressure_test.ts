/** Watchers that do not read, on a real daemon: they cost it little memory, and others nothing at all. */

import { assert, assertEquals } from "@std/assert";
import { startProcess, TestDirectory } from "../support/process.ts";
import { type Line, RawClient } from "../support/raw_client.ts";

const MIB = 1024 * 1024;
const SLOW = 100;
const UPDATES = 20_000;
/** As many as wait for a reader by default, so that one that reads misses none. */
const BATCH = 100;
/** What a daemon may grow by. All that the slow ones are owed is 2 GiB. */
const GROWTH_BYTES = 200 * MIB;

Deno.test({
  name: `${SLOW} watchers that do not read cost a bounded memory, and get the newest value later`,
  // Memory is read from /proc; elsewhere tests/server/record_stream_test.ts counts what is held.
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using directory = new TestDirectory();
    await using daemon = await startProcess(directory.path).ready();
    const clients: RawClient[] = [];
    try {
      for (let i = 0; i < SLOW + 2; i++) clients.push(await greeted(directory));
      const [setter, quick, ...slow] = clients as [RawClient, RawClient, ...RawClient[]];
      await asked(setter, { cmd: "record.define", name: "load", volatile: true });
      for (const client of [quick, ...slow]) {
        await asked(client, { cmd: "record.subscribe", name: "load" });
      }
      const before = residentBytes(daemon.pid);
      await setAll(setter, quick);
      const grown = residentBytes(daemon.pid) - before;
      assert(grown < GROWTH_BYTES, `${Math.round(grown / MIB)} MiB more`);
      for (const client of [slow[0]!, slow.at(-1)!]) await catchUp(client);
      assertEquals((await asked(setter, { cmd: "status" })).ok, true);
    } finally {
      for (const client of clients) client.close();
    }
  },
});

async function greeted(directory: TestDirectory): Promise<RawClient> {
  const client = await RawClient.connect(directory.at("postern.sock"));
  await client.hello();
  await asked(client, { cmd: "auth", token: directory.read("ipc-token") });
  return client;
}

async function asked(client: RawClient, request: Record<string, unknown>): Promise<Line> {
  const reply = await client.ask(request);
  assertEquals(reply.ok, true, JSON.stringify(reply));
  return reply;
}

/** Sets every update; the one that reads gets each of them. */
async function setAll(setter: RawClient, quick: RawClient): Promise<void> {
  for (let n = 0; n < UPDATES; n += BATCH) {
    const lines = Array.from({ length: BATCH }, (_, i) => lineOf(n + i + 1));
    await setter.write(lines.join(""));
    for (let i = 1; i <= BATCH; i++) assertEquals((await setter.reply()).sequence, n + i);
    for (let i = 1; i <= BATCH; i++) {
      const { sequence, data, dropped } = await quick.pushed();
      assertEquals([sequence, data.n, dropped], [n + i, n + i, undefined]);
    }
  }
}

function lineOf(n: number): string {
  const value = { n, pad: "x".repeat(1024) };
  return JSON.stringify({ cmd: "record.set", req_id: "s", name: "load", value }) + "\n";
}

/** Reads at last: in order, each once, to the newest, with a true count of what was dropped. */
async function catchUp(client: RawClient): Promise<void> {
  let received = 0;
  let missed = 0;
  for (let last = 0; last < UPDATES;) {
    const { sequence, data, dropped = 0 } = await client.pushed();
    assertEquals([data.n, sequence], [sequence, last + dropped + 1]);
    received++;
    missed += dropped;
    last = sequence;
  }
  assert(missed > 0, "it was too quick for this test");
  assertEquals(received + missed, UPDATES);
  await client.expectNothingPushed();
}

function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}
