/** Tokens on a running daemon: what each may do, in every way of talking, and how they come and go. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { SCOPES } from "../../src/core/principal.ts";
import { Tokens } from "../../src/core/tokens.ts";
import { SECRETS } from "../../src/daemon/secrets.ts";
import { TokenKeeper } from "../../src/daemon/token_keeper.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { watch } from "../support/file_calls.ts";
import { expectError } from "../support/expect.ts";
import { makeRuntimeDirectory, startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";
import { TestDirectory } from "../support/process.ts";
import { openTestLog } from "../support/test_log.ts";
import { TALKERS } from "../support/talkers.ts";

const DAY_MS = 86_400_000;

/** A named token, made by the owner. */
async function made(daemon: TestDaemon, name: string, fields: Line = {}): Promise<Line> {
  using owner = await daemon.v2();
  const reply = await owner.ask({ cmd: "token.create", name, scopes: ["read"], ...fields });
  assertEquals(reply.ok, true, JSON.stringify(reply));
  return reply;
}

/** A greeted connection that has shown a token. */
async function shownTo(daemon: TestDaemon, token: string): Promise<RawClient> {
  const client = await daemon.connect();
  await client.hello();
  assertEquals((await client.ask({ cmd: "auth", token })).ok, true);
  return client;
}

async function answerTo(daemon: TestDaemon, token: string): Promise<string> {
  using client = await daemon.connect();
  await client.hello();
  const reply = await client.ask({ cmd: "auth", token });
  return reply.auth ?? reply.error;
}

for (const [way, open] of Object.entries(TALKERS)) {
  Deno.test(`${way}: a token may do what its scopes allow, and nothing else, whatever the operation`, async () => {
    const records = { policy: "read_write", writable: [">"] };
    await using daemon = await startTestDaemon({ config: { records } });
    const asked = OPERATIONS.filter(({ scope, name }) =>
      scope !== null && name !== "system.shutdown"
    );
    for (const scope of SCOPES) {
      const { token } = await made(daemon, `only-${scope}`, { scopes: [scope] });
      using talker = await open(daemon, token);
      for (const operation of asked) {
        const { code: word, reply } = await talker.ask(operation.name);
        // Some need a client's identity as well, and say so once the scope allows them.
        const code = /needs a client's identity/.test(JSON.stringify(reply)) ? "identity" : word;
        // Remote access may control nothing as a whole, whoever asks.
        const isOpen = way !== "AimX" || scope !== "admin" || operation.changesRecord === true;
        const allowed = operation.scope === scope && isOpen;
        const what = `${operation.name} with the scope ${scope}: ${code}`;
        assertEquals(code === "permission_denied", !allowed, what);
        assert(code !== "auth_required" && code !== "auth_failed", what);
      }
      if (scope !== "admin") {
        assertEquals((await talker.ask("system.shutdown")).code, "permission_denied");
      }
    }
  });

  Deno.test(`${way}: what showed a token that is revoked ends, and nobody else notices`, async () => {
    await using daemon = await startTestDaemon();
    const { token } = await made(daemon, "gone");
    const other = await made(daemon, "other");
    using talker = await open(daemon, token);
    using bystander = await open(daemon, other.token);
    const reading = way === "AimX" ? "record.list" : "event.read";
    assertEquals((await talker.ask(reading)).code, "ok");
    using owner = await daemon.v2();
    assertEquals((await owner.ask({ cmd: "token.revoke", id: "gone" })).ok, true);
    await talker.ended();
    if (way === "HTTP") assertEquals((await talker.ask(reading)).code, "auth_failed");
    assertEquals((await bystander.ask(reading)).code, "ok");
    assertEquals(await answerTo(daemon, token), "auth_failed");
  });

  Deno.test(`${way}: what showed a token that expires ends when it does`, async () => {
    await using daemon = await startTestDaemon();
    const { token, expires_at } = await made(daemon, "short", { expires_in_secs: 0.5 });
    using talker = await open(daemon, token);
    await talker.ended();
    if (way !== "HTTP") assert(Date.now() >= expires_at, "not before");
    using owner = await daemon.v2();
    while (Date.now() < expires_at) await owner.ask({ cmd: "system.ping" });
    assertEquals(await answerTo(daemon, token), "auth_failed");
  });
}

