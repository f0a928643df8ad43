/** What the requests of one connection cost the others, and what is carried out behind a shutdown. */

import { assert, assertEquals } from "@std/assert";
import { range } from "../support/expect.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

/** Enough that all the reads together hold the event loop for long, and each of them hardly. */
const EVENTS = 20_000;
const READS = 1000;
/** How often another connection is answered meanwhile, at least. Without turns it is once or twice. */
const ANSWERED = 5;

async function loggedIn(daemon: TestDaemon): Promise<RawClient> {
  const client = await daemon.connect();
  const params = { token: daemon.token };
  await client.send({ jsonrpc: "2.0", id: "l", method: "auth.login", params });
  assert("result" in await client.next());
  return client;
}

function request(id: number, method: string, params: Line = {}): Line {
  return { jsonrpc: "2.0", id, method, params };
}

for (const shape of ["one batch", "one write"]) {
  Deno.test(`another connection is answered during ${shape} of reads that find nothing`, async () => {
    await using daemon = await startTestDaemon();
    await daemon.fill(EVENTS);
    const reader = await loggedIn(daemon);
    const other = await loggedIn(daemon);
    const reads = range(1, READS).map((id) => request(id, "event.read", { kinds: ["query"] }));
    let over = false;
    const read = async () => {
      if (shape === "one batch") {
        await reader.send(reads);
        assertEquals(JSON.parse(await reader.text()).length, READS);
      } else {
        await reader.send(...reads);
        for (const { id } of reads) assertEquals((await reader.next()).id, id);
      }
      over = true;
    };
    const done = read();
    let answered = 0;
    while (!over) {
      await other.send(request(answered, "system.ping"));
      assertEquals((await other.next()).id, answered++);
    }
    await done;
    assert(answered >= ANSWERED, `another connection was answered ${answered} times`);
  });
}

Deno.test("behind a shutdown in a batch nothing is carried out, and every reply says so", async () => {
  await using daemon = await startTestDaemon();
  const client = await loggedIn(daemon);
  const send = { kind: "notify", payload: "x" };
  const { closed } = daemon;
  await client.send([
    request(1, "event.send", send),
    request(2, "system.shutdown"),
    request(3, "event.send", send),
    { jsonrpc: "2.0", method: "event.send", params: send },
    request(4, "event.read"),
  ], request(5, "event.send", send));
  const batch: Line[] = JSON.parse(await client.text());
  assertEquals(batch.map(({ id }) => id), [1, 2, 3, 4]);
  assertEquals(batch.map(({ result }) => result !== undefined), [true, true, false, false]);
  const refused = [...batch.slice(2), await client.next()];
  assertEquals(refused.map(({ error }) => error.data.code), Array(3).fill("shutting_down"));
  await closed;
  await daemon.restart();
  const again = await loggedIn(daemon);
  await again.send(request(1, "event.read"));
  assertEquals((await again.next()).result.events.length, 1, "only what came before it is there");
});

Deno.test("a shutdown that is refused closes nothing", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.send(request(1, "system.shutdown"), request(2, "system.ping"));
  assertEquals((await client.next()).error.data.code, "auth_required");
  assertEquals((await client.next()).result.pong, true);
});

Deno.test("a shutdown whose parameters are wrong closes nothing", async () => {
  await using daemon = await startTestDaemon();
  const client = await loggedIn(daemon);
  await client.send({ ...request(1, "system.shutdown"), params: [] }, request(2, "system.ping"));
  assertEquals((await client.next()).error.data.code, "invalid_params");
  assertEquals((await client.next()).result.pong, true);
});
