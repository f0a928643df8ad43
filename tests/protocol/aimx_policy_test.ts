/**
 * What remote access may change: the policy, a record's opt-in and the token must all allow it.
 *
 * A token with fewer scopes than all is in tests/operations/records_test.ts, which needs no socket.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type AimxClient, localClient, OPEN_POLICY, openAimx } from "../support/aimx_client.ts";
import { startTestDaemon } from "../support/in_process.ts";
import { startProcess, TestDirectory } from "../support/process.ts";
import { RawClient } from "../support/raw_client.ts";

/** What each way to change a record is answered with. */
async function changes(client: AimxClient, name: string): Promise<string[]> {
  return [
    await client.codeOf("record.set", { name, value: 1 }),
    await client.codeOf("record.define", { name, writable: true }),
    await client.codeOf("record.define", { name: `${name}.new` }),
    await client.codeOf("record.remove", { name }),
  ];
}

Deno.test("test_read_only_enforcement", async () => {
  await using daemon = await startTestDaemon();
  const local = await localClient(daemon);
  await local("record.define", { name: "x", writable: true });
  await local("record.set", { name: "x", value: "kept" });
  for (const token of [false, true]) {
    const client = await openAimx(daemon, { token });
    assertEquals(client.welcome.permissions, ["read", "subscribe"]);
    assertEquals(client.welcome.writable_records, []);
    assertEquals(await changes(client, "x"), Array(4).fill("PERMISSION_DENIED"));
    assertEquals(await client.codeOf("record.set", {}), "PERMISSION_DENIED");
    assertEquals((await client.call("record.get", { name: "x" })).value, "kept");
  }
  await local("record.set", { name: "x", value: "set by a local client" });
});

type Row = readonly [
  policy: string,
  optIn: "none" | "definition" | "pattern",
  token: boolean,
  string,
];

/** Every combination, and what `record.set` answers. */
const TABLE: readonly Row[] = [
  ["read_only", "none", false, "PERMISSION_DENIED"],
  ["read_only", "none", true, "PERMISSION_DENIED"],
  ["read_only", "definition", false, "PERMISSION_DENIED"],
  ["read_only", "definition", true, "PERMISSION_DENIED"],
  ["read_only", "pattern", false, "PERMISSION_DENIED"],
  ["read_only", "pattern", true, "PERMISSION_DENIED"],
  ["read_write", "none", false, "AUTH_REQUIRED"],
  ["read_write", "none", true, "PERMISSION_DENIED"],
  ["read_write", "definition", false, "AUTH_REQUIRED"],
  ["read_write", "definition", true, "ok"],
  ["read_write", "pattern", false, "AUTH_REQUIRED"],
  ["read_write", "pattern", true, "ok"],
];

for (const [policy, optIn, token, expected] of TABLE) {
  const opted = { none: "not opted in", definition: "opted in", pattern: "opted in by pattern" };
  const shown = `${policy}, ${opted[optIn]}, ${token ? "a token" : "no token"}`;
  Deno.test(`${shown}: record.set is ${expected}, and the welcome says so`, async () => {
    const writable = optIn === "pattern" ? ["conf.*"] : [];
    await using daemon = await startTestDaemon({ config: { records: { policy, writable } } });
    const local = await localClient(daemon);
    await local("record.define", { name: "conf.x", writable: optIn === "definition" });
    const client = await openAimx(daemon, { token });
    const { permissions, writable_records } = client.welcome;
    assertEquals(permissions.includes("write"), expected === "ok");
    assertEquals(writable_records, expected === "ok" ? ["conf.x"] : []);
    assertEquals(await client.codeOf("record.set", { name: "conf.x", value: 1 }), expected);
    const { sequence } = (await local("record.list") as unknown as { sequence: number }[])[1]!;
    assertEquals(sequence, expected === "ok" ? 1 : 0);
  });
}

const PATTERNS: readonly (readonly [string[], string, boolean])[] = [
  [["a"], "a", true],
  [["a"], "a.b", false],
  [["a.*"], "a.b", true],
  [["a.*"], "a", false],
  [["a.*"], "a.b.c", false],
  [["a.>"], "a.b.c", true],
  [["a.>"], "a", false],
  [["*.b"], "a.b", true],
  [["x", "a.b"], "a.b", true],
  [["A.B"], "a.b", false],
  [[], "a", false],
  [[">"], "a.b.c", true],
];

