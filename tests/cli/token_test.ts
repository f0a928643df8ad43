/** `token`, `--token-file` and `metrics`, by the real program against a daemon in the test. */

import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { dirname, join } from "@std/path/posix";
import { type Finished, postern } from "../support/cli.ts";
import { HeldSocket } from "../support/held_socket.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { TestDirectory } from "../support/process.ts";
import { canMount, SmallDisk } from "../support/small_disk.ts";

const SECRET = /^pst_[0-9a-f]{16}_[0-9a-f]{64}$/;

function runner(daemon: TestDaemon) {
  return (args: string[], options: Parameters<typeof postern>[1] = {}): Promise<Finished> =>
    postern([...args, "--dir", daemon.directory], options);
}

Deno.test("token create prints the secret alone on stdout, and the rest on stderr", async () => {
  await using daemon = await startTestDaemon();
  const run = runner(daemon);
  const args = ["token", "create", "ci", "--scope", "read,send", "--expires", "30d"];
  const { code, stdout, stderr } = await run(args);
  assertEquals(code, 0);
  assertMatch(stdout.trimEnd(), SECRET);
  assertMatch(stderr, /made token [0-9a-f]{16}, valid until \d{4}-\d\d-\d\dT[\d:]{8}Z/);
  assert(!stderr.includes(stdout.trim().slice(21)), stderr);
  const more = ["token", "create", "more", "--scope", "admin", "--scope", "serve", "--json"];
  const json = JSON.parse((await run(more)).stdout);
  assertMatch(json.token, SECRET);
  assertEquals([json.name, json.scopes, json.expires_at], ["more", ["admin", "serve"], null]);
});

Deno.test("token create --output puts the secret into a new file for its owner only", async () => {
  await using daemon = await startTestDaemon();
  const run = runner(daemon);
  const file = `${daemon.directory}/clients/ci.token`;
  const create = (name: string, ...more: string[]) =>
    run(["token", "create", name, "--scope", "read", "--output", file, ...more]);
  const { code, stdout, stderr } = await create("ci");
  assertEquals([code, stdout], [0, ""], stderr);
  const text = Deno.readTextFileSync(file);
  assertMatch(text.trimEnd(), SECRET);
  assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
  assert(stderr.includes(file) && !stderr.includes(text.trim().slice(21)), stderr);
  const again = await create("more");
  assertEquals([again.code, again.stdout], [1, ""]);
  assert(again.stderr.includes(`"${file}" is there already`), again.stderr);
  assertEquals(Deno.readTextFileSync(file), text);
  const { tokens } = JSON.parse((await run(["token", "list", "--json"])).stdout);
  assertEquals(tokens.length, 1, "none was made that could be put nowhere");
  Deno.removeSync(file);
  assertEquals((await create("ci")).code, 1);
  assertThrows(() => Deno.statSync(file), Deno.errors.NotFound);
  const json = JSON.parse((await create("more", "--json")).stdout);
  assertEquals([json.name, json.file, "token" in json], ["more", file, false]);
});

Deno.test("token create --output tells of a path that can be no new file, and makes no token", async () => {
  await using daemon = await startTestDaemon();
  const run = runner(daemon);
  const create = (path: string) => run(["token", "create", "ci", "--scope", "read", "-o", path]);
  const present = "is there already, and is left as it is; it must be a new file\n";
  for (const path of [daemon.directory, "/dev/null"]) {
    const { code, stderr } = await create(path);
    assertEquals([code, stderr], [1, `postern: --output: "${path}" ${present}`]);
  }
  for (const path of [join(daemon.directory, "none", "ci"), join(daemon.tokenPath, "ci")]) {
    const { code, stderr } = await create(path);
    assertEquals(code, 1);
    assertMatch(stderr, new RegExp(`^postern: --output: "${path}" cannot be made: No.* directory`));
  }
  assertEquals(JSON.parse((await run(["token", "list", "--json"])).stdout).tokens, []);
});

