/** One daemon for one directory: the lock, the pid, discovery, stale sockets, starts that are refused. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { eventually } from "../support/eventually.ts";
import { DaemonProcess, startLauncher, startProcess, TestDirectory } from "../support/process.ts";

function modeOf(path: string): string {
  return ((Deno.lstatSync(path).mode ?? 0) & 0o777).toString(8);
}

/** Starts it and waits for a refusal; the reason must also be in the log. */
async function refusedStart(directory: TestDirectory, reason: RegExp): Promise<void> {
  await using process = startProcess(directory.path);
  assertEquals(await process.end(), 1);
  assertMatch(process.stderr, reason);
  assertMatch(directory.log, reason);
}

Deno.test("a daemon leaves its files private while it runs and only its data when it stops", async () => {
  await using directory = new TestDirectory();
  await using process = await startProcess(directory.path).ready();
  const modes = Object.fromEntries(
    directory.names().map((name) => [name, modeOf(directory.at(name))]),
  );
  for (const name of ["log", "clients", "blobs"]) assertEquals(modes[name], "700", name);
  for (const name of ["daemon.json", "daemon.lock", "daemon.pid", "events.kv", "identity.key"]) {
    assertEquals(modes[name], "600", name);
  }
  assertEquals(modes["ipc-token"], "600");
  assertEquals(modes["postern.sock"], "600");
  assertEquals(modes["http.sock"], "600");
  assertEquals(modes["identity.pub"], "644");
  assertEquals(modeOf(directory.at("log", "daemon.log")), "600");
  const discovery = JSON.parse(directory.read("daemon.json"));
  assertEquals(discovery.pid, process.pid);
  assertEquals(discovery.sockets, { ndjson: "postern.sock", http: "http.sock" });
  assertEquals(discovery.token_path, "ipc-token");
  assertEquals(discovery.mode, "foreground");
  assertEquals(directory.read("daemon.pid"), `${process.pid}\n`);
  if (Deno.build.os === "linux") {
    const status = Deno.readTextFileSync(`/proc/${process.pid}/status`);
    assertMatch(status, /^Umask:\s+0177$/m, "private from the first moment, not only by chmod");
  }
  process.signal("SIGTERM");
  assertEquals(await process.end(), 0);
  const left = directory.names();
  for (const name of ["postern.sock", "daemon.json", "daemon.pid", "daemon.json.new"]) {
    assert(!left.includes(name), `${name} is left`);
  }
  assert(left.includes("daemon.lock"), "the lock's file is never unlinked");
});

Deno.test("a database that is gone or empty beside its write-ahead log is refused, and the log is left", async () => {
  await using directory = new TestDirectory();
  {
    await using process = await startProcess(directory.path).ready();
    await process.crash();
  }
  const waiting = Deno.readFileSync(directory.at("events.kv-wal"));
  Deno.truncateSync(directory.at("events.kv"));
  await refusedStart(
    directory,
    /events.kv is empty or gone, and events.kv-wal beside it holds \d+/,
  );
  Deno.removeSync(directory.at("events.kv"));
  await refusedStart(directory, /put events.kv back, or move events.kv-wal away/);
  assertEquals(Deno.readFileSync(directory.at("events.kv-wal")), waiting);
});

Deno.test("a database that cannot be read is left as it is, and the refusal says what can be done", async () => {
  await using directory = new TestDirectory();
  const garbage = "no database ".repeat(1000);
  Deno.writeTextFileSync(directory.at("events.kv"), garbage, { mode: 0o600 });
  await refusedStart(directory, /events.kv cannot be read: .*put a copy of events.kv/);
  assertEquals(directory.read("events.kv"), garbage);
});

Deno.test("a damaged events.head is told, and keeps nothing from starting", async () => {
  await using directory = new TestDirectory();
  for (const text of ["00000000000000", "9999999999999999 e\n"]) {
    Deno.writeTextFileSync(directory.at("events.head"), text, { mode: 0o600 });
    await using process = await startProcess(directory.path).ready();
    process.signal("SIGTERM");
    assertEquals(await process.end(), 0);
  }
  assertEquals(directory.log.match(/events.head is damaged/g)?.length, 2);
});

Deno.test("what a crash left of files that were to be replaced is removed; what is not ours stays", async () => {
  await using directory = new TestDirectory();
  const names = ["ipc-token.new", "identity.key.new", "daemon.json.new"];
  for (const name of names) Deno.writeTextFileSync(directory.at(name), "half", { mode: 0o600 });
  Deno.mkdirSync(directory.at("log"), { mode: 0o700 });
  const open = directory.at("log", "audit.jsonl.new");
  Deno.writeTextFileSync(open, "another's", { mode: 0o644 });
  await using process = await startProcess(directory.path).ready();
  assertEquals(directory.names().filter((name) => name.endsWith(".new")), []);
  assertEquals(Deno.readTextFileSync(open), "another's");
  process.signal("SIGTERM");
  assertEquals(await process.end(), 0);
});