for (const [writable, name, expected] of PATTERNS) {
  Deno.test(`records.writable ${JSON.stringify(writable)} opts ${name} ${expected ? "in" : "out"}`, async () => {
    const config = { records: { policy: "read_write", writable } };
    await using daemon = await startTestDaemon({ config });
    const local = await localClient(daemon);
    await local("record.define", { name });
    const client = await openAimx(daemon, { token: true });
    assertEquals(client.welcome.writable_records, expected ? [name] : []);
    const set = await client.codeOf("record.set", { name, value: 1 });
    assertEquals(set, expected ? "ok" : "PERMISSION_DENIED");
    const [listed] = await local("record.list") as unknown as { writable: boolean }[];
    assertEquals(listed!.writable, expected);
  });
}

Deno.test("a name or a type_id, in name or in record, is one record to the opt-in", async () => {
  const config = { records: { policy: "read_write", writable: ["open"] } };
  await using daemon = await startTestDaemon({ config });
  const local = await localClient(daemon);
  const { type_id: open } = await local("record.define", { name: "open" });
  const { type_id: closed } = await local("record.define", { name: "closed" });
  const client = await openAimx(daemon, { token: true });
  for (const field of ["name", "record"]) {
    assertEquals(await client.codeOf("record.set", { [field]: open, value: 1 }), "ok");
    const refused = await client.codeOf("record.set", { [field]: closed, value: 1 });
    assertEquals(refused, "PERMISSION_DENIED");
  }
  const both = { name: "open", record: "closed", value: 1 };
  assertEquals(await client.codeOf("record.set", both), "VALIDATION_ERROR");
});

Deno.test("what is not opted in cannot be opted in, defined or removed remotely", async () => {
  const config = { records: { policy: "read_write", writable: ["mine.>"] } };
  await using daemon = await startTestDaemon({ config });
  const local = await localClient(daemon);
  await local("record.define", { name: "x" });
  const client = await openAimx(daemon, { token: true });
  assertEquals(await changes(client, "x"), Array(4).fill("PERMISSION_DENIED"));
  await client.call("record.define", { name: "mine.x" });
  assertEquals(await changes(client, "mine.x"), ["ok", "ok", "ok", "ok"]);
});

Deno.test("an opt-in by definition lasts until it is taken back", async () => {
  await using daemon = await startTestDaemon({ config: { records: { policy: "read_write" } } });
  const local = await localClient(daemon);
  await local("record.define", { name: "x", writable: true });
  const client = await openAimx(daemon, { token: true });
  assertEquals(await client.codeOf("record.set", { name: "x", value: 1 }), "ok");
  await local("record.define", { name: "x", writable: false });
  assertEquals(await client.codeOf("record.set", { name: "x", value: 2 }), "PERMISSION_DENIED");
});

Deno.test("with trust_socket a connection without a token has the owner's scopes, and no more", async () => {
  await using daemon = await startTestDaemon({
    config: { trust_socket: true, records: { policy: "read_write", writable: ["open"] } },
  });
  const client = await openAimx(daemon);
  assertEquals(client.welcome.authenticated, true);
  await client.call("record.define", { name: "open" });
  assertEquals(await client.codeOf("record.set", { name: "open", value: 1 }), "ok");
  assertEquals(await client.codeOf("record.define", { name: "other" }), "PERMISSION_DENIED");
});

Deno.test("no global control: operations of the admin scope are closed to AimX, always", async () => {
  await using daemon = await startTestDaemon({ config: OPEN_POLICY });
  const client = await openAimx(daemon, { token: true });
  const { operations } = await client.call("system.operations");
  const admin = operations.filter(({ scope }: { scope: string }) => scope === "admin")
    .map(({ name }: { name: string }) => name).filter((name: string) =>
      !name.startsWith("record.")
    );
  assert(admin.includes("system.shutdown") && admin.includes("consumer.remove"));
  for (const token of [true, false]) {
    const asking = await openAimx(daemon, { token });
    for (const method of admin) assertEquals(await asking.codeOf(method), "PERMISSION_DENIED");
  }
  await client.call("system.ping");
});

