/** How a daemon ends: in order, in a hurry, or because its Worker failed. And what SIGHUP does. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { startLauncher, startProcess, TestDirectory } from "../support/process.ts";

/** Short enough for a test, long enough for a machine that is busy with others. */
const SILENCE_MS = 1500;

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} stops the daemon in order and says so`, async () => {
    await using directory = new TestDirectory();
    await using process = await startProcess(directory.path).ready();
    process.signal(signal);
    assertEquals(await process.end(), 0);
    assertStringIncludes(process.stderr, `stopped (${signal})`);
    assertStringIncludes(directory.log, `stopped reason=${signal}`);
  });
}

Deno.test("a signal that comes while the daemon starts stops it in order as well", async () => {
  await using directory = new TestDirectory();
  await using process = startLauncher({ directory: directory.path, worker: "late_worker" });
  await process.says(/about to start/);
  process.signal("SIGTERM");
  assertEquals(await process.end(), 0);
  assertEquals(directory.names(), ["blobs", "clients", "daemon.lock", "log"]);
});

Deno.test("a second signal ends a daemon that is stopping at once, with 70", async () => {
  await using directory = new TestDirectory();
  await using process = await startLauncher({
    directory: directory.path,
    worker: "stubborn_worker",
  }).ready();
  process.signal("SIGTERM");
  await process.says(/was told to stop/);
  process.signal("SIGINT");
  assertEquals(await process.end(), 70);
  assertStringIncludes(process.stderr, "SIGINT came while it was stopping");
  assertStringIncludes(directory.log, "SIGINT came while it was stopping");
  await using next = await startProcess(directory.path).ready();
  await next.says(/did not stop in order/);
});

Deno.test("a Worker that fails ends the process with 70, on stderr and in the log", async (test) => {
  const reasons = {
    throwing_worker: /its Worker failed: .*thrown on purpose/,
    rejecting_worker: /its Worker failed: .*rejected on purpose/,
    spinning_worker: /its Worker was silent for 1\.5 s/,
    ending_worker: /its Worker was silent for 1\.5 s/,
  };
  for (const [worker, reason] of Object.entries(reasons)) {
    await test.step(worker, async () => {
      await using directory = new TestDirectory();
      const launch = { directory: directory.path, worker, silenceMs: SILENCE_MS };
      await using process = startLauncher(launch);
      assertEquals(await process.end(), 70);
      assertMatch(process.stderr, reason);
      assertMatch(directory.log, reason);
      await using next = await startProcess(directory.path).ready();
      await next.says(/did not stop in order/);
    });
  }
});

Deno.test("a Worker that cannot be loaded ends the process with 70", async () => {
  await using directory = new TestDirectory();
  await using process = startLauncher({ directory: directory.path, worker: "broken_worker" });
  assertEquals(await process.end(), 70);
  assertMatch(process.stderr, /its Worker failed: .*broken on purpose/);
});

Deno.test("slow is not dead: a Worker that is busy but answers in time goes on", async () => {
  await using directory = new TestDirectory();
  await using process = await startLauncher({
    directory: directory.path,
    worker: "slow_worker",
    silenceMs: SILENCE_MS,
  }).ready();
  await process.says(/ten times slow/);
  process.signal("SIGTERM");
  assertEquals(await process.end(), 0);
});

Deno.test("slow is not dead: a process that was stopped for longer than the silence goes on", async () => {
  await using directory = new TestDirectory();
  await using process = await startLauncher({
    directory: directory.path,
    worker: "idle_worker",
    silenceMs: 300,
  }).ready();
  process.signal("SIGSTOP");
  // Nothing can be waited for here: that time passes is what is tested.
  await new Promise((resolve) => setTimeout(resolve, 900));
  process.signal("SIGCONT");
  process.signal("SIGHUP");
  await process.says(/SIGHUP: read again/);
  process.signal("SIGTERM");
  assertEquals(await process.end(), 0);
});

Deno.test("SIGHUP takes a replaced token at once", async () => {
  await using directory = new TestDirectory();
  await using process = await startProcess(directory.path).ready();
  const old = directory.read("ipc-token").trim();
  Deno.removeSync(directory.at("ipc-token"));
  process.signal("SIGHUP");
  await process.says(/SIGHUP: read again; another owner token is valid now$/);
  const fresh = directory.read("ipc-token").trim();
  assert(fresh !== old);
  assertEquals((await authenticate(directory.at("postern.sock"), old)).ok, false);
  assertEquals((await authenticate(directory.at("postern.sock"), fresh)).ok, true);
});

Deno.test("SIGHUP re-reads the configuration and names what needs a restart", async () => {
  await using directory = new TestDirectory();
  await using process = await startProcess(directory.path).ready();
  const config = `{ "log": { "level": "debug" }, "ipc": { "buffer_size": 5 } }`;
  Deno.writeTextFileSync(directory.at("config.jsonc"), config);
  process.signal("SIGHUP");
  assertMatch(
    await process.says(/SIGHUP:/),
    /read again; restart needed for ipc\.buffer_size$/,
  );
});

Deno.test("SIGHUP with a wrong configuration leaves it as it was and says why", async () => {
  await using directory = new TestDirectory();
  await using process = await startProcess(directory.path).ready();
  Deno.writeTextFileSync(directory.at("config.jsonc"), `{ "log": { "level": "loud" } }`);
  process.signal("SIGHUP");
  assertMatch(
    await process.says(/SIGHUP:/),
    /configuration unchanged: .*log\.level must be one of/,
  );
  assertStringIncludes(directory.log, "SIGHUP left the configuration as it was");
});

Deno.test("an operator's system.shutdown stops the daemon in order", async () => {
  await using directory = new TestDirectory();
  await using process = await startProcess(directory.path).ready();
  const token = directory.read("ipc-token").trim();
  const answer = await converse(directory.at("postern.sock"), [
    { cmd: "hello", version: 2 },
    { cmd: "auth", req_id: "1", token },
    { cmd: "system.shutdown", req_id: "2" },
  ]);
  assertEquals(answer.ok, true);
  assertEquals(await process.end(), 0);
  assertMatch(process.stderr, /stopped \(.*shutdown.*\)/);
  assert(!directory.names().includes("daemon.pid"));
});

/** Whether the daemon takes a token. */
function authenticate(path: string, token: string): Promise<{ ok: boolean }> {
  return converse(path, [{ cmd: "hello", version: 2 }, { cmd: "auth", req_id: "1", token }]);
}

/** Says all lines at once; the reply to the last. */
async function converse(path: string, lines: readonly unknown[]): Promise<{ ok: boolean }> {
  using connection = await Deno.connect({ transport: "unix", path });
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  await connection.write(new TextEncoder().encode(text));
  const decoder = new TextDecoder();
  const part = new Uint8Array(4096);
  let answer = "";
  while (answer.split("\n").length <= lines.length) {
    const count = await connection.read(part);
    if (count === null) break;
    answer += decoder.decode(part.subarray(0, count), { stream: true });
  }
  return JSON.parse(answer.split("\n")[lines.length - 1]!);
}

Deno.test("the same signal twice at once, as one Ctrl-C through another program, is one", async () => {
  await using directory = new TestDirectory();
  await using process = await startProcess(directory.path).ready();
  process.signal("SIGINT");
  process.signal("SIGINT");
  assertEquals(await process.end(), 0);
});

Deno.test("a broken configuration does not keep SIGHUP from revoking the token", async () => {
  await using directory = new TestDirectory();
  await using process = await startProcess(directory.path).ready();
  const old = directory.read("ipc-token");
  Deno.removeSync(directory.at("ipc-token"));
  Deno.writeTextFileSync(directory.at("config.jsonc"), "{bad");
  process.signal("SIGHUP");
  await process.says(/SIGHUP: .*no JSON/);
  assertEquals((await authenticate(directory.at("postern.sock"), old)).ok, false);
});

Deno.test("a store that has gone back is told to whoever starts the daemon", async () => {
  await using directory = new TestDirectory();
  {
    await using process = await startProcess(directory.path).ready();
    process.signal("SIGTERM");
    assertEquals(await process.end(), 0);
  }
  const [, epoch] = directory.read("events.head").trim().split(" ");
  Deno.writeTextFileSync(directory.at("events.head"), `0000000000000007 ${epoch}\n`);
  await using next = startProcess(directory.path);
  await next.says(/gone back behind what was acknowledged.*acknowledged_seq=7/);
  await next.ready();
});
