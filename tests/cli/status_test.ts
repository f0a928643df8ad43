/** `postern status` in a few lines for people, with the health as its exit code. */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path/posix";
import { postern } from "../support/cli.ts";
import { startTestDaemon } from "../support/in_process.ts";

Deno.test("status tells state, version, uptime and counts, and exits with 0 when all is well", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const { code, stdout } = await postern(["status", "--dir", daemon.directory]);
  assertEquals(code, 0);
  for (
    const line of [
      /^daemon +running$/m,
      /^health +healthy$/m,
      /^up +\d+ s$/m,
      /^version +\d+\.\d+\.\d+$/m,
      /^connections +\d+$/m,
      /^log +head 3, [\d.]+ (bytes|KiB)$/m,
      /^consumers +\d+$/m,
      /^records +\d+$/m,
    ]
  ) assertMatch(stdout, line);
  assertEquals(stdout.trimEnd().split("\n").length < 20, true);
});

Deno.test("a degraded daemon makes status name the component and exit with 1, also for programs", async () => {
  await using daemon = await startTestDaemon();
  Deno.mkdirSync(join(daemon.directory, "log", "daemon.probe.new", "x"), { recursive: true });
  const people = await postern(["status", "--dir", daemon.directory]);
  assertEquals(people.code, 1, people.stderr);
  assertMatch(people.stdout, /^health +degraded\n +log directory cannot be written$/m);
  const programs = await postern(["status", "--json", "--dir", daemon.directory]);
  assertEquals(programs.code, 1);
  assertEquals(JSON.parse(programs.stdout).health, {
    status: "degraded",
    components: { store: "ok", disk: "ok", log_directory: "failing" },
  });
});

Deno.test("status tells the health without the HTTP socket", async () => {
  await using daemon = await startTestDaemon({ config: { http: { enabled: false } } });
  const { code, stdout } = await postern(["status", "--dir", daemon.directory]);
  assertEquals(code, 0);
  assertMatch(stdout, /^health +healthy$/m);
});
