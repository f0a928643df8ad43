/** A program's records from outside: who may connect, read, and set what. */

import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { postern } from "../../src/embed/mod.ts";
import { leaveDeadSocket, nextValue, Stage } from "./stage.ts";

const TOKEN = "Secret-Token-Here";

Deno.test("a remote client lists, reads and watches what the program sets", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  await using db = await postern().withRemoteAccess({ socketPath })
    .record("SensorData", { type: "number" }).build();
  assertEquals(db.socketPath, socketPath);
  assertEquals((await Deno.stat(socketPath)).mode! & 0o777, 0o600);
  const client = await stage.aimx();
  assertEquals(client.welcome.permissions, ["read", "subscribe"]);
  assertEquals(client.welcome.writable_records, []);
  await db.record("SensorData").set(21.5);
  assertEquals((await client.call("record.get", { name: "SensorData" })).value, 21.5);
  await client.call("record.subscribe", { name: "SensorData" });
  assertEquals((await client.event()).data, 21.5);
  await db.record("SensorData").set(22);
  assertEquals((await client.event()).data, 22);
});

Deno.test("each record that a program declares has it as a producer from the beginning", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  await using db = await postern().withRemoteAccess({ socketPath }).record("a").record("b").build();
  const client = await stage.aimx();
  const counts = async () =>
    (await client.call("record.list") as unknown as { name: string; producer_count: number }[])
      .filter(({ name }) => name !== "aimx.metrics").map(({ producer_count }) => producer_count);
  assertEquals(await counts(), [1, 1]);
  await db.record("a").set(1);
  assertEquals(await counts(), [1, 1]);
});

Deno.test("remote access is read-only unless the program says otherwise", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  await using db = await postern().withRemoteAccess({ socketPath, authToken: TOKEN })
    .allowWriteTo("Config").record("Config").build();
  const client = await stage.aimx({ auth_token: TOKEN });
  assertEquals(
    await client.codeOf("record.set", { name: "Config", value: 1 }),
    "PERMISSION_DENIED",
  );
  await assertRejects(() => db.record("Config").get());
});

Deno.test("with a token, the policy and the opt-in a client sets a record, and the program learns of it", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  await using db = await postern()
    .withRemoteAccess({ socketPath, policy: "read_write", authToken: TOKEN })
    .allowWriteTo("Config", "limits.>")
    .record("Config", { type: "object" }).record("limits.cpu").record("SensorData").build();
  await using watch = db.record("Config").watch();
  const client = await stage.aimx({ auth_token: TOKEN });
  assertEquals(client.welcome.permissions, ["read", "subscribe", "write"]);
  assertEquals(client.welcome.writable_records, ["Config", "limits.cpu"]);
  await client.call("record.set", { name: "Config", value: { level: 3 } });
  assertEquals(await nextValue(watch), { level: 3 });
  assertEquals(await client.codeOf("record.set", { name: "Config", value: 3 }), "VALIDATION_ERROR");
  for (const method of ["record.set", "record.remove"]) {
    const params = { name: "SensorData", ...(method === "record.set" ? { value: 1 } : {}) };
    assertEquals(await client.codeOf(method, params), "PERMISSION_DENIED");
  }
  assertEquals(await client.codeOf("record.remove", { name: "Config" }), "PERMISSION_DENIED");
});

Deno.test("with a token nobody is welcome without it", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  await using _db = await postern().withRemoteAccess({ socketPath, authToken: TOKEN }).build();
  assertEquals((await stage.greet()).error.code, "AUTH_REQUIRED");
  for (const wrong of [TOKEN.toLowerCase(), `${TOKEN}x`, TOKEN.slice(1), ""]) {
    assertEquals((await stage.greet({ auth_token: wrong })).error.code, "AUTH_FAILED", wrong);
  }
});

Deno.test("the token is for remote access in every dialect: policy and opt-in bind it", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  await using _db = await postern()
    .withRemoteAccess({ socketPath, policy: "read_write", authToken: TOKEN })
    .allowWriteTo("Config").record("Config").record("SensorData").build();
  const client = await stage.connect();
  await client.hello();
  assertEquals((await client.ask({ cmd: "auth", token: TOKEN })).auth, "accepted");
  const set = (name: string) => client.ask({ cmd: "record.set", name, value: 1 });
  assertEquals((await set("Config")).ok, true);
  assertEquals((await set("SensorData")).error, "permission_denied");
  assertEquals((await client.ask({ cmd: "system.shutdown" })).error, "permission_denied");
});

Deno.test("without a token only the owner's, in the file that tokenPath names, may write", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  await using db = await postern().withRemoteAccess({ socketPath, policy: "read_write" })
    .allowWriteTo("Config").record("Config").build();
  const anyone = await stage.aimx();
  assertEquals(await anyone.codeOf("record.set", { name: "Config", value: 1 }), "AUTH_REQUIRED");
  const owner = await stage.aimx({ auth_token: await Deno.readTextFile(db.tokenPath) });
  assertEquals((await owner.call("record.set", { name: "Config", value: 1 })).sequence, 1);
});

Deno.test("nobody speaks the version of AXON that knows no token", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  await using _db = await postern().withRemoteAccess({ socketPath }).build();
  const client = await stage.connect();
  const send = { cmd: "send", to: "self", kind: "notify", payload: 1 };
  assertEquals((await client.askBare(send)).error, "hello_required");
});

