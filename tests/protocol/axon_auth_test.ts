/**
 * AXON, section 2: authentication by the token file, its rules, and `trust_socket` in the place of peer
 * credentials, which this runtime cannot ask for.
 */

import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "@std/path/posix";
import { makeRuntimeDirectory, startTestDaemon } from "../support/in_process.ts";
import type { TestDaemon } from "../support/in_process.ts";
import { expectError } from "../support/expect.ts";

const WRONG = "0".repeat(64);
const SEND = { cmd: "send", to: "self", kind: "notify", payload: {} };

Deno.test("2 without hello, or with version 1, authentication is optional", async () => {
  await using daemon = await startTestDaemon();
  const silent = await daemon.connect();
  assertEquals((await silent.askBare(SEND)).ok, true);
  const first = await daemon.connect();
  await first.ask({ cmd: "hello", version: 1 });
  assertEquals((await first.askBare(SEND)).ok, true);
});

Deno.test("2.2 commands other than hello, auth and status answer auth_required until authenticated", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.hello();
  const commands = [
    { cmd: "whoami" },
    { cmd: "peers" },
    { cmd: "inbox" },
    { cmd: "ack", up_to_seq: 0 },
    { cmd: "subscribe" },
    SEND,
    { cmd: "event.inbox" },
    { cmd: "event.read", after: 0 },
    { cmd: "consumer.list" },
    { cmd: "peer.list" },
    { cmd: "system.whoami" },
    { cmd: "system.operations" },
    { cmd: "system.shutdown" },
  ];
  for (const command of commands) expectError(await client.ask(command), "auth_required");
  assertEquals((await client.ask({ cmd: "status" })).ok, true);
  assertEquals((await client.hello()).ok, true);
  assertEquals((await client.ask({ cmd: "auth", token: daemon.token })).ok, true);
  for (const command of [{ cmd: "whoami" }, { cmd: "peers" }, { cmd: "inbox" }, SEND]) {
    assertEquals((await client.ask(command)).ok, true, command.cmd);
  }
});

Deno.test("2.2 a refused subscribe delivers nothing, not even after the token", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.hello();
  expectError(await client.ask({ cmd: "subscribe" }), "auth_required");
  await daemon.fill(1);
  await client.ask({ cmd: "auth", token: daemon.token });
  await client.expectNothingPushed();
});

Deno.test("2.3 the right token is answered with auth accepted", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.hello();
  const reply = await client.ask({ cmd: "auth", req_id: "2", token: daemon.token });
  assertEquals(reply, { ok: true, req_id: "2", auth: "accepted" });
  assertEquals((await client.ask({ cmd: "auth", req_id: "3", token: daemon.token })).ok, true);
});

Deno.test("2.3 a wrong token is auth_failed, and a later right one is accepted", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.hello();
  const reply = await client.ask({ cmd: "auth", req_id: "2", token: WRONG });
  expectError(reply, "auth_failed");
  assertEquals(reply.req_id, "2");
  expectError(await client.ask({ cmd: "inbox" }), "auth_required");
  assertEquals((await client.ask({ cmd: "auth", token: daemon.token })).auth, "accepted");
});

Deno.test("2.3 a token that is no string is invalid_command", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.hello();
  for (const token of [undefined, null, 7, [], {}]) {
    expectError(await client.ask({ cmd: "auth", token }), "invalid_command");
  }
});

Deno.test("2.3 a string of another form than 64 hex digits is no token", async () => {
  await using daemon = await startTestDaemon();
  for (
    const token of [
      "",
      "zz",
      daemon.token.slice(1),
      daemon.token + "0",
      daemon.token.slice(0, 32).repeat(2),
    ]
  ) {
    using client = await daemon.connect();
    await client.hello();
    const reply = await client.ask({ cmd: "auth", token });
    assertEquals(reply.ok, false, JSON.stringify(token));
    assertMatch(reply.error, /^(auth_failed|invalid_command)$/);
  }
});

Deno.test("2.3 the token is hex: white space around it and the case of its digits say nothing", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.hello();
  const token = ` ${daemon.token.toUpperCase()}\n`;
  assertEquals((await client.ask({ cmd: "auth", token })).auth, "accepted");
});

Deno.test("2.3 a failed auth takes nothing from a connection that is authenticated", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  expectError(await client.ask({ cmd: "auth", token: WRONG }), "auth_failed");
  assertEquals((await client.ask({ cmd: "inbox" })).ok, true);
});

Deno.test("2.3 auth without hello is accepted on a v1 connection", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  assertEquals(await client.askBare({ cmd: "auth", token: daemon.token }), {
    ok: true,
    auth: "accepted",
  });
  expectError(await client.askBare({ cmd: "inbox" }), "hello_required");
});