Deno.test("of two starters at once exactly one wins and the other names it", async () => {
  await using directory = new TestDirectory();
  await using first = startProcess(directory.path);
  await using second = startProcess(directory.path);
  const ends = (process: DaemonProcess) => process.end().then(() => process);
  const loser = await Promise.race([ends(first), ends(second)]);
  const winner = loser === first ? second : first;
  assertEquals(await loser.end(), 1);
  await winner.ready();
  assertStringIncludes(loser.stderr, "a daemon is already running");
  assertMatch(loser.stderr, new RegExp(`pid ${winner.pid}|has not said its pid yet`));
  assertStringIncludes(directory.log, "a daemon is already running");
});

Deno.test("a second start names the pid, the version and the start of the daemon that runs", async () => {
  await using directory = new TestDirectory();
  await using winner = await startProcess(directory.path).ready();
  const before = Deno.lstatSync(directory.at("postern.sock")).ino;
  await refusedStart(
    directory,
    new RegExp(`already running in .*pid ${winner.pid}, version \\S+, started \\d{4}-`),
  );
  assertEquals(Deno.lstatSync(directory.at("postern.sock")).ino, before);
  assertEquals(JSON.parse(directory.read("daemon.json")).pid, winner.pid);
});

Deno.test("a pid file of a living process does not keep a daemon from starting", async () => {
  await using directory = new TestDirectory();
  Deno.writeTextFileSync(directory.at("daemon.pid"), `${Deno.pid}\n`, { mode: 0o600 });
  await using process = await startProcess(directory.path).ready();
  assertMatch(await process.says(/did not stop in order/), new RegExp(`pid ${Deno.pid}`));
});

Deno.test("the lock holds as long as the process, whatever becomes of the other files", async () => {
  await using directory = new TestDirectory();
  await using _running = await startProcess(directory.path).ready();
  for (const name of ["postern.sock", "daemon.json", "daemon.pid"]) {
    Deno.removeSync(directory.at(name));
  }
  await refusedStart(directory, /already running in .*it has not said its pid yet/);
});

Deno.test("after SIGKILL the next start reports it, takes the socket over and keeps the log", async () => {
  await using directory = new TestDirectory();
  const first = await startProcess(directory.path).ready();
  const before = JSON.parse(directory.read("daemon.json"));
  await first.crash();
  assert(directory.names().includes("postern.sock"), "the crash leaves its socket");
  await using second = await startProcess(directory.path).ready();
  const report = await second.says(/did not stop in order/);
  assertStringIncludes(report, `pid ${before.pid}, started ${before.started_at}`);
  assertStringIncludes(report, "removed its socket");
  assertStringIncludes(directory.log, "the last daemon here did not stop in order; taking over");
  assertStringIncludes(
    directory.log,
    `recovered after the crash: the log goes on epoch=${before.epoch}`,
  );
  assertEquals(JSON.parse(directory.read("daemon.json")).epoch, before.epoch);
});