Deno.test("a stream of server-sent events ends with its token", async () => {
  await using daemon = await startTestDaemon();
  const { token } = await made(daemon, "gone");
  const stream = await daemon.http(token).events();
  using owner = await daemon.v2();
  await owner.ask({ cmd: "token.revoke", id: "gone" });
  assertEquals(await stream.nextOrEnd(), null);
});

Deno.test("whoever revokes the token that it showed itself is answered before its connection ends", async () => {
  await using daemon = await startTestDaemon();
  const { token, id } = await made(daemon, "self", { scopes: ["admin"] });
  const client = await shownTo(daemon, token);
  assertEquals((await client.ask({ cmd: "token.revoke", id })).ok, true);
  assertEquals(await client.untilClosed(), []);
});

Deno.test("token.create tells the secret once; token.list tells all but the secret, also after a restart", async () => {
  await using daemon = await startTestDaemon();
  const before = Date.now();
  const created = await made(daemon, "ci", {
    scopes: ["read", "send", "read"],
    expires_in_secs: 3600,
  });
  const { token, id, created_at, expires_at } = created;
  assertMatch(token, /^pst_[0-9a-f]{16}_[0-9a-f]{64}$/);
  assert(created_at >= before && expires_at === created_at + 3_600_000);
  const described = {
    id,
    name: "ci",
    scopes: ["read", "send"],
    created_at,
    expires_at,
    last_used_at: null,
  };
  using owner = await daemon.v2();
  assertEquals((await owner.ask({ cmd: "token.list" })).tokens, [described]);
  await shownTo(daemon, token);
  const [used] = (await owner.ask({ cmd: "token.list" })).tokens;
  assert(used.last_used_at >= created_at, JSON.stringify(used));
  await daemon.restart();
  using again = await daemon.v2();
  assertEquals((await again.ask({ cmd: "token.list" })).tokens, [used]);
  const client = await shownTo(daemon, token);
  assertEquals((await client.ask({ cmd: "event.read" })).ok, true);
  expectError(await client.ask({ cmd: "token.list" }), "permission_denied");
});

Deno.test("nothing on the disk holds the secret of a named token", async () => {
  await using daemon = await startTestDaemon();
  const { token } = await made(daemon, "ci");
  await shownTo(daemon, token);
  await daemon.stop();
  const secret = token.split("_")[2];
  const looked: string[] = [];
  for (const path of filesIn(daemon.directory)) {
    looked.push(path.slice(daemon.directory.length + 1));
    const text = new TextDecoder("latin1").decode(Deno.readFileSync(path));
    assert(!text.includes(secret) && !text.includes(secret.toUpperCase()), path);
  }
  assert(looked.includes("events.kv") && looked.includes("log/audit.jsonl"), looked.join());
  await daemon.start();
});

Deno.test("token.create and token.revoke refuse what is wrong, each by its rule", async () => {
  await using daemon = await startTestDaemon();
  using owner = await daemon.v2();
  await made(daemon, "taken");
  const create = { cmd: "token.create", name: "ok", scopes: ["read"] };
  const refused: [Line, string][] = [
    [{ ...create, name: "taken" }, "conflict"],
    [{ ...create, name: "" }, "invalid_command"],
    [{ ...create, name: "a b" }, "invalid_command"],
    [{ ...create, name: "a".repeat(65) }, "invalid_command"],
    [{ ...create, scopes: [] }, "invalid_command"],
    [{ ...create, scopes: ["root"] }, "invalid_command"],
    [{ ...create, scopes: "read" }, "invalid_command"],
    [{ ...create, expires_in_secs: 0 }, "invalid_command"],
    [{ ...create, expires_in_secs: -1 }, "invalid_command"],
    [{ ...create, expires_in_secs: 1e12 }, "invalid_command"],
    [{ cmd: "token.revoke", id: "nobody" }, "not_found"],
    [{ cmd: "token.revoke" }, "invalid_command"],
  ];
  for (const [request, code] of refused) expectError(await owner.ask(request), code);
  assertEquals((await owner.ask({ cmd: "token.list" })).tokens.length, 1);
});

