/** Who asked may answer: permissions as clients meet them, on real sockets; and whom one may ask in the name of. */

import { QUIET_SERVICES } from "../support/quiet_services.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { Departure } from "../../src/core/departure.ts";
import { PosternError } from "../../src/core/errors.ts";
import { SCOPES } from "../../src/core/principal.ts";
import { Ticket } from "../../src/core/ticket.ts";
import type { Context, Transport } from "../../src/operations/operation.ts";
import { invoke } from "../../src/operations/registry.ts";
import { expectError } from "../support/expect.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";
import { comesTo, openPermissions } from "../support/test_permissions.ts";

/** A connection with an identity, and what proves it. */
interface Identified {
  readonly client: RawClient;
  readonly originator: string;
  readonly clientId: string;
}

async function identified(daemon: TestDaemon, clientId?: string): Promise<Identified> {
  const client = await daemon.v2();
  const hello = await client.ask({
    cmd: "hello",
    version: 2,
    client_kind: "test",
    ...(clientId === undefined ? {} : { client_id: clientId }),
  });
  assertEquals(hello.ok, true);
  return { client, originator: hello.originator, clientId: clientId ?? hello.client_id };
}

const BASH = { cmd: "permission.request", tool: "Bash", input: { command: "rm -rf build" } };

async function request({ client }: Identified, more: Line = {}): Promise<Line> {
  const reply = await client.ask({ ...BASH, ...more });
  assertEquals(reply.ok, true, JSON.stringify(reply));
  return reply;
}

/** A connection that sees every event of permissions. */
async function observer(daemon: TestDaemon): Promise<RawClient> {
  const client = await daemon.v2("observer");
  await client.ask({ cmd: "subscribe", topics: ["permission.>"] });
  return client;
}

async function nextEvent(client: RawClient): Promise<[topic: string, payload: Line]> {
  const { envelope } = await client.pushed();
  return [envelope.topic, envelope.payload];
}

Deno.test("a request is told to all, listed to its originator, answered once, and waited for", async () => {
  await using daemon = await startTestDaemon();
  const [runner, screen] = [await identified(daemon), await identified(daemon)];
  const watching = await observer(daemon);
  const { request_id, originator, expires_at } = await request(runner, { rationale: "to be sure" });
  assertEquals(originator, runner.originator, "one asks oneself unless one says otherwise");
  assertEquals(await nextEvent(watching), ["permission.requested", {
    request_id,
    tool: "Bash",
    input: { command: "rm -rf build" },
    rationale: "to be sure",
    originator,
    requester: originator,
    expires_at,
  }]);
  const waiting = await daemon.v2();
  await waiting.send({ cmd: "permission.wait", req_id: "w", request_id });
  const { to } = await runner.client.ask({
    cmd: "permission.delegate",
    request_id,
    to: screen.originator,
  });
  assertEquals(to, screen.originator);
  assertEquals(await nextEvent(watching), ["permission.delegated", { request_id, to }]);
  assertEquals((await runner.client.ask({ cmd: "permission.list" })).pending, []);
  const { pending } = await screen.client.ask({ cmd: "permission.list" });
  assertEquals(pending.map(({ input, requester }: Line) => [input, requester]), [
    [BASH.input, runner.originator],
  ]);
  const result = { approve: true, scope: "once" };
  const refused = { cmd: "permission.answer", request_id, result };
  expectError(await runner.client.ask(refused), "not_originator");
  const extended = await screen.client.ask({
    cmd: "permission.refresh_timeout",
    request_id,
    extend_s: 60,
  });
  assertEquals(extended.expires_at, expires_at + 60_000);
  assertEquals((await nextEvent(watching))[0], "permission.extended");
  const answered = await screen.client.ask({ cmd: "permission.answer", request_id, result });
  assertEquals([answered.request_id, answered.answer], [request_id, result]);
  expectError(await screen.client.ask(refused), "conflict");
  assertEquals(await nextEvent(watching), ["permission.resolved", {
    request_id,
    outcome: "approved",
    by: screen.originator,
    result,
  }]);
  const waited = await waiting.reply();
  const { ok: _, req_id, ...fields } = waited;
  assertEquals([req_id, fields.result ?? fields], ["w", {
    request_id,
    decision: "approved",
    approved: true,
    by: screen.originator,
    answer: result,
    resolved_at: answered.resolved_at,
  }]);
  await watching.expectNothingPushed();
});