Deno.test("where no remote access was asked for, the socket is private and wants the owner's token", async () => {
  await using stage = new Stage();
  await using db = await postern().record("a").build();
  assertEquals((await stage.greet({}, db.socketPath)).error.code, "AUTH_REQUIRED");
  assertEquals((await Deno.stat(join(db.socketPath, ".."))).mode! & 0o777, 0o700);
});

Deno.test("the limit on connections holds for all that the process has built together", async () => {
  await using stage = new Stage();
  const limited = postern().withRemoteAccess({ maxConnections: 2 });
  await using one = await limited.build();
  await using two = await limited.build();
  const first = await stage.aimx({}, one.socketPath);
  await stage.aimx({}, two.socketPath);
  const refused = await stage.connect(two.socketPath);
  assertEquals((await refused.untilClosed())[0]?.error, "too_many");
  first.raw.close();
  // The place is free once the other side has noticed.
  while (!("welcome" in await stage.greet({}, two.socketPath)));
});

Deno.test("a socket that somebody listens on is left alone, with a clear error", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  const builder = postern().withRemoteAccess({ socketPath }).record("a");
  await using _db = await builder.build();
  const message = `socketPath: another program listens on "${socketPath}"`;
  await assertRejects(() => builder.build(), Error, message);
  await stage.aimx();
});

Deno.test("of many that begin on one dead socket at once, one wins and stays reachable", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  leaveDeadSocket(socketPath);
  const builder = postern().withRemoteAccess({ socketPath });
  const builds = await Promise.allSettled(Array.from({ length: 5 }, () => builder.build()));
  const built = builds.flatMap((build) => build.status === "fulfilled" ? [build.value] : []);
  try {
    assertEquals(built.length, 1);
    for (const build of builds) {
      if (build.status === "rejected") assertMatch(build.reason.message, /another program listens/);
    }
    await stage.aimx();
  } finally {
    for (const db of built) await db.close();
  }
});

Deno.test("a lock that a foreign program has on the socket's directory delays nothing", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  using foreign = Deno.openSync(stage.directory, { read: true });
  foreign.lockSync(true);
  {
    await using _db = await postern().withRemoteAccess({ socketPath }).build();
    await stage.aimx();
  }
  assertEquals([...Deno.readDirSync(stage.directory)], []);
});

Deno.test("a socket's lock that a crash left is taken over, and who holds one is waited for", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  using held = Deno.openSync(`${socketPath}.lock`, { write: true, create: true, mode: 0o600 });
  held.lockSync(true);
  const building = postern().withRemoteAccess({ socketPath }).build();
  await assertRejects(() => stage.connect());
  held.unlockSync();
  await using _db = await building;
  await stage.aimx();
  await assertRejects(() => Deno.lstat(`${socketPath}.lock`), Deno.errors.NotFound);
});

Deno.test("what is closed leaves no socket and no temporary file", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  const db = await postern().withRemoteAccess({ socketPath }).build();
  const temporary = join(db.tokenPath, "..");
  await Deno.stat(temporary);
  await db.close();
  await db.close();
  assertEquals([...Deno.readDirSync(stage.directory)], []);
  await assertRejects(() => Deno.stat(temporary), Deno.errors.NotFound);
});

Deno.test("a socket's path that cannot be used is refused with the reason, and nothing is left", async () => {
  await using stage = new Stage();
  const file = join(stage.directory, "file");
  await Deno.writeTextFile(file, "mine");
  for (
    const [socketPath, reason] of [
      ["relative.sock", "must be an absolute path"],
      [join(stage.directory, "none", "a.sock"), "does not exist"],
      [join(stage.directory, "a".repeat(110)), "must have at most 103 bytes"],
      [file, "it is no socket"],
    ] as const
  ) {
    const build = () => postern().withRemoteAccess({ socketPath }).build();
    await assertRejects(build, Error, reason);
  }
  assertEquals(await Deno.readTextFile(file), "mine");
});

Deno.test("settings that are wrong are refused where they are said, the token unseen", () => {
  for (
    const [options, rule] of [
      [{ maxConnections: 0 }, /withRemoteAccess: maxConnections: .*got 0/],
      [{ queueSize: 1.5 }, /withRemoteAccess: queueSize: .*got 1\.5/],
      [{ policy: "write" }, /withRemoteAccess: policy: .*got "write"/],
      [{ socket: "/x" }, /withRemoteAccess: .*"socket"/],
      [{ authToken: "" }, /authToken: must be 1 to 1024 characters .*got another value/],
      [{ authToken: " padded" }, /authToken: .*got another value/],
    ] as const
  ) {
    const error = assertThrows(() => postern().withRemoteAccess(options as never), Error);
    assertMatch(error.message, rule);
  }
  assertThrows(() => postern().allowWriteTo("a b"), Error, "allowWriteTo: must be");
});

Deno.test("an owner's shutdown on the socket closes the program's side as well", async () => {
  await using stage = new Stage();
  await using db = await postern().record("a").build();
  const watch = db.record("a").watch();
  const client = await stage.connect(db.socketPath);
  await client.hello();
  await client.ask({ cmd: "auth", token: await Deno.readTextFile(db.tokenPath) });
  assertEquals((await client.ask({ cmd: "system.shutdown" })).ok, true);
  await db.closed;
  assert((await watch.next()).done);
  await assertRejects(() => db.record("a").set(1), Error, "is closed");
});
