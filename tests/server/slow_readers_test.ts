/** Slow readers on real sockets: they cost the daemon a bounded amount of memory, and others nothing. */

import { assert, assertEquals } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import { range, seqsOf } from "../support/expect.ts";
import { startProcess, TestDirectory } from "../support/process.ts";
import { type Line, RawClient } from "../support/raw_client.ts";

const MIB = 1024 * 1024;

Deno.test("readers that stop reading hold nobody up, and lose nothing", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { outbox_bytes: 65536 } } });
  const slow = await Promise.all([1, 2, 3, 4].map((i) => daemon.v2(`slow ${i}`)));
  for (const client of slow) await client.ask({ cmd: "subscribe" });
  const quick = await daemon.v2("quick");
  await quick.ask({ cmd: "subscribe" });
  const sender = await daemon.v2("sender");
  const sent = 600;
  const payload = "x".repeat(10_000);
  for (let i = 0; i < sent; i++) {
    await sender.send({ cmd: "send", req_id: "s", to: "self", kind: "notify", payload });
    assertEquals((await sender.reply()).ok, true);
    assertEquals((await quick.pushed()).seq, i + 1);
  }
  for (const client of slow) {
    const seqs: number[] = [];
    while (seqs.length < sent) seqs.push((await client.pushed()).seq);
    assertEquals(seqs, range(1, sent));
  }
});

Deno.test("a reader that does not take its replies is not read from, and gets them all later", async () => {
  await using daemon = await startTestDaemon({
    config: { limits: { outbox_bytes: 65536, max_in_flight: 16 } },
  });
  await daemon.fill(100, { payload: "x".repeat(5000) });
  const slow = await daemon.v2("slow");
  const requests = 200;
  const line = JSON.stringify({ cmd: "event.read", req_id: "r", limit: 100 }) + "\n";
  const writing = slow.write(line.repeat(requests));
  const other = await daemon.v2("other");
  assertEquals((await other.ask({ cmd: "event.read", limit: 5 })).events.length, 5);
  for (let i = 0; i < requests; i++) {
    assertEquals(seqsOf((await slow.reply()).events as Line[]), range(1, 100));
  }
  await writing;
});

const PAUSED = 100;
const TRAFFIC_BYTES = 24 * MIB;

Deno.test({
  name: `${PAUSED} paused subscribers cost a daemon a bounded amount of memory`,
  // Memory is read from /proc; elsewhere tests/server/log_stream_test.ts counts what is held.
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using directory = new TestDirectory();
    const outbox = 256 * 1024;
    Deno.writeTextFileSync(
      directory.at("config.jsonc"),
      JSON.stringify({ limits: { outbox_bytes: outbox } }),
      { mode: 0o600 },
    );
    await using daemon = await startProcess(directory.path).ready();
    const token = directory.read("ipc-token");
    const clients: RawClient[] = [];
    try {
      for (let i = 0; i < PAUSED; i++) clients.push(await greeted(directory, token, `paused ${i}`));
      const sender = await greeted(directory, token, "sender");
      clients.push(sender);
      // Each asks for something of its own, so that none shares what is held with another.
      for (const [i, client] of clients.slice(0, PAUSED).entries()) {
        await client.ask({ cmd: "subscribe", topics: ["traffic", `other.${i}`] });
      }
      const before = residentBytes(daemon.pid);
      await flood(sender);
      const grown = residentBytes(daemon.pid) - before;
      // All they are owed is a hundred times the traffic; the log's own memory is 8 MiB.
      const bound = PAUSED * outbox + 128 * MIB;
      assert(grown < bound, `${Math.round(grown / MIB)} MiB more`);
      assertEquals((await sender.ask({ cmd: "status" })).ok, true);
      const [first] = clients;
      for (let seq = 1; seq <= 500; seq++) assertEquals((await first!.pushed()).seq, seq);
    } finally {
      for (const client of clients) client.close();
    }
  },
});

async function greeted(directory: TestDirectory, token: string, consumer: string) {
  const client = await RawClient.connect(directory.at("postern.sock"));
  await client.hello(consumer);
  assertEquals((await client.ask({ cmd: "auth", token })).ok, true);
  return client;
}

/** Sends the traffic, a batch at a time. */
async function flood(sender: RawClient): Promise<void> {
  const payload = "x".repeat(20_000);
  const batch = 64;
  const send = { cmd: "send", req_id: "s", to: "self", kind: "notify", topic: "traffic", payload };
  const line = JSON.stringify(send) + "\n";
  for (let sent = 0; sent < TRAFFIC_BYTES; sent += batch * payload.length) {
    await sender.write(line.repeat(batch));
    for (let i = 0; i < batch; i++) assertEquals((await sender.reply()).ok, true);
  }
}

function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}