Deno.test("axon.md: the third failed authentication on a connection closes it, and no other", async () => {
  await using daemon = await startTestDaemon();
  const other = await daemon.v2();
  const client = await daemon.connect();
  await client.hello();
  for (let attempt = 1; attempt <= 3; attempt++) {
    await client.send({ cmd: "auth", req_id: `${attempt}`, token: WRONG });
  }
  const lines = await client.untilClosed();
  assertEquals(lines.map((line) => [line.req_id, line.error]), [
    ["1", "auth_failed"],
    ["2", "auth_failed"],
    ["3", "auth_failed"],
  ]);
  assertEquals((await other.ask({ cmd: "inbox" })).ok, true);
});

Deno.test("axon.md: what is pipelined behind the third failed authentication is auth_failed, too", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.v2();
  const auth = { cmd: "auth", token: WRONG };
  const commands = [auth, auth, auth, SEND, { cmd: "status" }, { ...auth, token: daemon.token }];
  await client.send(...commands.map((command, i) => ({ ...command, req_id: `${i}` })));
  const lines = await client.untilClosed();
  assertEquals(
    lines.map((line) => [line.req_id, line.error]),
    commands.map((_, i) => [`${i}`, "auth_failed"]),
  );
  const { events } = await (await daemon.v2()).ask({ cmd: "event.read", after: 0 });
  assertEquals(events, [], "nothing of it was carried out");
});

Deno.test("2.2 the daemon writes a random 256-bit token in hex, mode 0600", async () => {
  await using one = await startTestDaemon();
  await using other = await startTestDaemon();
  assertNotEquals(one.token, other.token);
  for (const daemon of [one, other]) {
    const text = await Deno.readTextFile(daemon.tokenPath);
    assertMatch(text.trim(), /^[0-9a-f]{64}$/);
    assertEquals(text.trim(), daemon.token);
    const info = await Deno.lstat(daemon.tokenPath);
    assert(info.isFile);
    assertEquals(info.mode! & 0o777, 0o600);
  }
});

Deno.test("2.2 the token in the file is the one that authenticates, and stays over a restart", async () => {
  await using daemon = await startTestDaemon();
  const token = (await Deno.readTextFile(daemon.tokenPath)).trim();
  await daemon.restart();
  const client = await daemon.connect();
  await client.hello();
  assertEquals((await client.ask({ cmd: "auth", token })).auth, "accepted");
});

/** Each makes something of `ipc-token` that the daemon must not use. */
const FOREIGN: Record<string, (path: string, directory: string) => Promise<void>> = {
  "a symbolic link": async (path, directory) => {
    await Deno.writeTextFile(join(directory, "elsewhere"), WRONG, { mode: 0o600 });
    await Deno.symlink(join(directory, "elsewhere"), path);
  },
  "a dangling symbolic link": (path, directory) => Deno.symlink(join(directory, "nowhere"), path),
  "a directory": (path) => Deno.mkdir(path),
  "one of several hard links": async (path, directory) => {
    await Deno.writeTextFile(path, WRONG, { mode: 0o600 });
    await Deno.link(path, join(directory, "second-name"));
  },
};