const onFullDisk = `a token whose file takes nothing is revoked${canMount ? "" : " [needs root]"}`;
if (!canMount) console.log(`ignored: ${onFullDisk}`);
Deno.test({
  name: onFullDisk,
  ignore: !canMount,
  async fn() {
    await using disk = await SmallDisk.mount();
    await using daemon = await startTestDaemon();
    const run = runner(daemon);
    const file = join(dirname(disk.directory), "ci.token");
    const free = disk.fillUp();
    const args = ["token", "create", "ci", "--scope", "read", "--output", file];
    const told =
      `postern: --output: "${file}" cannot be written: .*No space.*; the token [0-9a-f]{16}`;
    const { code, stdout, stderr } = await run(args);
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, new RegExp(`^${told} is revoked\n$`));
    assertThrows(() => Deno.statSync(file), Deno.errors.NotFound);
    const list = async () => JSON.parse((await run(["token", "list", "--json"])).stdout).tokens;
    assertEquals(await list(), []);
    {
      await using socket = new HeldSocket(daemon.socketPath, "token.revoke", { ends: true });
      const { stderr } = await run(args, { env: { POSTERN_SOCKET_PATH: socket.path } });
      const [{ id }] = await list();
      assertMatch(stderr, new RegExp(`^${told} is not known to be revoked \\(.+\\); run: `));
      assert(stderr.endsWith(`run: postern token revoke ${id}\n`), stderr);
    }
    assertThrows(() => Deno.statSync(file), Deno.errors.NotFound);
    free();
  },
});

Deno.test("a token file that others can reach and may read is warned of", async () => {
  await using daemon = await startTestDaemon();
  await using elsewhere = new TestDirectory();
  const run = runner(daemon);
  const secret = (await run(["token", "create", "reader", "--scope", "read"])).stdout;
  const [open, own] = [elsewhere.beside("open.token"), elsewhere.beside("own.token")];
  const [shutIn, writable] = [elsewhere.at("open.token"), elsewhere.beside("writable.token")];
  const modes = [[open, 0o444], [own, 0o600], [shutIn, 0o444], [writable, 0o666]] as const;
  for (const [path, mode] of modes) {
    Deno.writeTextFileSync(path, secret);
    Deno.chmodSync(path, mode);
  }
  Deno.chmodSync(dirname(open), 0o711);
  const warningOf = (path: string, rights: string, mode: string) =>
    `the token file "${path}": others may ${rights} it (mode ${mode}); ` +
    "give it mode 0600, or put it in a directory with mode 0700";
  const warning = warningOf(open, "read", "0444");
  const ways = [
    run(["inbox", "--token-file", open]),
    run(["inbox"], { env: { POSTERN_TOKEN_FILE: open } }),
    run(["metrics"], { env: { POSTERN_TOKEN_FILE: open } }),
  ];
  for (const { code, stderr } of await Promise.all(ways)) {
    assertEquals([code, stderr], [0, `postern: warning: ${warning}\n`]);
  }
  const { stderr } = await run(["inbox", "--json", "--token-file", open]);
  assertEquals(JSON.parse(stderr), { warning: { message: warning } });
  for (const path of [own, shutIn]) {
    assertEquals((await run(["inbox", "--token-file", path])).stderr, "");
  }
  const other = await run(["inbox", "--token-file", writable]);
  const more = warningOf(writable, "read and write", "0666");
  assertEquals(other.stderr, `postern: warning: ${more}\n`);
});

Deno.test("token list shows every token and no secret; token revoke takes an id or a name", async () => {
  await using daemon = await startTestDaemon();
  const run = runner(daemon);
  assertEquals((await run(["token", "list"])).stdout, "-- no tokens beside the owner's\n");
  const secret = (await run(["token", "create", "ci", "--scope", "read"])).stdout.trim();
  await run(["token", "create", "old", "--scope", "send", "--expires", "90s"]);
  const { stdout } = await run(["token", "list"]);
  assertMatch(stdout, /^NAME +ID +SCOPES +CREATED +EXPIRES +LAST USED\n/);
  assertMatch(stdout, /^ci +[0-9a-f]{16} +read +\S+Z +never +never$/m);
  assertMatch(stdout, /^old +[0-9a-f]{16} +send +\S+Z +\S+Z +never$/m);
  const { tokens } = JSON.parse((await run(["token", "list", "--json"])).stdout);
  assert(!JSON.stringify(tokens).includes(secret.slice(21)));
  assertEquals((await run(["token", "revoke", "old"])).stdout, "revoked old\n");
  assertEquals((await run(["token", "revoke", tokens[0].id])).code, 0);
  const again = await run(["token", "revoke", "ci"]);
  assertEquals([again.code, again.stdout], [1, ""]);
  assert(again.stderr.includes('"ci"'), again.stderr);
});

