/** Opening a connection: to nobody, to somebody strange, to somebody slow. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, ConnectionError, PosternError } from "../../src/client/mod.ts";
import { FakeDaemon, line, polite } from "../support/fake_axon.ts";

const NO_ENV = new Map<string, string>();
const TOKEN = "ab".repeat(32);

async function failure(dir: string, timeoutMs = 5000): Promise<ConnectionError | PosternError> {
  try {
    await using _client = await connect({ dir, env: NO_ENV, timeoutMs });
  } catch (error) {
    return error as ConnectionError;
  }
  throw new Error("the connection was opened");
}

Deno.test("no socket is ENOENT, and a left one ECONNREFUSED: both say that no daemon runs", async () => {
  const dir = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    for (const code of ["ENOENT", "ECONNREFUSED"]) {
      if (code === "ECONNREFUSED") leaveSocket(`${dir}/postern.sock`);
      const error = await failure(dir) as ConnectionError;
      assertEquals(error.code, code);
      assert(error.noDaemon);
      assert(error.message.includes(`${dir}/postern.sock`));
    }
    assertEquals((await failure(`${dir}/none/of/this`)).code, "ENOENT");
    assertEquals((await failure(`${dir}/${"long".repeat(50)}`)).code, "ENOENT");
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

/** A socket file whose listener ended without removing it, as after a crash. */
function leaveSocket(path: string): void {
  const listener = Deno.listen({ transport: "unix", path: `${path}.moved` });
  Deno.renameSync(`${path}.moved`, path);
  listener.close();
}

Deno.test("a daemon that accepts and says nothing is ETIMEDOUT, and is not called dead", async () => {
  await using daemon = new FakeDaemon(() => "");
  const error = await failure(daemon.directory, 1) as ConnectionError;
  assertEquals(error.code, "ETIMEDOUT");
  assert(!error.noDaemon);
  assert(error.message.includes("busy"));
});

Deno.test("an abort signal ends the attempt with its own reason", async () => {
  await using daemon = new FakeDaemon(() => "");
  const reason = new Error("enough");
  const options = { dir: daemon.directory, env: NO_ENV };
  await assertRejects(
    () => connect({ ...options, signal: AbortSignal.abort(reason) }),
    Error,
    "enough",
  );
  const controller = new AbortController();
  const attempt = connect({ ...options, signal: controller.signal });
  controller.abort(reason);
  await assertRejects(() => attempt, Error, "enough");
});

for (
  const [what, answer, code] of [
    ["hangs up", "close", "ECONNRESET"],
    ["speaks something else", "SSH-2.0-x\n", "EPROTO"],
    ["speaks AXON v1 only", line({ ok: true, req_id: "1", version: 1, agent_id: "x" }), "EPROTO"],
    [
      "refuses the greeting",
      line({ ok: false, req_id: "1", error: "invalid_command" }),
      "invalid_request",
    ],
  ] as const
) {
  Deno.test(`a daemon that ${what} is ${code}`, async () => {
    await using daemon = new FakeDaemon(() => answer);
    assertEquals((await failure(daemon.directory)).code, code);
  });
}

Deno.test("hello, with the consumer, and the token of the file go out first and together", async () => {
  await using daemon = new FakeDaemon(polite());
  Deno.writeTextFileSync(`${daemon.directory}/ipc-token`, `${TOKEN}\n`);
  await using client = await connect({ dir: daemon.directory, env: NO_ENV, consumer: "builder" });
  assertEquals(daemon.heard, [
    { cmd: "hello", req_id: "1", version: 2, consumer: "builder" },
    { cmd: "auth", req_id: "2", token: TOKEN },
  ]);
  assertEquals(client.welcome, {
    version: 2,
    agent_id: "ed25519.00",
    epoch: "e",
    features: ["buffer"],
    originator: null,
  });
});

Deno.test("without a token file the connection stays without authentication", async () => {
  await using daemon = new FakeDaemon(polite());
  await using _client = await connect({ dir: daemon.directory, env: NO_ENV });
  assertEquals(daemon.heard.map(({ cmd }) => cmd), ["hello"]);
});

Deno.test("a refused token is auth_failed", async () => {
  await using daemon = new FakeDaemon((request) =>
    request.cmd === "auth"
      ? line({ ok: false, req_id: request.req_id, error: "auth_failed", message: "wrong" })
      : polite()(request)
  );
  Deno.writeTextFileSync(`${daemon.directory}/ipc-token`, TOKEN);
  assertEquals((await failure(daemon.directory)).code, "auth_failed");
});
