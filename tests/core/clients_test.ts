/** Clients: nobody becomes an originator but by its secret, and what was used is known after a restart. */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  Clients,
  MAX_CLIENTS,
  MAX_CLIENTS_EACH,
  MAX_MINTED,
  MAX_MINTED_EACH,
  MINTED_LIFE_MS,
  type MintedClient,
} from "../../src/core/clients.ts";
import { OWNER_ID } from "../../src/core/principal.ts";
import { SECRETS } from "../../src/daemon/secrets.ts";
import { openTestLog, type TestLog } from "../support/test_log.ts";

function openClients(opened: TestLog = openTestLog()): Clients {
  const { log, clock, store } = opened;
  return new Clients(log, { clock, secrets: SECRETS, documents: store.documents });
}

function mint(clients: Clients, kind = "editor", tokenId = OWNER_ID): MintedClient {
  const minted = clients.identify(kind, null, tokenId);
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
    assertEquals(clients.identify("editor", clientId, OWNER_ID), { kind, originator });
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
    const other = clients.identify(kind, id, OWNER_ID);
    assert("clientId" in other && other.originator !== originator, `${kind} ${id}`);
  }
  clients.identify("editor", clientId, OWNER_ID);
  assert(
    "clientId" in clients.identify("runner", clientId, OWNER_ID),
    "a kept one keeps its kind as well",
  );
  assertEquals(clients.identify("editor", clientId, OWNER_ID).originator, originator);
});

Deno.test("what was used is known after a restart: shown again, or seen by others; the secret is not stored", async () => {
  const opened = openTestLog();
  const clients = openClients(opened);
  const [unused, shown, seen] = [mint(clients), mint(clients), mint(clients, "runner")];
  clients.identify("editor", shown.clientId, OWNER_ID);
  clients.used(seen, OWNER_ID);
  clients.used(seen, OWNER_ID);
  await opened.log.drain();
  const restarted = opened.restarted();
  const kept = JSON.stringify(restarted.store.documents);
  for (const { clientId } of [unused, shown, seen]) assert(!kept.includes(clientId));
  const after = openClients(restarted);
  assertEquals(after.identify("editor", shown.clientId, OWNER_ID).originator, shown.originator);
  assertEquals(after.identify("runner", seen.clientId, OWNER_ID).originator, seen.originator);
  assertNotEquals(
    after.identify("editor", unused.clientId, OWNER_ID).originator,
    unused.originator,
  );
});

Deno.test("an id that is not used expires, and its client is known again once it is", () => {
  const opened = openTestLog();
  const clients = openClients(opened);
  const [forgotten, late] = [mint(clients), mint(clients)];
  opened.clock.step(MINTED_LIFE_MS);
  clients.used(late, OWNER_ID);
  assert("clientId" in clients.identify("editor", forgotten.clientId, OWNER_ID));
  assertEquals(clients.identify("editor", late.clientId, OWNER_ID).originator, late.originator);
});

Deno.test("of ids that nobody uses only the newest are remembered", () => {
  const clients = openClients();
  const all = Array.from({ length: MAX_MINTED + 1 }, () => mint(clients));
  assert("clientId" in clients.identify("editor", all[0]!.clientId, OWNER_ID));
  assertEquals("clientId" in clients.identify("editor", all.at(-1)!.clientId, OWNER_ID), false);
});

Deno.test("of clients that are kept the one unseen for longest is forgotten for one more", async () => {
  const opened = openTestLog();
  const clients = openClients(opened);
  const all: MintedClient[] = [];
  for (let n = 0; n < MAX_CLIENTS; n++) {
    const minted = mint(clients);
    all.push(minted);
    clients.identify("editor", minted.clientId, OWNER_ID);
    opened.clock.step(1);
  }
  opened.clock.step(3_600_000);
  clients.identify("editor", all[0]!.clientId, OWNER_ID);
  clients.used(mint(clients), OWNER_ID);
  await opened.log.drain();
  assertEquals(opened.store.documents.length, MAX_CLIENTS);
  assertEquals("clientId" in clients.identify("editor", all[0]!.clientId, OWNER_ID), false);
  assertEquals("clientId" in clients.identify("editor", all[1]!.clientId, OWNER_ID), true);
});

/** Whether the client is still the same. */
function isKnown(clients: Clients, { kind, clientId }: MintedClient, tokenId = OWNER_ID): boolean {
  return !("clientId" in clients.identify(kind, clientId, tokenId));
}

/** Mints a client with a token, and shows its id again. */
function keep(clients: Clients, tokenId: string): MintedClient {
  const minted = mint(clients, "editor", tokenId);
  assert(isKnown(clients, minted, tokenId));
  return minted;
}

Deno.test("a token that keeps more ids than it may pushes out its own, and after a restart too", async () => {
  const opened = openTestLog();
  let clients = openClients(opened);
  const owners = [keep(clients, OWNER_ID), keep(clients, "another")];
  const unused = mint(clients);
  const all: MintedClient[] = [];
  const keepMore = () => {
    opened.clock.step(1);
    all.push(keep(clients, "reader"));
  };
  for (let n = 0; n < MAX_CLIENTS + MAX_MINTED; n++) keepMore();
  assert(isKnown(clients, unused));
  await opened.log.drain();
  const restarted = opened.restarted();
  assertEquals(restarted.store.documents.length, MAX_CLIENTS_EACH + 3);
  clients = openClients(restarted);
  keepMore();
  assert(isKnown(clients, owners[0]!) && isKnown(clients, owners[1]!, "another"));
  assert(isKnown(clients, all.at(-1)!, "reader") && isKnown(clients, all.at(-900)!, "reader"));
  assert(!isKnown(clients, all.at(-MAX_CLIENTS_EACH - 1)!, "reader"));
});

Deno.test("a token that mints more ids than it may, and uses none, has its own oldest forgotten", () => {
  const clients = openClients();
  const owners = mint(clients);
  const all = Array.from({ length: 2 * MAX_MINTED }, () => mint(clients, "editor", "reader"));
  assert(isKnown(clients, owners));
  assert(isKnown(clients, all.at(-MAX_MINTED_EACH)!, "reader"));
  assert(!isKnown(clients, all.at(-MAX_MINTED_EACH - 1)!, "reader"));
});

Deno.test("when there is no room for anyone the token that has most makes it", () => {
  const opened = openTestLog();
  const clients = openClients(opened);
  const few = keep(clients, "few");
  const owners = [];
  for (let n = 1; n < MAX_CLIENTS; n++) {
    opened.clock.step(1);
    owners.push(keep(clients, OWNER_ID));
  }
  keep(clients, "few");
  assert(isKnown(clients, few, "few") && isKnown(clients, owners[1]!));
  assert(!isKnown(clients, owners[0]!));
});

Deno.test("a client that comes with another token is one of that token's from then on", () => {
  const opened = openTestLog();
  const clients = openClients(opened);
  const [moved, stays] = [keep(clients, "old"), keep(clients, "old")];
  assert(isKnown(clients, moved, "new"));
  for (let n = 0; n < MAX_CLIENTS_EACH; n++) {
    opened.clock.step(1);
    keep(clients, "old");
  }
  assert(isKnown(clients, moved, "new"));
  assert(!isKnown(clients, stays, "old"));
});