/** Whether a process has a file open; told on Linux only, and taken for granted elsewhere. */
function isOpenBy(pid: number, path: string): boolean {
  if (Deno.build.os !== "linux") return true;
  const handles = [...Deno.readDirSync(`/proc/${pid}/fd`)];
  return handles.some(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`) === path;
    } catch {
      return false;
    }
  });
}

Deno.test("no socket is there to connect to before the store is recovered", async () => {
  await using directory = new TestDirectory();
  {
    await using first = await startProcess(directory.path).ready();
    await first.crash();
  }
  // Whoever holds the database for writing holds up its recovery.
  using database = new DatabaseSync(directory.at("events.kv"));
  database.exec("BEGIN EXCLUSIVE");
  await using process = startProcess(directory.path);
  await eventually(() => directory.log.split(" starting ").length > 2, "the second start");
  const sockets = ["postern.sock", "http.sock"];
  const seen = () => directory.names().filter((name) => sockets.includes(name));
  const opened = () => isOpenBy(process.pid, directory.at("events.kv"));
  await eventually(opened, "the store to be opened");
  assertEquals(seen(), []);
  assert(!process.stderr.includes("ready:"), process.stderr);
  database.exec("ROLLBACK");
  await process.ready();
  assertEquals(seen(), ["http.sock", "postern.sock"]);
});

Deno.test("after an orderly stop the next start reports nothing", async () => {
  await using directory = new TestDirectory();
  const first = await startProcess(directory.path).ready();
  first.signal("SIGINT");
  assertEquals(await first.end(), 0);
  await using second = await startProcess(directory.path).ready();
  assert(!second.stderr.includes("did not stop in order"), second.stderr);
});

Deno.test("a socket that nobody listens on is taken over", async () => {
  await using directory = new TestDirectory();
  await using maker = startLauncher({ directory: directory.path, worker: "listening_worker" });
  await maker.ready();
  await maker.crash();
  const stale = Deno.lstatSync(directory.at("postern.sock")).ino;
  await using process = await startProcess(directory.path).ready();
  await process.says(/removed its socket/);
  (await Deno.connect({ transport: "unix", path: directory.at("postern.sock") })).close();
  assert(stale !== null);
});

Deno.test("a socket that somebody listens on is never unlinked, even when the lock is free", async () => {
  await using directory = new TestDirectory();
  using listener = Deno.listen({ transport: "unix", path: directory.at("postern.sock") });
  const accepted = listener.accept();
  await refusedStart(directory, /another program listens on .*although the lock is free/);
  (await accepted).close();
  assert(directory.names().includes("postern.sock"));
});

Deno.test("a path that is too long for a socket moves to a private directory of its own", async () => {
  await using directory = new TestDirectory("x".repeat(120));
  await using runtime = new TestDirectory();
  await using process = await startProcess(directory.path, {
    env: { XDG_RUNTIME_DIR: runtime.path },
  }).ready();
  const path: string = JSON.parse(directory.read("daemon.json")).sockets.ndjson;
  assertMatch(path, new RegExp(`^${runtime.path}/postern-[0-9a-f]{16}/postern\\.sock$`));
  assertMatch(process.stderr, /its path would have more than 103 bytes/);
  assertEquals(modeOf(path), "600");
  (await Deno.connect({ transport: "unix", path })).close();
  process.signal("SIGTERM");
  assertEquals(await process.end(), 0);
  assertEquals(runtime.names(), []);
});

Deno.test("without a private XDG_RUNTIME_DIR a long path moves to /tmp, and survives a crash there", async () => {
  await using directory = new TestDirectory("y".repeat(120));
  await using shared = new TestDirectory();
  Deno.chmodSync(shared.path, 0o755);
  const options = { env: { XDG_RUNTIME_DIR: shared.path } };
  const first = await startProcess(directory.path, options).ready();
  const path: string = JSON.parse(directory.read("daemon.json")).sockets.ndjson;
  const name = `postern-${Deno.uid()}-[0-9a-f]{16}/postern\\.sock$`;
  assertMatch(path, new RegExp(`^${Deno.realPathSync("/tmp")}/${name}`));
  await first.crash();
  await using second = await startProcess(directory.path, options).ready();
  await second.says(/removed its socket/);
  second.signal("SIGTERM");
  assertEquals(await second.end(), 0);
});

Deno.test("a daemon does not start with a wrong configuration, and says which key", async () => {
  await using directory = new TestDirectory();
  Deno.writeTextFileSync(directory.at("config.jsonc"), `{ "ipc": { "bufersize": 1 } }`);
  await refusedStart(directory, /unknown key "ipc\.bufersize"; the nearest is "ipc\.buffer_size"/);
  assert(!directory.names().includes("daemon.pid"), "a refused start leaves no pid");
});

Deno.test("a daemon whose start fails later leaves neither a pid nor a socket", async () => {
  await using directory = new TestDirectory();
  await using process = startLauncher({ directory: directory.path, worker: "failing_worker" });
  assertEquals(await process.end(), 1);
  assertStringIncludes(process.stderr, "cannot start: out of luck on purpose");
  assertStringIncludes(directory.log, "out of luck on purpose");
  assertEquals(directory.names(), ["blobs", "clients", "daemon.lock", "log"]);
});

Deno.test("a daemon that is switched off in the configuration does not start, and says so", async () => {
  await using directory = new TestDirectory();
  Deno.writeTextFileSync(directory.at("config.jsonc"), `{ "daemon": { "enabled": false } }`);
  await refusedStart(directory, /cannot start: .*switched off here, by daemon\.enabled/);
  assertEquals(directory.names(), ["blobs", "clients", "config.jsonc", "daemon.lock", "log"]);
});

Deno.test("a daemon that is switched off in the environment does not start, and says so", async () => {
  await using directory = new TestDirectory();
  const env = { POSTERN_DAEMON_ENABLED: "0" };
  await using process = startProcess(directory.path, { env });
  assertEquals(await process.end(), 1);
  assertMatch(process.stderr, /cannot start: .*switched off here, by daemon\.enabled/);
});