for (const [what, make] of Object.entries(FOREIGN)) {
  Deno.test(`2.2 the daemon refuses a token file that is ${what}`, async () => {
    const directory = await makeRuntimeDirectory();
    try {
      await make(join(directory, "ipc-token"), directory);
      await assertRejects(() => startTestDaemon({ directory }));
      const names = [...Deno.readDirSync(directory)].map((entry) => entry.name);
      assertEquals(names.includes("nowhere"), false, "nothing was made through the link");
      assertEquals(names.includes("postern.sock"), false, "it does not listen");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

Deno.test({
  name: `2.2 the daemon refuses a token file of another owner${isRoot() ? "" : " [needs root]"}`,
  ignore: !isRoot(),
  fn: async () => {
    const directory = await makeRuntimeDirectory();
    try {
      await Deno.writeTextFile(join(directory, "ipc-token"), WRONG, { mode: 0o600 });
      await Deno.chown(join(directory, "ipc-token"), 65534, 65534);
      await assertRejects(() => startTestDaemon({ directory }));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test("2.2 rotation is a new file and a reload: the new token counts at once, the old one no more", async () => {
  await using daemon = await startTestDaemon();
  const old = daemon.token;
  const fresh = "ab".repeat(32);
  await Deno.writeTextFile(daemon.tokenPath + ".new", fresh, { mode: 0o600 });
  await Deno.rename(daemon.tokenPath + ".new", daemon.tokenPath);
  await daemon.reload();
  assertEquals(await authWith(daemon, fresh), "accepted");
  assertEquals(await authWith(daemon, old), "auth_failed");
});

Deno.test("axon.md: when the token is replaced, connections that showed the old one end, and no other", async () => {
  await using daemon = await startTestDaemon();
  const shown = await daemon.v2();
  const silent = await daemon.connect();
  await silent.hello();
  await daemon.reload();
  assertEquals((await shown.ask({ cmd: "inbox" })).ok, true, "the same token stays");
  const fresh = "ab".repeat(32);
  await Deno.writeTextFile(daemon.tokenPath, fresh);
  await daemon.reload();
  assertEquals(await shown.untilClosed(), []);
  assertEquals((await silent.ask({ cmd: "auth", token: fresh })).auth, "accepted");
  await daemon.reload();
  assertEquals((await silent.ask({ cmd: "inbox" })).ok, true);
});

Deno.test("axon.md: with trust_socket a replaced token ends no connection that showed none", async () => {
  await using daemon = await startTestDaemon({ config: { trust_socket: true } });
  const client = await daemon.connect();
  await client.hello();
  await client.ask({ cmd: "subscribe" });
  await Deno.writeTextFile(daemon.tokenPath, "ab".repeat(32));
  await daemon.reload();
  await client.ask({ cmd: "send", to: "self", kind: "notify", payload: 1 });
  assertEquals((await client.pushed()).seq, 1);
});

Deno.test("2.1 with trust_socket a connection counts as the owner's, and auth is accepted but unnecessary", async () => {
  await using daemon = await startTestDaemon({ config: { trust_socket: true } });
  const client = await daemon.connect();
  await client.hello();
  assertEquals((await client.ask({ cmd: "whoami" })).ok, true);
  assertEquals((await client.ask({ cmd: "inbox" })).ok, true);
  assertEquals((await client.ask({ cmd: "auth", token: daemon.token })).auth, "accepted");
});

Deno.test("2.1 trust_socket is refused together with a wider socket mode", async () => {
  const config = { trust_socket: true, socket: { mode: "0660" } };
  await assertRejects(() => startTestDaemon({ config }));
});

Deno.test("axon.md: the socket is 0600", async () => {
  await using daemon = await startTestDaemon();
  assertEquals((await Deno.lstat(daemon.socketPath)).mode! & 0o777, 0o600);
});

Deno.test("axon.md: require_token leaves nothing but hello, auth and ping without a token", async () => {
  await using daemon = await startTestDaemon({ config: { require_token: true } });
  const first = await daemon.connect();
  for (const command of [{ cmd: "status" }, { cmd: "peers" }, SEND]) {
    expectError(await first.askBare(command), "auth_required");
  }
  assertEquals((await first.askBare({ cmd: "system.ping" })).pong, true);
  const second = await daemon.connect();
  assertEquals((await second.hello()).ok, true);
  for (const command of [{ cmd: "status" }, { cmd: "inbox" }, { cmd: "system.status" }]) {
    expectError(await second.ask(command), "auth_required");
  }
  assertEquals((await second.ask({ cmd: "system.ping" })).pong, true);
  assertEquals((await second.ask({ cmd: "auth", token: daemon.token })).auth, "accepted");
  assertEquals((await second.ask({ cmd: "inbox" })).ok, true);
});

Deno.test("axon.md: with require_token a v1 connection is told of events only after auth", async () => {
  await using daemon = await startTestDaemon({ config: { require_token: true } });
  const stranger = await daemon.connect();
  await stranger.askBare({ cmd: "hello", version: 1 });
  const known = await daemon.connect();
  await known.askBare({ cmd: "hello", version: 1 });
  await known.askBare({ cmd: "auth", token: daemon.token });
  await daemon.fill(1);
  assertEquals((await known.pushed()).inbound, true);
  await stranger.expectNothingPushed();
});

async function authWith(daemon: TestDaemon, token: string): Promise<string> {
  using client = await daemon.connect();
  await client.hello();
  const reply = await client.ask({ cmd: "auth", token });
  return reply.auth ?? reply.error;
}

function isRoot(): boolean {
  return Deno.uid() === 0;
}

Deno.test("axon.md: no error repeats a token, whatever else is wrong with it", async () => {
  await using daemon = await startTestDaemon();
  const client = await daemon.connect();
  await client.hello();
  for (const token of [daemon.token + " ".repeat(2000), 1234567, [daemon.token], null]) {
    const reply = await client.ask({ cmd: "auth", token });
    expectError(reply, "invalid_command");
    const shown = JSON.stringify(reply);
    assert(!shown.includes(daemon.token.slice(0, 16)) && !shown.includes("1234567"), shown);
  }
});
