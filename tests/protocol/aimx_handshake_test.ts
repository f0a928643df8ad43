/** The handshake of AimX: which hello is welcomed, as whom, and what becomes of every other. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { greet, localClient, OPEN_POLICY, openAimx } from "../support/aimx_client.ts";
import { startTestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";

/** Expects an error without an id, and then the end of the connection. */
async function expectRefusedHello(client: RawClient, line: Line, code: string): Promise<void> {
  assertEquals(Object.keys(line), ["error"], JSON.stringify(line));
  assertEquals(line.error.code, code, line.error.message);
  assertMatch(line.error.message, /^(hello|auth\.access): /);
  assertEquals(await client.untilClosed(), []);
}

Deno.test("the socket is there with mode 0600 while the daemon runs, and gone after", async () => {
  await using daemon = await startTestDaemon();
  const path = daemon.socketPath;
  const { mode, isSocket } = Deno.statSync(path);
  assertEquals([mode! & 0o777, isSocket], [0o600, true]);
  await openAimx(daemon);
  await daemon.stop();
  await assertRejects(() => Deno.connect({ transport: "unix", path }));
  await daemon.start();
  await openAimx(daemon);
});

Deno.test("a stop of the daemon ends the connection and its subscriptions", async () => {
  await using daemon = await startTestDaemon();
  const { raw, ...client } = await openAimx(daemon);
  assert(client.welcome.version);
  await raw.send({ id: 1, method: "record.subscribe", params: { name: ">" } });
  assertEquals((await raw.reply()).id, 1);
  await daemon.stop();
  const rest = await raw.untilClosed();
  assertEquals(rest.filter((line) => !("event" in line)), []);
  await daemon.start();
});

for (const version of ["1.0", "1", "1.7", "1.0.3", "1.999999999"]) {
  Deno.test(`version ${version} is welcomed with 1.0`, async () => {
    await using daemon = await startTestDaemon();
    const { welcome } = await greet(await daemon.connect(), { version });
    assertEquals(welcome.version, "1.0");
  });
}

for (const version of ["2.0", "0.9", "10.0", "2"]) {
  Deno.test(`version ${version} is VERSION_MISMATCH with both versions, and the end`, async () => {
    await using daemon = await startTestDaemon();
    const client = await daemon.connect();
    const line = await greet(client, { version });
    assertEquals(line.error.details, {
      client: version,
      server: "1.0",
      code: "unsupported_version",
    });
    await expectRefusedHello(client, line, "VERSION_MISMATCH");
  });
}

const GARBAGE = [
  1,
  1.5,
  null,
  {},
  [],
  "",
  "one",
  "1.",
  ".0",
  "1.0-beta",
  "v1.0",
  "1.0.0.0",
  "-1.0",
];

for (const version of GARBAGE) {
  Deno.test(`version ${JSON.stringify(version)} is PROTOCOL_ERROR, and the end`, async () => {
    await using daemon = await startTestDaemon();
    const client = await daemon.connect();
    await expectRefusedHello(client, await greet(client, { version }), "PROTOCOL_ERROR");
  });
}

Deno.test("a hello without a version, or with a client that is no string, is PROTOCOL_ERROR", async () => {
  await using daemon = await startTestDaemon();
  for (const hello of [{}, { version: "1.0", client: 7 }, { version: "1.0", client: null }]) {
    const client = await daemon.connect();
    await expectRefusedHello(client, await client.askBare({ hello }), "PROTOCOL_ERROR");
  }
});

Deno.test("a hello needs nothing but a version, and may say more than anybody knows", async () => {
  await using daemon = await startTestDaemon();
  for (const more of [{}, { client: "" }, { capabilities: ["stream"], later: { a: 1 } }]) {
    const client = await daemon.connect();
    const { welcome } = await client.askBare({ hello: { version: "1.0", ...more }, also: 1 });
    assertEquals(welcome.authenticated, false);
  }
});

Deno.test("a hello that is no object is no AimX, and leaves the choice of a dialect open", async () => {
  await using daemon = await startTestDaemon();
  for (const hello of ["1.0", 1, null, [], true]) {
    const client = await daemon.connect();
    assertEquals((await client.askBare({ hello })).error, "invalid_command");
    assertEquals((await greet(client)).welcome.version, "1.0");
  }
});

Deno.test("a second hello is PROTOCOL_ERROR and changes nothing", async () => {
  await using daemon = await startTestDaemon();
  const { raw } = await openAimx(daemon, { token: true });
  for (
    const hello of [{ version: "1.0" }, { version: "2.0" }, 7, { version: "1.0", auth_token: "x" }]
  ) {
    const line = await raw.askBare({ hello });
    assertEquals([Object.keys(line), line.error.code], [["error"], "PROTOCOL_ERROR"]);
  }
  const { result } = await raw.askBare({ id: 1, method: "auth.access" });
  assertEquals(result.authenticated, true);
});