Deno.test("without an identity every operation but wait says how to get one", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const request_id = "some";
  for (
    const asked of [
      BASH,
      { ...BASH, cmd: "permission.demo" },
      { cmd: "permission.list" },
      { cmd: "permission.answer", request_id, result: { approve: true } },
      { cmd: "permission.refresh_timeout", request_id, extend_s: 1 },
      { cmd: "permission.delegate", request_id, to: "o" },
      { cmd: "permission.cancel", request_id },
    ]
  ) {
    const reply = await client.ask(asked);
    expectError(reply, "permission_denied");
    assertMatch(reply.message, /hello with client_kind first/);
  }
  expectError(await client.ask({ cmd: "permission.wait", request_id }), "not_found");
});

Deno.test("a restart in the middle keeps a request for the client that comes back, and appends no event", async () => {
  await using daemon = await startTestDaemon();
  const first = await identified(daemon);
  const { request_id, expires_at } = await request(first);
  await daemon.restart();
  const again = await identified(daemon, first.clientId);
  assertEquals(again.originator, first.originator);
  const { pending } = await again.client.ask({ cmd: "permission.list" });
  assertEquals(pending.map((one: Line) => [one.request_id, one.expires_at]), [
    [request_id, expires_at],
  ]);
  const { events } = await again.client.ask({ cmd: "event.read" });
  assertEquals(events.length, 1);
  const answer = { cmd: "permission.answer", request_id, result: { approve: false } };
  assertEquals((await again.client.ask(answer)).ok, true);
  await daemon.restart();
  const last = await identified(daemon, first.clientId);
  expectError(await last.client.ask(answer), "conflict");
  const { result, ...fields } = await last.client.ask({ cmd: "permission.wait", request_id });
  assertEquals((result ?? fields).decision, "denied");
});

Deno.test("a delegation that is refused leaves nothing of the other client, and one that is accepted keeps it", async () => {
  await using daemon = await startTestDaemon();
  const [owner, other] = [await identified(daemon), await identified(daemon)];
  const [refused, accepted] = [await identified(daemon), await identified(daemon)];
  const [own, ended] = [await request(owner), await request(owner)];
  await owner.client.ask({ cmd: "permission.cancel", request_id: ended.request_id });
  const delegate = (by: Identified, request_id: string, to: Identified) =>
    by.client.ask({ cmd: "permission.delegate", request_id, to: to.originator });
  expectError(await delegate(owner, "unknown", refused), "not_found");
  expectError(await delegate(owner, ended.request_id, refused), "conflict");
  expectError(await delegate(other, own.request_id, refused), "not_originator");
  assertEquals((await delegate(owner, own.request_id, accepted)).to, accepted.originator);
  await daemon.restart();
  const again = async ({ clientId, originator }: Identified) =>
    (await identified(daemon, clientId)).originator === originator;
  assertEquals([await again(refused), await again(accepted)], [false, true]);
});

Deno.test("two connections of one originator race with 1,000 answers, and one is taken", async () => {
  await using daemon = await startTestDaemon();
  const one = await identified(daemon);
  const two = await identified(daemon, one.clientId);
  const { request_id } = await request(one);
  const codes: string[] = [];
  await Promise.all([one, two].map(async ({ client }, i) => {
    const result = { approve: i === 0 };
    const answers = Array.from({ length: 500 }, (_, k) => (
      { cmd: "permission.answer", req_id: `${k}`, request_id, result }
    ));
    await client.send(...answers);
    for (const _ of answers) {
      const reply = await client.reply();
      codes.push(reply.ok ? "ok" : reply.error);
    }
  }));
  assertEquals(codes.filter((code) => code === "ok").length, 1);
  assertEquals(codes.filter((code) => code === "conflict").length, 999);
  const { events } = await one.client.ask({ cmd: "event.read" });
  assertEquals(events.map(({ envelope }: Line) => envelope.topic), [
    "permission.requested",
    "permission.resolved",
  ]);
});

