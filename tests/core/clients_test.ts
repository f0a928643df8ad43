/** Clients: nobody becomes an originator but by its secret, and what was used is known after a restart. */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  Clients,
  MAX_CLIENTS,
  MAX_MINTED,
  MINTED_LIFE_MS,
  type MintedClient,
} from "../../src/core/clients.ts";
import { SECRETS } from "../../src/daemon/secrets.ts";
import { openTestLog, type TestLog } from "../support/test_log.ts";

function openClients(opened: TestLog = openTestLog()): Clients {
  const { log, clock, store } = opened;
  return new Clients(log, { clock, secrets: SECRETS, documents: store.documents });
}

function mint(clients: Clients, kind = "editor"): MintedClient {
  const minted = clients.identify(kind, null);
  assert("clientId" in minted);
  return minted;
}

Deno.test("whoever shows no id gets a fresh one, and its originator does not give it away", () => {
  const clients = openClients();
  const [one, other] = [mint(clients), mint(clients)];
  assertMatch(one.clientId, /^[0-9a-f]{64}$/);
  assertMatch(one.originator, /^o-[0-9a-f]{32}$/);
  assertNotEquals(one.clientId, other.clientId);
  assertNotEquals(one.originator, other.originator);
  assert(!one.clientId.includes(one.originator.slice(2)));
});

Deno.test("whoever shows its id again is the same, and is told no new one", () => {
  const clients = openClients();
  const { clientId, kind, originator } = mint(clients);
  for (let n = 0; n < 2; n++) {
    assertEquals(clients.identify("editor", clientId), { kind, originator });
  }
});

Deno.test("an id that is unknown, or known under another kind, gets a fresh one", () => {
  const clients = openClients();
  const { clientId, originator } = mint(clients);
  for (
    const [kind, id] of [
      ["runner", clientId],
      ["editor", "0".repeat(64)],
      ["editor", originator],
      ["editor", originator.slice(2)],
      ["editor", ""],
    ] as const
  ) {
    const other = clients.identify(kind, id);
    assert("clientId" in other && other.originator !== originator, `${kind} ${id}`);
  }
  clients.identify("editor", clientId);
  assert("clientId" in clients.identify("runner", clientId), "a kept one keeps its kind as well");
  assertEquals(clients.identify("editor", clientId).originator, originator);
});

Deno.test("what was used is known after a restart: shown again, or seen by others; the secret is not stored", async () => {
  const opened = openTestLog();
  const clients = openClients(opened);
  const [unused, shown, seen] = [mint(clients), mint(clients), mint(clients, "runner")];
  clients.identify("editor", shown.clientId);
  clients.used(seen);
  clients.used(seen);
  await opened.log.drain();
  const restarted = opened.restarted();
  const kept = JSON.stringify(restarted.store.documents);
  for (const { clientId } of [unused, shown, seen]) assert(!kept.includes(clientId));
  const after = openClients(restarted);
  assertEquals(after.identify("editor", shown.clientId).originator, shown.originator);
  assertEquals(after.identify("runner", seen.clientId).originator, seen.originator);
  assertNotEquals(after.identify("editor", unused.clientId).originator, unused.originator);
});

Deno.test("an id that is not used expires, and its client is known again once it is", () => {
  const opened = openTestLog();
  const clients = openClients(opened);
  const [forgotten, late] = [mint(clients), mint(clients)];
  opened.clock.step(MINTED_LIFE_MS);
  clients.used(late);
  assert("clientId" in clients.identify("editor", forgotten.clientId));
  assertEquals(clients.identify("editor", late.clientId).originator, late.originator);
});

Deno.test("of ids that nobody uses only the newest are remembered", () => {
  const clients = openClients();
  const all = Array.from({ length: MAX_MINTED + 1 }, () => mint(clients));
  assert("clientId" in clients.identify("editor", all[0]!.clientId));
  assertEquals("clientId" in clients.identify("editor", all.at(-1)!.clientId), false);
});

Deno.test("of clients that are kept the one unseen for longest is forgotten for one more", async () => {
  const opened = openTestLog();
  const clients = openClients(opened);
  const all: MintedClient[] = [];
  for (let n = 0; n < MAX_CLIENTS; n++) {
    const minted = mint(clients);
    all.push(minted);
    clients.identify("editor", minted.clientId);
    opened.clock.step(1);
  }
  opened.clock.step(3_600_000);
  clients.identify("editor", all[0]!.clientId);
  clients.used(mint(clients));
  await opened.log.drain();
  assertEquals(opened.store.documents.length, MAX_CLIENTS);
  assertEquals("clientId" in clients.identify("editor", all[0]!.clientId), false);
  assertEquals("clientId" in clients.identify("editor", all[1]!.clientId), true);
});
