/** `log/audit.jsonl`: every authentication and every change, by whom; nothing that is secret. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path/posix";
import { eventually as inTime } from "../support/eventually.ts";
import { eventually } from "../support/expect.ts";
import { startTestDaemon } from "../support/in_process.ts";
import { startProcess } from "../support/process.ts";
import { type Line, RawClient } from "../support/raw_client.ts";
import { canMount, SmallDisk } from "../support/small_disk.ts";
import { TALKERS } from "../support/talkers.ts";

const WRONG = "0".repeat(64);
const DEFINE = { name: "a", writable: true };
const SET = { name: "a", value: 1 };

function toldBy(lines: Line[]): unknown[] {
  return lines.map(({ op, outcome, token_id, transport }) => [op, outcome, token_id, transport]);
}

const TRANSPORTS: Record<string, string> = { HTTP: "http", WebSocket: "websocket" };
/** A WebSocket begins as a request, and it is that which shows the token. */
const LOGINS: Record<string, string> = { HTTP: "http", WebSocket: "http" };

for (const [way, open] of Object.entries(TALKERS)) {
  Deno.test(`${way}: a good authentication, and each change with what it came to`, async () => {
    const records = { policy: "read_write", writable: [">"] };
    await using daemon = await startTestDaemon({ config: { records } });
    using owner = await daemon.v2();
    const scopes = ["read", "send", "write"];
    const { id, token } = await owner.ask({ cmd: "token.create", name: "ci", scopes });
    await owner.ask({ cmd: "record.define", ...DEFINE });
    const before = daemon.audit().length;
    using talker = await open(daemon, token);
    await talker.ask("record.set", SET);
    await talker.ask("record.set", { ...SET, if_sequence: 7 });
    await talker.ask("record.remove", { name: "b.c" });
    await talker.ask("event.read");
    await talker.ask("event.send", { kind: "notify", payload: 1 });
    await talker.ask("system.ping");
    const transport = TRANSPORTS[way] ?? "socket";
    const noted = daemon.audit().slice(before);
    assertEquals(toldBy(noted), [
      ["auth.login", "ok", id, LOGINS[way] ?? "socket"],
      ["record.set", "ok", id, transport],
      ["record.set", "conflict", id, transport],
      ["record.remove", "permission_denied", id, transport],
    ]);
    for (const line of noted) {
      assertEquals(Object.keys(line), [
        "ts",
        "op",
        "outcome",
        "token_id",
        "originator",
        "transport",
      ]);
      assertMatch(line.ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
  });
}

Deno.test("a bad authentication is noted each time, wherever it was tried", async () => {
  await using daemon = await startTestDaemon();
  using line = await daemon.connect();
  await line.hello();
  await line.ask({ cmd: "auth", token: WRONG });
  using rpc = await daemon.connect();
  await rpc.send({ jsonrpc: "2.0", id: 1, method: "auth.login", params: { token: WRONG } });
  await rpc.next();
  using aimx = await daemon.connect();
  await aimx.send({ hello: { version: "1.0", client: "test", auth_token: WRONG } });
  await aimx.untilClosed();
  const http = daemon.http(WRONG);
  await http.rpc("event.read");
  await http.ask("/healthz");
  await daemon.http(null).rpc("auth.login", { token: WRONG });
  const failed = (transport: string) => ["auth.login", "auth_failed", null, transport];
  assertEquals(
    toldBy(daemon.audit()),
    [...Array(3).fill(failed("socket")), ...Array(3).fill(failed("http"))],
  );
});

Deno.test("over HTTP a good token is noted once in a while, not for each request", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  for (let n = 0; n < 5; n++) await http.rpc("event.read");
  assertEquals(toldBy(daemon.audit()), [["auth.login", "ok", "owner", "http"]]);
});

Deno.test("a line names the client's originator and on whose behalf a service asked", async () => {
  await using daemon = await startTestDaemon();
  const headers = { "x-client-kind": "editor", "x-rdv-user-id": 'anna "x"' };
  const { headers: answered } = await daemon.http().rpc("token.list", {}, { headers });
  const clientId = answered.get("x-client-id")!;
  const [, line] = daemon.audit();
  assertMatch(line!.originator, /^o-[0-9a-f]{32}$/);
  assertEquals(line!.on_behalf_of, 'anna "x"');
  assert(!JSON.stringify(daemon.audit()).includes(clientId));
});

Deno.test("log.audit false notes nothing; a reload turns it off and on", async () => {
  await using daemon = await startTestDaemon({ config: { log: { audit: false } } });
  const http = daemon.http();
  await http.rpc("token.list");
  assertEquals(daemon.audit(), []);
  assertEquals(await daemon.reload({}), []);
  await http.rpc("token.list");
  await daemon.reload({ log: { audit: false } });
  await http.rpc("token.list");
  assertEquals(toldBy(daemon.audit()), [["token.list", "ok", "owner", "http"]]);
});

Deno.test("the audit is rotated while it is written: whole lines, at most log.files of log.max_bytes", async () => {
  await using daemon = await startTestDaemon({ config: { log: { max_bytes: 4096, files: 3 } } });
  using owner = await daemon.v2();
  const directory = join(daemon.directory, "log");
  const path = join(directory, "audit.jsonl");
  const { ino } = Deno.statSync(path);
  let moved = false;
  for (let n = 0; n < 200; n++) {
    await owner.ask({ cmd: "token.list" });
    moved ||= existingInode(`${path}.1`) === ino;
  }
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  assertEquals(names, ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]);
  for (const name of names) {
    const { size, mode } = Deno.statSync(join(directory, name));
    assert(size <= 4096, `${name}: ${size}`);
    assertEquals(mode! & 0o777, 0o600);
    const lines = Deno.readTextFileSync(join(directory, name)).trimEnd().split("\n");
    for (const line of lines) assertEquals(JSON.parse(line).op, "token.list");
  }
  assert(moved, "a full file is renamed, not copied");
});