Deno.test("what everybody sees lets nobody else answer", async () => {
  await using daemon = await startTestDaemon();
  const owner = await identified(daemon);
  const thief = await identified(daemon);
  const { request_id, originator } = await request(owner);
  const { events } = await thief.client.ask({ cmd: "event.read" });
  const { result, ...fields } = await thief.client.ask({ cmd: "client.list" });
  const seen = JSON.stringify([events, result ?? fields, daemon.logged]);
  assert(!seen.includes(owner.clientId), "the secret is told");
  for (const client_id of [originator, request_id, owner.clientId.slice(1)]) {
    const hello = await thief.client.ask({
      cmd: "hello",
      version: 2,
      client_kind: "test",
      client_id,
    });
    assert(hello.originator !== originator, "became another");
    const answer = { cmd: "permission.answer", request_id, result: { approve: true } };
    expectError(await thief.client.ask({ ...answer, originator }), "not_originator");
    expectError(
      await thief.client.ask({ cmd: "permission.cancel", request_id }),
      "permission_denied",
    );
  }
  expectError(
    await thief.client.ask({ ...BASH, originator }),
    "permission_denied",
  );
  assertEquals((await owner.client.ask({ cmd: "event.read" })).events.length, 1);
});

Deno.test("the mode names the configured time, and a request may have its own", async () => {
  const permissions = { interactive_timeout_secs: 100, unattended_timeout_secs: 10 };
  await using daemon = await startTestDaemon({ config: { permissions } });
  const client = await identified(daemon);
  const cases: [Line, number][] = [
    [{}, 100],
    [{ mode: "interactive" }, 100],
    [{ mode: "unattended" }, 10],
    [{ mode: "unattended", timeout_s: 1.5 }, 1.5],
  ];
  for (const [more, secs] of cases) {
    const before = Date.now();
    const { expires_at } = await request(client, more);
    const after = Date.now();
    assert(expires_at >= before + secs * 1000 && expires_at <= after + secs * 1000, `${secs}`);
  }
  for (const timeout_s of [0, -1, 30 * 86_400 + 1, "1"]) {
    expectError(await client.client.ask({ ...BASH, timeout_s }), "invalid_command");
  }
});

Deno.test("what is too large or missing is refused by name", async () => {
  await using daemon = await startTestDaemon();
  const client = await identified(daemon);
  const ask = (more: Line) => client.client.ask({ ...BASH, ...more });
  const limit = 48 * 1024;
  for (const input of ["x".repeat(limit - 1), "é".repeat(limit / 2)]) {
    const reply = await ask({ input });
    expectError(reply, "invalid_command");
    assertMatch(reply.message, /input: is at most 49152 bytes as JSON/);
  }
  assertEquals((await ask({ input: "x".repeat(limit - 2) })).ok, true);
  const { request_id } = await request(client);
  const answer = { cmd: "permission.answer", request_id };
  for (
    const [asked, code, message] of [
      [{ ...BASH, input: undefined }, "invalid_command", /input: .*it is missing/],
      [{ ...BASH, tool: "" }, "invalid_command", /tool/],
      [{ ...BASH, rationale: "x".repeat(4097) }, "invalid_command", /rationale/],
      [{ ...BASH, turn_id: "t1" }, "not_found", /no open turn "t1"/],
      [answer, "invalid_command", /result/],
      [{ ...answer, result: { approve: "yes" } }, "invalid_command", /approve/],
      [{ ...answer, result: { approve: true, x: "x".repeat(16384) } }, "invalid_command", /result/],
      [
        { cmd: "permission.delegate", request_id, to: "o-nobody" },
        "not_found",
        /no client "o-nobody"/,
      ],
    ] as const
  ) {
    const reply = await client.client.ask(asked);
    expectError(reply, code);
    assertMatch(reply.message, message);
  }
});