Deno.test("a reload of the policy holds for connections that are open", async () => {
  const closed = { records: { policy: "read_only" } };
  await using daemon = await startTestDaemon({ config: closed });
  const local = await localClient(daemon);
  await local("record.define", { name: "conf.x" });
  const client = await openAimx(daemon, { token: true });
  const set = () => client.codeOf("record.set", { name: "conf.x", value: 1 });
  const writable = async () => (await client.call("auth.access")).writable_records;
  assertEquals([await set(), await writable()], ["PERMISSION_DENIED", []]);
  const open = { records: { policy: "read_write", writable: ["conf.*"], queue_size: 7 } };
  assertEquals(await daemon.reload(open), []);
  assertEquals([await set(), await writable()], ["ok", ["conf.x"]]);
  assertEquals((await client.call("record.subscribe", { name: "conf.x" })).queue_size, 7);
  const other = { records: { policy: "read_write", writable: ["other.*"] } };
  assertEquals(await daemon.reload(other), []);
  assertEquals([await set(), await writable()], ["PERMISSION_DENIED", []]);
  await daemon.reload(open);
  await daemon.reload(closed);
  assertEquals([await set(), await writable()], ["PERMISSION_DENIED", []]);
});

Deno.test("SIGHUP re-reads the policy from the file", async () => {
  await using directory = new TestDirectory();
  await using process = await startProcess(directory.path).ready();
  const token = directory.read("ipc-token").trim();
  using client = await RawClient.connect(directory.at("postern.sock"));
  await client.send({ hello: { version: "1.0", auth_token: token } });
  assertEquals((await client.next()).welcome.permissions, ["read", "subscribe"]);
  const define = { method: "record.define", params: { name: "conf.x" } };
  assertEquals((await client.askBare({ id: 1, ...define })).error.code, "PERMISSION_DENIED");
  const config = { records: { policy: "read_write", writable: ["conf.*"] } };
  Deno.writeTextFileSync(directory.at("config.jsonc"), JSON.stringify(config));
  process.signal("SIGHUP");
  assertMatch(await process.says(/SIGHUP:/), /read again$/);
  assertEquals((await client.askBare({ id: 2, ...define })).result.writable, true);
});

Deno.test("remote access takes from a mailbox only where it may set it, and never by a pattern", async () => {
  for (const policy of ["read_only", "read_write"] as const) {
    await using daemon = await startTestDaemon({ config: { records: { policy } } });
    const local = await localClient(daemon);
    await local("record.define", { name: "box.mine", buffer_type: "mailbox", writable: true });
    await local("record.define", { name: "box.other", buffer_type: "mailbox" });
    for (const name of ["box.mine", "box.other"]) await local("record.set", { name, value: 1 });
    const isOpen = policy === "read_write";
    for (const token of [false, true]) {
      const client = await openAimx(daemon, { token });
      assertEquals(
        await client.codeOf("record.subscribe", { name: "box.other" }),
        "PERMISSION_DENIED",
      );
      await client.call("record.subscribe", { name: "box.>" });
      await client.expectNothingPushed();
      const expected = isOpen && token ? "ok" : "PERMISSION_DENIED";
      assertEquals(await client.codeOf("record.subscribe", { name: "box.mine" }), expected);
      if (expected === "ok") assertEquals((await client.event()).name, "box.mine");
      await client.expectNothingPushed();
    }
    assertEquals((await local("record.get", { name: "box.other" })).value, 1);
  }
});

Deno.test("a remote watch does not begin to take when its record becomes a mailbox", async () => {
  await using daemon = await startTestDaemon();
  const local = await localClient(daemon);
  await local("record.define", { name: "a" });
  const client = await openAimx(daemon, { token: true });
  await client.call("record.subscribe", { name: "a" });
  await client.call("event.subscribe", { channels: ["record.a"] });
  await local("record.remove", { name: "a" });
  await local("record.define", { name: "a", buffer_type: "mailbox" });
  await local("record.set", { name: "a", value: 1 });
  await client.expectNothingPushed();
  assertEquals((await local("record.get", { name: "a" })).value, 1);
});
