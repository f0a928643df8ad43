/** What a daemon says of its health over HTTP, and how it finds out. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path/posix";
import { Health } from "../../src/daemon/health.ts";
import type { Services } from "../../src/operations/operation.ts";
import { VERSION } from "../../src/core/version.ts";
import { eventually } from "../support/eventually.ts";
import { HttpSocket } from "../support/http_socket.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

const WELL = { store: "ok", disk: "ok", log_directory: "ok" };
const PROBES = ["daemon.probe.new", join("log", "daemon.probe.new")];

/** Asks until the status is this; the daemon looks again by itself. */
async function until(http: HttpSocket, status: string): Promise<void> {
  await eventually(async () => (await http.json("/healthz")).body.status === status, status);
}

/** Makes a probe's place impossible to write to, and to clear. */
function obstruct(daemon: TestDaemon, probe: string): () => void {
  const path = join(daemon.directory, probe);
  Deno.mkdirSync(join(path, "in the way"), { recursive: true });
  return () => Deno.removeSync(path, { recursive: true });
}

Deno.test("healthz and health tell status, version, uptime, components and counts", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  using http = new HttpSocket(daemon.directory);
  using _client = await daemon.v2("reader");
  for (const path of ["/healthz", "/health"]) {
    const { status, body } = await http.json(path);
    assertEquals(status, 200);
    assertEquals(Object.keys(body).sort(), [
      "components",
      "metrics",
      "status",
      "uptime_seconds",
      "version",
    ]);
    assertEquals([body.status, body.version, body.components], ["healthy", VERSION, WELL]);
    assert(Number.isInteger(body.uptime_seconds) && body.uptime_seconds >= 0);
    assertEquals([body.metrics.head_seq, body.metrics.subscriptions], [3, 0]);
    assert(body.metrics.connections >= 1 && body.metrics.log_bytes > 0);
  }
});

Deno.test("readyz says ready once the daemon answers at all", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  assertEquals(await http.json("/readyz"), {
    status: 200,
    body: { ready: true, status: "healthy" },
  });
});

Deno.test("a daemon that stops is not ready, and touches no disk to say so", () => {
  const services = {
    identity: { version: "1", startedAtMs: 0 },
    clock: { now: () => 5000 },
    log: { counters: { head: 0, bytes: 0 } },
    metrics: { subscriptions: 0, requestCount: 0 },
    records: { list: () => [] },
    consumers: { list: () => [] },
    connectionCount: () => 0,
  } as unknown as Services;
  const diagnostics = { debug() {}, info() {}, warn() {}, error() {} };
  const store = { isFailing: false };
  const audit = { failure: undefined };
  const options = { directory: "/nowhere/at/all", uid: null, store, audit, diagnostics };
  const health = new Health(services, options);
  health.stopping = true;
  const { ready, status } = health.report();
  assertEquals([ready, status], [false, "healthy"]);
});

for (const [probe, component] of [[PROBES[0]!, "disk"], [PROBES[1]!, "log_directory"]] as const) {
  Deno.test(`a ${component} that cannot be written makes it degraded, and then healthy again`, async () => {
    await using daemon = await startTestDaemon();
    using http = new HttpSocket(daemon.directory);
    const clear = obstruct(daemon, probe);
    await until(http, "degraded");
    const { status, body } = await http.json("/healthz");
    assertEquals([status, body.components], [200, { ...WELL, [component]: "failing" }]);
    assertEquals((await http.json("/readyz")).body, { ready: true, status: "degraded" });
    assertMatch(await http.text("/metrics"), /^postern_healthy 0$/m);
    clear();
    await until(http, "healthy");
    assertMatch(await http.text("/metrics"), /^postern_healthy 1$/m);
    const told = daemon.logged.filter(({ fields }) => fields?.component === component);
    assertEquals(told.map(({ level }) => level), ["error", "info"], "each change is logged once");
    for (const { fields } of told) assertMatch(String(fields?.reason ?? fields?.failed), /refused/);
  });
}

Deno.test("asking for the health leaves no file, and no link is followed by it", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const outside = await Deno.makeTempFile();
  try {
    Deno.symlinkSync(outside, join(daemon.directory, PROBES[0]!));
    await until(http, "degraded");
    await until(http, "healthy");
    assertEquals(Deno.statSync(outside).size, 0);
    for (const probe of PROBES) {
      assertEquals(
        [...Deno.readDirSync(join(daemon.directory, probe, ".."))].filter(({ name }) =>
          name.includes("probe")
        ),
        [],
      );
    }
  } finally {
    await Deno.remove(outside);
  }
});

Deno.test("health and metrics need a token, unless the configuration opens them, and only them", async () => {
  for (const open of [false, true]) {
    await using daemon = await startTestDaemon({
      config: { http: { unauthenticated_metrics: open } },
    });
    using http = new HttpSocket(daemon.directory);
    const statuses = async (paths: string[]) => {
      const answers = [];
      for (const path of paths) {
        const answer = await http.fetch(path, { token: null });
        await answer.body?.cancel();
        answers.push(answer.status);
      }
      return answers;
    };
    const view = await statuses(["/healthz", "/health", "/readyz", "/metrics"]);
    assertEquals(view, Array(4).fill(open ? 200 : 401));
    const hash = "0".repeat(64);
    assertEquals(await statuses(["/events", "/blobs/" + hash]), [401, 401]);
    const post = { method: "POST", body: "x", token: null };
    assertEquals((await http.json("/blobs", post)).status, 401);
  }
});