Deno.test("token.rotate puts a new owner token into the file; the old one is taken for the grace, then its connections end", async () => {
  const tokens = { rotation_grace_secs: 1 };
  await using daemon = await startTestDaemon({ config: { tokens } });
  const old = daemon.token;
  const client = await daemon.v2();
  const { token, old_valid_until } = await client.ask({ cmd: "token.rotate" });
  assertNotEquals(token, old);
  assertEquals(Deno.readTextFileSync(daemon.tokenPath), token);
  assertEquals(Deno.statSync(daemon.tokenPath).mode! & 0o777, 0o600);
  assertEquals([await answerTo(daemon, old), await answerTo(daemon, token)], [
    "accepted",
    "accepted",
  ]);
  assertEquals((await client.ask({ cmd: "inbox" })).ok, true);
  const current = await shownTo(daemon, token);
  assertEquals(await client.untilClosed(), []);
  assert(Date.now() >= old_valid_until, "not before");
  assertEquals(await answerTo(daemon, old), "auth_failed");
  assertEquals((await current.ask({ cmd: "inbox" })).ok, true);
});

Deno.test("the old owner token is valid for as long as token.rotate says, however long it takes", async () => {
  await using directory = new TestDirectory();
  let nowMs = 1_000_000;
  const clock = { now: () => nowMs++ };
  const { log } = openTestLog();
  const tokens = new Tokens("ab".repeat(32), {
    documents: log,
    clock,
    secrets: SECRETS,
    stored: [],
  });
  const keeper = new TokenKeeper({
    path: directory.at("ipc-token"),
    uid: Deno.uid(),
    token: "ab".repeat(32),
    tokens,
    clock,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    audit: { note() {} },
    settings: () => ({ rotation_days: 0, rotation_grace_secs: 60 }),
    endRevoked: () => void (nowMs += 1000),
  });
  const { old_valid_until } = keeper.rotate();
  keeper.close();
  assert(old_valid_until <= tokens.nextEndMs!, `${old_valid_until} and ${tokens.nextEndMs}`);
});

Deno.test("without a grace the old owner token ends with the answer", async () => {
  await using daemon = await startTestDaemon({ config: { tokens: { rotation_grace_secs: 0 } } });
  const old = daemon.token;
  const client = await daemon.v2();
  assertEquals((await client.ask({ cmd: "token.rotate" })).token, daemon.token);
  assertEquals(await client.untilClosed(), []);
  assertEquals(await answerTo(daemon, old), "auth_failed");
});

Deno.test("a token that is in its file is valid, also when its name may not outlive a loss of power", async () => {
  await using daemon = await startTestDaemon();
  const old = daemon.token;
  using client = await daemon.v2();
  let refused = 0;
  let reply: Line;
  {
    using _watching = watch([], (call) => {
      if (call !== "sync directory") return;
      refused++;
      throw new Error("refused by the test");
    });
    reply = await client.ask({ cmd: "token.rotate" });
  }
  assertEquals([reply.ok, refused > 0], [true, true], JSON.stringify(reply));
  assertEquals(Deno.readTextFileSync(daemon.tokenPath), reply.token);
  assertNotEquals(reply.token, old);
  for (const token of [reply.token, old]) assertEquals(await answerTo(daemon, token), "accepted");
  const warned = daemon.logged.filter(({ level }) => level === "warn");
  assertEquals(warned.map(({ fields }) => fields), [{ reason: "refused by the test" }]);
});

Deno.test("a token that cannot be replaced goes on, and only the log says where its file lies", async () => {
  await using daemon = await startTestDaemon();
  const old = daemon.token;
  using client = await daemon.v2();
  const rotate = async () => JSON.stringify(await client.ask({ cmd: "token.rotate" }));
  const isRefused = (text: string, code: string) => {
    assert(text.includes(code) && !text.includes(daemon.directory), text);
  };
  Deno.mkdirSync(`${daemon.tokenPath}.new`);
  isRefused(await rotate(), "permission_denied");
  {
    using _watching = watch([], (call) => {
      if (call === "rename ipc-token") throw new Error(`no rename of ${daemon.tokenPath}`);
    });
    isRefused(await rotate(), "storage_full");
  }
  assertEquals([daemon.token, Deno.readTextFileSync(daemon.tokenPath)], [old, old]);
  const reasons = daemon.logged.filter(({ level }) => level === "error")
    .map(({ fields }) => String(fields?.reason));
  assertEquals(reasons.map((reason) => reason.includes(daemon.directory)), [true, true]);
});