Deno.test("--token-file shows another token: from a file, from stdin, from the environment", async () => {
  await using daemon = await startTestDaemon();
  const run = runner(daemon);
  const secret = (await run(["token", "create", "reader", "--scope", "read"])).stdout;
  const path = `${daemon.directory}/clients/reader.token`;
  Deno.writeTextFileSync(path, secret);
  const env = { POSTERN_TOKEN_FILE: path };
  const ways = (args: string[]) => [
    run([...args, "--token-file", path]),
    run([...args, "--token-file", "-"], { stdin: secret }),
    run([...args, "--token-file=-"], { stdin: secret }),
    run(args, { env }),
  ];
  for (const { code, stderr } of await Promise.all(ways(["inbox"]))) {
    assertEquals([code, stderr], [0, ""]);
  }
  for (const { code, stderr } of await Promise.all(ways(["send", "notify", "1"]))) {
    assertEquals(code, 4);
    assert(stderr.includes('needs the scope "send"') && !stderr.includes(secret.trim()), stderr);
  }
  const metrics = await run(["metrics", "--token-file", "-"], { stdin: secret });
  assertMatch(metrics.stdout, /^postern_build_info\{version="[^"]+"\} 1$/m);
});

Deno.test("a token that is not there, or not valid, is told as such", async () => {
  await using daemon = await startTestDaemon();
  const run = runner(daemon);
  const missing = await run(["inbox", "--token-file", "/nowhere/token"]);
  assertEquals([missing.code, missing.stdout], [1, ""]);
  assert(missing.stderr.includes("/nowhere/token"), missing.stderr);
  assertEquals((await run(["inbox", "--token-file", "-"], { stdin: "\n" })).code, 2);
  const wrong = "ab".repeat(32);
  for (const command of ["inbox", "metrics"]) {
    const { code, stderr } = await run([command, "--token-file", "-"], { stdin: wrong });
    assertEquals(code, 4, stderr);
    assert(!stderr.includes(wrong), stderr);
  }
});

Deno.test("token rotate replaces the owner token, and every command goes on with it", async () => {
  await using daemon = await startTestDaemon();
  const run = runner(daemon);
  const before = daemon.token;
  const { code, stdout } = await run(["token", "rotate"]);
  assertEquals(code, 0);
  const after = Deno.readTextFileSync(daemon.tokenPath);
  assertNotEquals(after, before);
  assert(stdout.includes(daemon.tokenPath) && !stdout.includes(after), stdout);
  assertEquals((await run(["inbox"])).code, 0);
  const json = JSON.parse((await run(["token", "rotate", "--json"])).stdout);
  assertEquals(Object.keys(json), ["token_path", "old_valid_until"]);
});

for (
  const [args, told] of [
    [["token"], "an argument is missing"],
    [["token", "make"], 'not "make"'],
    [["token", "create"], "create needs a NAME"],
    [["token", "create", "x"], "--scope is missing"],
    [["token", "create", "x", "--scope", "read", "--expires", "3 weeks"], "--expires is a time"],
    [["token", "create", "x", "--scope", "read", "--expires", "0d"], "--expires is a time"],
    [["token", "list", "--output", "x"], "--output goes with create"],
    [["token", "revoke"], "revoke needs an ID or NAME"],
    [["token", "list", "x"], 'unexpected argument "x"'],
    [["token", "rotate", "x"], 'unexpected argument "x"'],
  ] as [string[], string][]
) {
  Deno.test(`postern ${args.join(" ")} is a usage error that names the rule`, async () => {
    const { code, stdout, stderr } = await postern([...args, "--dir", "/nowhere"]);
    assertEquals([code, stdout], [2, ""]);
    assert(stderr.includes(told), stderr);
  });
}

Deno.test("metrics --json gives each sample as a line", async () => {
  await using daemon = await startTestDaemon();
  const { code, stdout } = await runner(daemon)(["metrics", "--json"]);
  assertEquals(code, 0);
  const samples = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  for (const sample of samples) assertEquals(Object.keys(sample), ["name", "labels", "value"]);
  const connections = samples.filter(({ name }) => name === "postern_connections");
  assertEquals(connections.map(({ labels }) => labels.transport).sort(), [
    "events",
    "socket",
    "websocket",
  ]);
});
