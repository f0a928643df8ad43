/** Lists that may be longer than a reply: each stops before 1 MiB, says so, and goes on after the last name. */

import { assert, assertEquals } from "@std/assert";
import { encodeJson } from "../../src/codecs/json.ts";
import { Consumers, MAX_CONSUMERS } from "../../src/core/consumers.ts";
import { MAX_LEASES } from "../../src/core/leases.ts";
import { TRUSTED } from "../../src/core/principal.ts";
import type { Provider } from "../../src/core/service_call.ts";
import { MAX_SERVICES, ServiceRegistry } from "../../src/core/service_registry.ts";
import { MAX_SESSIONS } from "../../src/core/session_room.ts";
import type { Context } from "../../src/operations/operation.ts";
import { invoke } from "../../src/operations/registry.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { QUIET_SERVICES } from "../support/quiet_services.ts";
import { acquire, openLeases } from "../support/test_leases.ts";
import { appendEach, openTestLog } from "../support/test_log.ts";
import { openSessions, send } from "../support/test_sessions.ts";

const SILENT: Provider = { call() {}, cancel() {} };

interface Page {
  readonly names: string[];
  readonly hasMore: boolean;
  readonly chars: number;
}

/** One reply of a list, as whoever asks reads it. */
async function pageOf(services: object, operation: string, params: object): Promise<Page> {
  const context = {
    services: { ...QUIET_SERVICES, ...services, limits: { requireToken: false } },
    caller: { principal: TRUSTED, client: null, isRemote: false },
  } as unknown as Context;
  const text = encodeJson(await invoke({ operation, params, opened: false }, context));
  const [list, hasMore] = Object.values(JSON.parse(text)) as [
    { name: string; session_id: string }[],
    boolean,
  ];
  return {
    names: list.map(({ name, session_id }) => name ?? session_id),
    hasMore,
    chars: text.length,
  };
}

/** The names on all pages. */
async function walk(services: object, operation: string): Promise<string[]> {
  const names: string[] = [];
  let pages = 0;
  let page;
  do {
    page = await pageOf(services, operation, { after: names.at(-1) });
    assert(page.chars < 1024 * 1024 && ++pages < 100, `${page.chars} characters, page ${pages}`);
    names.push(...page.names);
  } while (page.hasMore);
  assert(pages > 1, `${pages} pages`);
  const few = await pageOf(services, operation, { limit: 2 });
  assertEquals([few.names, few.hasMore], [names.slice(0, 2), true]);
  const last = await pageOf(services, operation, { after: names.at(-3), limit: 2 });
  assertEquals([last.names, last.hasMore], [names.slice(-2), false]);
  return names;
}

/** In their order. */
function longNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${"n".repeat(200)}.${100_000 + i}`);
}

Deno.test("ten thousand leases are listed in several replies", async () => {
  const opened = openLeases();
  const names = longNames(MAX_LEASES);
  await Promise.all(names.map((name, i) => acquire(opened, `o-${i % 10}`, { name })));
  assertEquals(await walk({ leases: opened.leases }, "lease.list"), names);
});

Deno.test("ten thousand consumers are listed in several replies", async () => {
  const { log, clock, store } = openTestLog();
  await appendEach(log, 1);
  const consumers = new Consumers(log, { clock, documents: store.state.documents });
  const names = longNames(MAX_CONSUMERS);
  for (const name of names.toReversed()) consumers.open(name);
  assertEquals(await walk({ consumers, log }, "consumer.list"), names);
});

Deno.test("services with the largest schemas are listed in several replies", async () => {
  const provided = new ServiceRegistry({ clock: new FakeClock(), nouns: [] });
  const schema = JSON.stringify({ type: "object", description: "x".repeat(32_000) });
  const methods = Array.from({ length: 8 }, (_, i) => ({ name: `m${i}`, schema }));
  const names = Array.from({ length: MAX_SERVICES }, (_, i) => `s${100 + i}`);
  for (const name of names) provided.register(SILENT, { name, methods, routes: [] }, 1, "owner");
  assertEquals(await walk({ provided }, "service.list"), names);
});

Deno.test("of all sessions those that were used last fit one reply", async () => {
  const opened = openSessions();
  const names = Array.from({ length: MAX_SESSIONS }, (_, i) => `${"s".repeat(100)}${1000 + i}`);
  for (const name of names) {
    opened.clock.step(1);
    await send(opened, name);
  }
  const { sessions } = opened;
  const all = await pageOf({ sessions }, "session.list", {});
  assertEquals([all.names, all.hasMore], [names.toReversed(), false]);
  assert(all.chars < 1024 * 1024, `${all.chars} characters`);
  const few = await pageOf({ sessions }, "session.list", { limit: 2 });
  assertEquals([few.names, few.hasMore], [names.toReversed().slice(0, 2), true]);
  const rest = await pageOf({ sessions }, "session.list", { after: names[2] });
  assertEquals([rest.names, rest.hasMore], [names.slice(0, 2).toReversed(), false]);
});
