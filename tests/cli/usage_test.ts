/** Command lines that cannot be understood, and commands without a daemon: exit codes and one clear line. */

import { assert, assertEquals } from "@std/assert";
import { postern } from "../support/cli.ts";

const NOWHERE = "/nowhere/at/all";

for (
  const [args, says] of [
    [[], "--help"],
    [["nonsense"], "nonsense"],
    [["--bogus"], "which command"],
    [["status", "--bogus"], "--bogus"],
    [["status", "-x"], "-x"],
    [["status", "extra"], "extra"],
    [["help", "nonsense"], "nonsense"],
    [["ack"], "missing"],
    [["ack", "five"], "five"],
    [["ack", "-1"], "-1"],
    [["ack", "1.5"], "1.5"],
    [["ack", "99999999999999999"], "99999999999999999"],
    [["inbox", "--limit"], "--limit N"],
    [["inbox", "--limit", "0"], "from 1 to 1000"],
    [["inbox", "--limit=1001"], "1001"],
    [["tail", "--since", "x"], "--since"],
    [["send"], "<kind>"],
    [["send", "notify", "{oops"], "{oops"],
    [["send", "notify", "hello"], `own quotes, as in '"hello"'`],
    [["send", "notify", "1", "2"], "2"],
    [["send", "--stdin", "--file", "x"], "--file"],
    [["send", "--stdin", "notify", "1"], "payload"],
    [["send", "--file", "/nowhere/x"], "/nowhere/x"],
    [["send", "notify", "--ttl", "soon"], "--ttl"],
    [["call"], "missing"],
    [["call", "event.read", "[]"], "object"],
    [["call", "event.subscribe"], "tail"],
    [["call", "auth", '{"token":"x"}'], "stdin"],
    [["call", "auth.login", '{"token":"x"}'], "stdin"],
    [["path", "moon"], "moon"],
    [["daemon", "--mode", "sideways"], "sideways"],
    [["start", "--timeout", "0"], "--timeout"],
    [["stop", "--timeout", "x"], "--timeout"],
    [["logs", "--lines", "10001"], "from 0 to 10000"],
    [["config"], "missing"],
    [["config", "edit"], "edit"],
    [["config", "show", "x"], "x"],
    [["config", "check", "/nowhere/x"], "/nowhere/x"],
    [["consumers", "rm"], "name"],
    [["consumers", "list"], "usage: postern consumers or postern consumers rm <name>"],
    [["record"], "see: postern record --help"],
    [["token", "lst"], 'one of create, list, revoke, rotate is expected, not "lst"; see: '],
    [["tail", "--pretty", "--json"], "--pretty"],
    [["approvals", "--as", "a b"], '--as: must be 1 to 64 of [A-Za-z0-9_-], got "a b"'],
    [
      ["run", "--name", "r", "--as", "a b", "cat"],
      '--as: must be 1 to 64 of [A-Za-z0-9_-], got "a b"',
    ],
  ] as [string[], string][]
) {
  Deno.test(`postern ${args.join(" ")} is a usage error that says ${says}`, async () => {
    const { code, stdout, stderr } = await postern(args, { env: { POSTERN_DIR: NOWHERE } });
    assertEquals([code, stdout], [2, ""]);
    assert(stderr.includes(says), stderr);
    assertEquals(stderr.trimEnd().split("\n").length, 1);
  });
}

for (
  const args of [
    ["status"],
    ["stop"],
    ["daemon", "stop"],
    ["send", "notify", "1"],
    ["send", "--stdin"],
    ["inbox"],
    ["ack", "1"],
    ["tail"],
    ["consumers"],
    ["consumers", "rm", "x"],
    ["clients"],
    ["peers"],
    ["whoami"],
    ["call", "system.ping"],
  ]
) {
  Deno.test(`postern ${args.join(" ")} without a daemon says in one line how to start it`, async () => {
    const { code, stdout, stderr } = await postern([...args, "--dir", "/nowhere/at all"], {
      stdin: "",
    });
    assertEquals([code, stdout], [3, ""]);
    assertEquals(stderr.trimEnd().split("\n").length, 1);
    assert(stderr.includes("postern start --dir '/nowhere/at all'"), stderr);
  });
}

Deno.test("with --json a failure is one JSON object on stderr", async () => {
  const { code, stdout, stderr } = await postern(["status", "--json", "--dir", NOWHERE]);
  assertEquals([code, stdout], [3, ""]);
  assertEquals(JSON.parse(stderr).error.code, "ENOENT");
});

Deno.test("version without a daemon still tells this program's", async () => {
  const { code, stdout } = await postern(["--version", "--json", "--dir", NOWHERE]);
  assertEquals(code, 0);
  const { client, daemon } = JSON.parse(stdout);
  assert(/^\d+\.\d+\.\d+/.test(client));
  assertEquals(daemon, null);
});

Deno.test("path tells the places, from --dir, from POSTERN_DIR, before or behind the command", async () => {
  const env = { POSTERN_DIR: "/nowhere/env" };
  assertEquals((await postern(["path"], { env })).stdout, "/nowhere/env\n");
  assertEquals((await postern(["path", "--dir", NOWHERE], { env })).stdout, `${NOWHERE}\n`);
  assertEquals(
    (await postern(["--dir", NOWHERE, "path", "socket"])).stdout,
    `${NOWHERE}/postern.sock\n`,
  );
  const { stdout } = await postern(["path", "--json", "--dir", NOWHERE]);
  assertEquals(JSON.parse(stdout), {
    dir: NOWHERE,
    socket: `${NOWHERE}/postern.sock`,
    token: `${NOWHERE}/ipc-token`,
    config: `${NOWHERE}/config.jsonc`,
    log: `${NOWHERE}/log/daemon.log`,
  });
});
