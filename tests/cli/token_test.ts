/** `token`, `--token-file` and `metrics`, by the real program against a daemon in the test. */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { type Finished, postern } from "../support/cli.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

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