for (const loss of ["removed", "moved away"]) {
  Deno.test(`an audit that is ${loss} under the daemon goes on in a new file, and the log says so once`, async () => {
    await using daemon = await startTestDaemon();
    using owner = await daemon.v2();
    await owner.ask({ cmd: "token.list" });
    const path = join(daemon.directory, "log", "audit.jsonl");
    if (loss === "removed") Deno.removeSync(path);
    else Deno.renameSync(path, `${path}.moved`);
    for (let n = 0; n < 3; n++) await owner.ask({ cmd: "token.list" });
    assertEquals(toldBy(daemon.audit()), Array(3).fill(["token.list", "ok", "owner", "socket"]));
    const told = daemon.logged.filter(({ message }) => /audit/.test(message));
    assertEquals(told.map(({ level, message }) => [level, message]), [
      ["warn", "log/audit.jsonl was moved away or removed, and is made anew"],
    ]);
  });
}

Deno.test("an audit that loses lines fails the log_directory by itself, and says in the log that it does and that it is over", async () => {
  await using daemon = await startTestDaemon();
  using owner = await daemon.v2();
  const http = daemon.http();
  const path = join(daemon.directory, "log", "audit.jsonl");
  Deno.removeSync(path);
  Deno.mkdirSync(path);
  const told = () =>
    daemon.logged.filter(({ fields }) => fields?.component === "log_directory")
      .map(({ level }) => level);
  // Nobody asks for the health.
  await owner.ask({ cmd: "token.list" });
  await inTime(() => told().length > 0, "a line that says so");
  await owner.ask({ cmd: "token.list" });
  const health = async () => JSON.parse((await http.ask("/healthz")).text).components.log_directory;
  assertEquals(await health(), "failing");
  Deno.removeSync(path);
  await inTime(() => told().length > 1, "a line that says that it is over");
  assertEquals([await health(), told()], ["ok", ["error", "info"]]);
  const [lost] = daemon.audit();
  assertEquals([lost!.op, lost!.count], ["audit.lost", 3]);
});

Deno.test({
  name: `a full disk ends nothing, and the audit says how much it lost${
    canMount ? "" : " [needs root]"
  }`,
  ignore: !canMount,
  async fn() {
    await using disk = await SmallDisk.mount();
    const { directory } = disk;
    await using _daemon = await startProcess(directory).ready();
    const audited = () => {
      const text = Deno.readTextFileSync(join(directory, "log", "audit.jsonl"));
      return text.trimEnd().split("\n").map((line): Line => JSON.parse(line));
    };
    const client = await RawClient.connect(join(directory, "postern.sock"));
    await client.hello();
    const token = Deno.readTextFileSync(join(directory, "ipc-token"));
    await client.ask({ cmd: "auth", token });
    disk.fill();
    const freeRest = disk.fillUp();
    // More than the page of the file that was there already.
    for (let n = 0; n < 100; n++) {
      assertEquals((await client.ask({ cmd: "token.list" })).ok, true);
    }
    const kept = Deno.readTextFileSync(join(directory, "log", "audit.jsonl"));
    assert(kept.split("\n").length < 100, "the disk was not full");
    freeRest();
    disk.free();
    await eventually(async () => {
      await client.ask({ cmd: "token.list" });
      return audited().some(({ op }) => op === "audit.lost");
    });
    const lost = audited().find(({ op }) => op === "audit.lost")!;
    assertEquals([lost.outcome, lost.token_id, lost.count > 0], ["storage_full", null, true]);
    client.close();
  },
});

function existingInode(path: string): number | null {
  try {
    return Deno.statSync(path).ino;
  } catch {
    return null;
  }
}