Deno.test("an input and an answer are told as they were written", async () => {
  await using daemon = await startTestDaemon();
  const { client } = await identified(daemon);
  const written = '{"n":12345678901234567890123,"x":1.50,"t":"é\\u0000"}';
  await client.write(
    `{"cmd":"permission.request","req_id":"1","tool":"T","input":${written}}\n`,
  );
  const { request_id } = JSON.parse(await client.text());
  const number = '"n":12345678901234567890123';
  for (const asked of ["permission.list", "event.read"]) {
    await client.send({ cmd: asked, req_id: asked });
    assert((await client.text()).includes(number), asked);
  }
  await client.write(
    `{"cmd":"permission.answer","req_id":"2","request_id":"${request_id}",` +
      `"result":{"approve":true,${number}}}\n`,
  );
  assert((await client.text()).includes(number), "the answer");
});

Deno.test("a list stops before 1 MiB and says that there is more", async () => {
  await using daemon = await startTestDaemon();
  const { client } = await identified(daemon);
  const input = "字".repeat(16_000);
  const requests = Array.from({ length: 100 }, (_, i) => ({ ...BASH, req_id: `${i}`, input }));
  await client.send(...requests);
  for (const _ of requests) assertEquals((await client.reply()).ok, true);
  expectError(await client.ask(BASH), "too_many");
  const page = await client.ask({ cmd: "permission.list", limit: 3 });
  assertEquals([page.pending.length, page.has_more], [3, true]);
  const all = await client.ask({ cmd: "permission.list" });
  assert(all.pending.length < 100 && all.has_more);
  const bytes = new TextEncoder().encode(JSON.stringify(all)).length;
  assert(bytes < 1024 * 1024, `${bytes} bytes`);
});

Deno.test("a connection that ends withdraws what it asked to be withdrawn, and nothing else", async () => {
  await using daemon = await startTestDaemon();
  const one = await identified(daemon);
  const watching = await observer(daemon);
  const kept = await request(one);
  const { request_id } = await request(one, { cancel_on_disconnect: true });
  // Whoever waits for the decision has not gone for that.
  await one.client.send({ cmd: "permission.wait", req_id: "w", request_id });
  assertEquals((await one.client.ask({ cmd: "system.ping" })).ok, true);
  one.client.close();
  await watching.pushedMany(2);
  assertEquals(await nextEvent(watching), ["permission.resolved", {
    request_id,
    outcome: "cancelled",
    by: one.originator,
    result: null,
  }]);
  const again = await identified(daemon, one.clientId);
  const { pending } = await again.client.ask({ cmd: "permission.list" });
  assertEquals(pending.map((left: Line) => left.request_id), [kept.request_id]);
});

Deno.test("a wait holds up nothing of its connection, and ends when the daemon stops", async () => {
  await using daemon = await startTestDaemon();
  const one = await identified(daemon);
  const { client } = one;
  const ids = [await request(one), await request(one)].map(({ request_id }) => request_id);
  for (const request_id of ids) {
    await client.send({ cmd: "permission.wait", req_id: request_id, request_id });
  }
  const answer = { cmd: "permission.answer", req_id: "a", result: { approve: false } };
  await client.send({ ...answer, request_id: ids[1] });
  const replies = [await client.reply(), await client.reply()];
  assertEquals(
    replies.map(({ ok, req_id }) => [ok, req_id]).sort(),
    [[true, ids[1]], [true, "a"]].sort(),
  );
  await daemon.restart();
  expectError(await client.reply(), "shutting_down");
  const again = await identified(daemon, one.clientId);
  const { pending } = await again.client.ask({ cmd: "permission.list" });
  assertEquals(pending.map(({ request_id }: Line) => request_id), [ids[0]]);
});