Deno.test("the right auth_token is welcomed as authenticated, however it is written", async () => {
  await using daemon = await startTestDaemon();
  for (const auth_token of [daemon.token, `${daemon.token}\n`, daemon.token.toUpperCase()]) {
    const { welcome } = await greet(await daemon.connect(), { auth_token });
    assertEquals(welcome.authenticated, true);
  }
});

Deno.test("a wrong auth_token is AUTH_FAILED, and the end", async () => {
  await using daemon = await startTestDaemon();
  for (const auth_token of ["", "wrong", "0".repeat(64), daemon.token.slice(1)]) {
    const client = await daemon.connect();
    const line = await greet(client, { auth_token });
    assertEquals(JSON.stringify(line).includes("wrong"), false, "the token is not repeated");
    await expectRefusedHello(client, line, "AUTH_FAILED");
  }
});

Deno.test("an auth_token that no token can be is refused without being repeated", async () => {
  await using daemon = await startTestDaemon();
  const cases: [unknown, string][] = [
    [5318008, "PROTOCOL_ERROR"],
    [null, "PROTOCOL_ERROR"],
    [["secret"], "PROTOCOL_ERROR"],
    ["secret".repeat(200), "VALIDATION_ERROR"],
  ];
  for (const [auth_token, code] of cases) {
    const client = await daemon.connect();
    const line = await greet(client, { auth_token });
    assertEquals(/secret|5318008/.test(JSON.stringify(line)), false);
    await expectRefusedHello(client, line, code);
  }
});

Deno.test("with require_token there is no welcome without a token", async () => {
  await using daemon = await startTestDaemon({ config: { require_token: true } });
  const client = await daemon.connect();
  await expectRefusedHello(client, await greet(client), "AUTH_REQUIRED");
  const wrong = await daemon.connect();
  await expectRefusedHello(wrong, await greet(wrong, { auth_token: "no" }), "AUTH_FAILED");
  const { welcome } = await greet(await daemon.connect(), { auth_token: daemon.token });
  assertEquals(welcome.authenticated, true);
});

Deno.test("what comes behind a refused hello is refused and not carried out", async () => {
  await using daemon = await startTestDaemon({ config: OPEN_POLICY });
  const local = await localClient(daemon);
  await local("record.define", { name: "x" });
  for (
    const hello of [{ version: "2.0", auth_token: daemon.token }, {
      version: "1.0",
      auth_token: "no",
    }]
  ) {
    const client = await daemon.connect();
    const set = { id: 1, method: "record.set", params: { name: "x", value: 1 } };
    await client.send({ hello }, set, { id: 2, method: "record.list" });
    const [first, ...rest] = await client.untilClosed();
    assertEquals(Object.keys(first!), ["error"]);
    assertEquals(
      rest.map(({ id, error }) => [id, error.code, error.message]),
      [1, 2].map((id) => [
        id,
        "PROTOCOL_ERROR",
        "the handshake was refused; this connection ends",
      ]),
    );
  }
  const [record] = (await local("record.list") as unknown as Line[])
    .filter(({ name }) => name === "x");
  assertEquals(record!.sequence, 0);
});

Deno.test("requests may follow the hello at once, and find what it allowed", async () => {
  await using daemon = await startTestDaemon({ config: OPEN_POLICY });
  const client = await daemon.connect();
  await client.send(
    { hello: { version: "1.0", auth_token: daemon.token } },
    { id: 1, method: "record.define", params: { name: "x" } },
    { id: 2, method: "record.set", params: { name: "x", value: "at once" } },
    { id: 3, method: "record.get", params: { name: "x" } },
  );
  assertEquals((await client.next()).welcome.authenticated, true);
  for (const id of [1, 2]) assertEquals((await client.next()).id, id);
  assertEquals((await client.next()).result.value, "at once");
});

Deno.test("a token may be shown later, by auth.login", async () => {
  await using daemon = await startTestDaemon({ config: OPEN_POLICY });
  const local = await localClient(daemon);
  await local("record.define", { name: "x" });
  const client = await openAimx(daemon);
  assertEquals(await client.codeOf("record.set", { name: "x", value: 1 }), "AUTH_REQUIRED");
  assertEquals(await client.codeOf("auth.login", { token: "no" }), "AUTH_FAILED");
  await client.call("auth.login", { token: daemon.token });
  assertEquals(await client.codeOf("record.set", { name: "x", value: 1 }), "ok");
  assertEquals((await client.call("auth.access")).writable_records, ["x"]);
});

Deno.test("the third wrong token in auth.login ends the connection", async () => {
  await using daemon = await startTestDaemon();
  const { raw } = await openAimx(daemon);
  await raw.send(
    ...[1, 2, 3, 4].map((id) => ({ id, method: "auth.login", params: { token: "no" } })),
  );
  const lines = await raw.untilClosed();
  assertEquals(lines.map(({ error }) => error.code), Array(4).fill("AUTH_FAILED"));
});
