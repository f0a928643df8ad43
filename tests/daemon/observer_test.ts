/**
 * Whoever sees everything that the daemon tells (every event, list, metric, log and the audit) becomes nobody by it:
 * each word of that, shown as a client_id or a lease_id, is a stranger's.
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { HttpClient } from "../support/http_client.ts";
import { startProcess, TestDirectory } from "../support/process.ts";
import { type Line, RawClient } from "../support/raw_client.ts";

const WORD = /[A-Za-z0-9_-]{8,128}/g;

async function person(directory: TestDirectory, kind: string, clientId?: string) {
  const client = await RawClient.connect(directory.at("postern.sock"));
  const claim = clientId === undefined ? {} : { client_id: clientId };
  await client.ask({ cmd: "hello", version: 2, client_kind: kind, ...claim });
  const auth = await client.ask({ cmd: "auth", token: directory.read("ipc-token").trim() });
  return { client, originator: auth.originator as string, clientId: auth.client_id as string };
}

async function must(client: RawClient, request: Line): Promise<Line> {
  const reply = await client.ask(request);
  assertEquals(reply.ok, true, JSON.stringify(reply));
  return reply;
}

Deno.test("nothing that everybody can see lets one answer, renew or act for another", async () => {
  await using directory = new TestDirectory();
  await using _daemon = await startProcess(directory.path).ready();
  const owner = await person(directory, "editor");
  const { request_id } = await must(owner.client, {
    cmd: "permission.request",
    tool: "Bash",
    input: { command: "rm -rf build" },
  });
  const { lease_id } = await must(owner.client, {
    cmd: "lease.acquire",
    name: "build",
    ttl_secs: 600,
  });
  const { turn_id } = await must(owner.client, {
    cmd: "session.send",
    session_id: "notes",
    text: "sum this up",
  });
  const thief = await person(directory, "editor");
  using http = new HttpClient(directory.at("http.sock"), directory.read("ipc-token").trim());
  const lists = ["event.read", "client.list", "lease.list", "session.list", "service.list"];
  const told: unknown[] = [];
  for (const cmd of [...lists, "consumer.list", "token.list", "record.list", "status"]) {
    told.push(await must(thief.client, { cmd }));
  }
  for (const path of ["/metrics", "/healthz", "/events?follow=0"]) {
    told.push(await (await http.open(path)).text());
  }
  const seen = [JSON.stringify(told), directory.log, directory.read("log", "audit.jsonl")].join();
  const words = new Set(seen.match(WORD));
  assert(words.has(owner.originator) && words.has(request_id) && words.has(turn_id));
  assertEquals([words.has(owner.clientId), words.has(lease_id)], [false, false]);

  const answer = { cmd: "permission.answer", request_id, result: { approve: true } };
  for (const word of words) {
    const hello = { cmd: "hello", version: 2, client_kind: "editor", client_id: word };
    const { originator } = await must(thief.client, hello);
    assertNotEquals(originator, owner.originator, word);
    assertEquals((await thief.client.ask(answer)).error, "not_originator", word);
    const renewal = { cmd: "lease.renew", lease_id: word };
    assertEquals((await thief.client.ask(renewal)).error, "not_found", word);
  }
  const emit = { cmd: "turn.emit", turn_id, type: "completed", data: 1 };
  assertEquals((await thief.client.ask(emit)).error, "permission_denied");
  for (const topic of ["permission.resolved", "turn.completed", "lease.released"]) {
    const forged = { cmd: "send", to: "self", kind: "notify", topic, payload: { request_id } };
    assertEquals((await thief.client.ask(forged)).error, "permission_denied");
  }
  const back = await person(directory, "editor", owner.clientId);
  assertEquals(back.originator, owner.originator);
  assertEquals((await must(back.client, { ...answer, req_id: "a" })).ok, true);
  for (const { client } of [owner, thief, back]) client.close();
});
