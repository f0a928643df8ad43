/**
 * `kill -9` while a permission is pending, a turn runs, another is queued, a lease is held and a call is under way:
 * what becomes of each is what its page says.
 */

import { assert, assertEquals } from "@std/assert";
import { startProcess, TestDirectory } from "../support/process.ts";
import { type Line, RawClient } from "../support/raw_client.ts";

async function person(directory: TestDirectory, clientId?: string) {
  const client = await RawClient.connect(directory.at("postern.sock"));
  const claim = clientId === undefined ? {} : { client_id: clientId };
  await client.ask({ cmd: "hello", version: 2, client_kind: "person", ...claim });
  const auth = await client.ask({ cmd: "auth", token: directory.read("ipc-token").trim() });
  assertEquals(auth.ok, true);
  return { client, clientId: clientId ?? auth.client_id as string };
}

async function must(client: RawClient, request: Line): Promise<Line> {
  const reply = await client.ask(request);
  assertEquals(reply.ok, true, JSON.stringify(reply));
  return reply;
}

async function topicsOf(client: RawClient, filter: string): Promise<Line[]> {
  const { events } = await must(client, { cmd: "event.read", topics: [filter], limit: 1000 });
  return events.map(({ envelope }: Line) => ({ topic: envelope.topic, ...envelope.payload }));
}

Deno.test("after kill -9 a pending request waits on, a running turn has failed, a queued one runs, a lease holds", async () => {
  await using directory = new TestDirectory();
  let me: string;
  let [request_id, running, queued, lease_id, fence] = ["", "", "", "", 0];
  {
    await using daemon = await startProcess(directory.path).ready();
    const { client, clientId } = await person(directory);
    me = clientId;
    ({ request_id } = await must(client, { cmd: "permission.request", tool: "Bash", input: 1 }));
    await must(client, { cmd: "session.attach", runner: "echo" });
    await must(client, { cmd: "session.create", session_id: "notes", runner: "echo" });
    const send = { cmd: "session.send", session_id: "notes", text: "one" };
    ({ turn_id: running } = await must(client, send));
    ({ turn_id: queued } = await must(client, { ...send, text: "two" }));
    await must(client, { cmd: "turn.emit", turn_id: running, type: "delta", data: { text: "o" } });
    ({ lease_id, fence } = await must(client, {
      cmd: "lease.acquire",
      name: "build",
      ttl_secs: 600,
      release_on_disconnect: true,
    }));
    const methods = [{ name: "wait" }];
    await must(client, { cmd: "service.register", name: "slow", methods });
    const caller = await person(directory);
    await caller.client.send({ cmd: "slow.wait", req_id: "c" });
    assertEquals((await client.pushed()).event, "call");
    await daemon.crash();
    assertEquals((await caller.client.untilClosed()).length, 0, "the call has no answer");
    client.close();
    caller.client.close();
  }
  await using _daemon = await startProcess(directory.path).ready();
  const { client } = await person(directory, me);

  const { pending } = await must(client, { cmd: "permission.list" });
  assertEquals(pending.map((one: Line) => one.request_id), [request_id]);
  const requested = await topicsOf(client, "permission.>");
  assertEquals(requested.map(({ topic }) => topic), ["permission.requested"], "told once");
  const answer = { cmd: "permission.answer", request_id, result: { approve: true } };
  await must(client, answer);
  assertEquals((await client.ask(answer)).error, "conflict");

  const ofRunning = (await topicsOf(client, "turn.>")).filter((one) => one.turn_id === running);
  assertEquals(ofRunning.map(({ topic }) => topic), [
    "turn.queued",
    "turn.started",
    "turn.delta",
    "turn.failed",
  ]);
  assertEquals(ofRunning.at(-1)!.code, "service_unavailable");
  await must(client, { cmd: "subscribe", topics: ["turn.>"], replay: false });
  await must(client, { cmd: "session.attach", runner: "echo" });
  const started = (await client.pushed()).envelope;
  assertEquals([started.topic, started.payload.turn_id], ["turn.started", queued]);
  await must(client, { cmd: "turn.emit", turn_id: queued, type: "completed" });

  const { leases } = await must(client, { cmd: "lease.list" });
  assertEquals(leases.map((one: Line) => [one.name, one.fence]), [["build", fence]]);
  await must(client, { cmd: "lease.renew", lease_id });
  await must(client, { cmd: "lease.release", lease_id });
  const again = await must(client, { cmd: "lease.acquire", name: "build", ttl_secs: 60 });
  assert(again.fence > fence, "the fence goes up");

  assertEquals((await must(client, { cmd: "service.list" })).services, []);
  assertEquals((await client.ask({ cmd: "slow.wait" })).error, "invalid_command");
  client.close();
});