Deno.test("the audit has who asked and who answered, refused ones too, and nothing of what", async () => {
  await using daemon = await startTestDaemon();
  const [one, two] = [await identified(daemon), await identified(daemon)];
  const { request_id } = await request(one);
  const answer = { cmd: "permission.answer", request_id, result: { approve: true } };
  await two.client.ask(answer);
  await one.client.ask(answer);
  await daemon.stop();
  const text = await Deno.readTextFile(join(daemon.directory, "log", "audit.jsonl"));
  await daemon.start();
  const lines: Line[] = text.trim().split("\n").map((line) => JSON.parse(line));
  const own = lines.filter(({ op }) => op.startsWith("permission."));
  assertEquals(own.map(({ op, outcome, originator }) => [op, outcome, originator]), [
    ["permission.request", "ok", one.originator],
    ["permission.answer", "not_originator", two.originator],
    ["permission.answer", "ok", one.originator],
  ]);
  assert(!text.includes("rm -rf") && !text.includes(one.clientId));
});

/** Someone who runs a turn `t` of `owner`, whatever transport he has. */
function runnerOf(transport: Transport): Context {
  const { permissions, clock } = openPermissions();
  return {
    caller: {
      transport,
      client: { kind: "runner", originator: "o-runner" },
      principal: { tokenId: "t", scopes: new Set(SCOPES) },
      isRemote: false,
      departure: new Departure(),
    },
    services: {
      permissions,
      clock,
      ...QUIET_SERVICES,
      clients: { keep: () => true, used() {} },
      limits: { requireToken: false, permissionTimeoutSecs: { interactive: 9, unattended: 9 } },
      newId: () => "r1",
      mayActFor: (_caller: unknown, name: string) => ["o-runner", "owner"].includes(name),
      turnOriginator: (_caller: unknown, turn: string) =>
        turn === "t" ? "owner" : turn === "nameless" ? null : undefined,
      sessions: { sessionOfTurn: () => null },
    },
  } as unknown as Context;
}

async function originatorAsked(params: Line): Promise<string> {
  const context = runnerOf("socket");
  const call = { operation: "permission.request", params: { ...BASH, ...params }, opened: false };
  const handled = invoke(call, context);
  assert(handled instanceof Ticket);
  return ((await handled.promise()) as Line).originator;
}

Deno.test("a runner asks the originator of its open turn, and no other", async () => {
  assertEquals(await originatorAsked({}), "o-runner");
  assertEquals(await originatorAsked({ turn_id: "t" }), "owner");
  assertEquals(await originatorAsked({ originator: "owner" }), "owner");
  assertEquals(await originatorAsked({ turn_id: "t", originator: "o-runner" }), "o-runner");
  const refused: [Line, string][] = [
    [{ turn_id: "nameless" }, "conflict"],
    [{ turn_id: "other" }, "not_found"],
    [{ turn_id: "other", originator: "owner" }, "not_found"],
    [{ originator: "stranger" }, "permission_denied"],
    [{ turn_id: "t", originator: "stranger" }, "permission_denied"],
  ];
  for (const [params, code] of refused) {
    const call = { operation: "permission.request", params: { ...BASH, ...params }, opened: false };
    const refusal = assertThrows(() => invoke(call, runnerOf("socket")), PosternError);
    assertEquals(refusal.code, code, JSON.stringify(params));
  }
});

Deno.test("a request over HTTP has no connection with whose end it could be withdrawn", async () => {
  const params = { ...BASH, cancel_on_disconnect: true };
  const code = (transport: Transport) =>
    comesTo(() =>
      invoke(
        { operation: "permission.request", params, opened: false },
        runnerOf(transport),
      ) as Ticket<
        unknown
      >
    );
  assertEquals(await code("http"), "invalid_request");
  assertEquals(await code("websocket"), "ok");
});

Deno.test("many large requests of many clients at once are stored", async () => {
  await using daemon = await startTestDaemon();
  const clients = await Promise.all(Array.from({ length: 20 }, () => identified(daemon)));
  const input = "字".repeat(16_000);
  const replies = await Promise.all(clients.map(({ client }) => client.ask({ ...BASH, input })));
  assertEquals(replies.map(({ ok }) => ok), clients.map(() => true), JSON.stringify(replies[0]));
});