Deno.test("clients that read the token file each time go on without failure while it is rotated", async () => {
  await using daemon = await startTestDaemon();
  using owner = await daemon.v2();
  let over = false;
  let asked = 0;
  const http = daemon.http(null);
  const overHttp = async () => {
    while (!over) {
      const token = Deno.readTextFileSync(daemon.tokenPath);
      const { status, body } = await http.rpc("event.read", { limit: 1 }, { token });
      assertEquals(status, 200, JSON.stringify(body));
      asked++;
    }
  };
  const overSocket = async () => {
    while (!over) {
      using client = await daemon.connect();
      await client.hello();
      const token = Deno.readTextFileSync(daemon.tokenPath);
      assertEquals((await client.ask({ cmd: "auth", token })).auth, "accepted");
      asked++;
    }
  };
  const load = Promise.all([overHttp(), overHttp(), overSocket(), overSocket()]);
  for (let rotation = 1; rotation <= 10; rotation++) {
    assertEquals((await owner.ask({ cmd: "token.rotate" })).ok, true);
    while (asked < rotation * 20) await owner.ask({ cmd: "system.ping" });
  }
  over = true;
  await load;
  assertEquals(daemon.audit().filter(({ outcome }) => outcome !== "ok"), []);
});

Deno.test("a token file that was replaced takes effect at once with a reload, and ends the grace of a rotation", async () => {
  await using daemon = await startTestDaemon();
  const first = daemon.token;
  using owner = await daemon.v2();
  await owner.ask({ cmd: "token.rotate" });
  const second = daemon.token;
  const named = await made(daemon, "ci");
  Deno.writeTextFileSync(daemon.tokenPath, "ab".repeat(32));
  await daemon.reload();
  assertEquals(await answerTo(daemon, first), "auth_failed");
  assertEquals(await answerTo(daemon, second), "auth_failed");
  assertEquals(await answerTo(daemon, "ab".repeat(32)), "accepted");
  assertEquals(await answerTo(daemon, named.token), "accepted");
});

Deno.test("a replaced owner token is in the audit and the log, and so is a file that holds none", async () => {
  await using daemon = await startTestDaemon();
  const reloads = () =>
    daemon.audit().filter(({ op }) => op === "token.reload").map(({ outcome }) => outcome);
  const told = () => daemon.logged.filter(({ message }) => /another owner token/.test(message));
  await daemon.reload();
  assertEquals([reloads(), told().length], [[], 0], "the same token");
  Deno.writeTextFileSync(daemon.tokenPath, "ab".repeat(32));
  await daemon.reload();
  assertEquals([reloads(), told().length], [["ok"], 1]);
  Deno.writeTextFileSync(daemon.tokenPath, "no token");
  const refusal = await assertRejects(() => daemon.reload(), PosternError);
  assertStringIncludes(refusal.message, "the owner token from before is still valid");
  assertEquals([reloads(), told().length], [["ok", "invalid_params"], 1]);
  assertEquals(await answerTo(daemon, "ab".repeat(32)), "accepted");
  Deno.removeSync(daemon.tokenPath);
  await daemon.reload();
  assertEquals(reloads(), ["ok", "invalid_params", "ok"], "a missing file is made anew");
  assertEquals(await answerTo(daemon, Deno.readTextFileSync(daemon.tokenPath)), "accepted");
});

for (
  const [days, ageDays, rotates] of [[30, 31, true], [30, 29, false], [0, 400, false]] as const
) {
  Deno.test(`with tokens.rotation_days ${days} a token of ${ageDays} days is ${rotates ? "replaced" : "kept"}`, async () => {
    const directory = await makeRuntimeDirectory();
    try {
      const old = "ab".repeat(32);
      const path = `${directory}/ipc-token`;
      Deno.writeTextFileSync(path, old, { mode: 0o600 });
      const written = new Date(Date.now() - ageDays * DAY_MS);
      Deno.utimeSync(path, written, written);
      const config = { tokens: { rotation_days: days } };
      await using daemon = await startTestDaemon({ directory, config });
      assertEquals(Deno.readTextFileSync(path), daemon.token);
      assertEquals(daemon.token !== old, rotates);
      assertEquals(await answerTo(daemon, old), "accepted", "within the grace");
      const noted = daemon.audit().filter(({ op }) => op === "token.rotate");
      assertEquals(
        noted.map(({ outcome, token_id, transport }) => [outcome, token_id, transport]),
        rotates ? [["ok", null, "in-process"]] : [],
      );
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

function* filesIn(directory: string): Generator<string> {
  for (const { name, isDirectory, isFile } of Deno.readDirSync(directory)) {
    if (isDirectory) yield* filesIn(`${directory}/${name}`);
    else if (isFile) yield `${directory}/${name}`;
  }
}
