/** The commands of the real program against a real daemon. */

import { assert, assertEquals } from "@std/assert";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { FakeDaemon, line, polite } from "../support/fake_axon.ts";
import { type Finished, jsonLines, LinesOf, postern, posternCommand } from "../support/cli.ts";

function run(daemon: TestDaemon, ...args: string[]): Promise<Finished> {
  return postern([...args, "--dir", daemon.directory]);
}

async function json(daemon: TestDaemon, ...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run(daemon, ...args, "--json");
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.trimEnd().split("\n").length, 1);
  return JSON.parse(stdout);
}

Deno.test("send, inbox and ack do what they say, in text and in JSON", async () => {
  await using daemon = await startTestDaemon();
  const sent = await run(daemon, "send", "notify", '{"n": 12345678901234567890}', "--topic", "a.b");
  assertEquals(sent.code, 0);
  assert(/^stored as 1 {2}[0-9a-f-]{36}\n$/.test(sent.stdout), sent.stdout);
  assertEquals((await json(daemon, "send", "query", '"x"', "--ttl", "60")).seq, 2);
  const { stdout } = await run(daemon, "inbox", "--topic", "a.*");
  assert(/^1 {2}\S+Z {2}notify {2}a\.b {2}\{"n":12345678901234567890\}\n$/.test(stdout), stdout);
  const page = await json(daemon, "inbox", "--kind", "query,notify", "--limit", "1");
  assertEquals([(page.messages as unknown[]).length, page.has_more], [1, true]);
  assertEquals((await run(daemon, "ack", "1")).stdout, "acked up to 1\n");
  assertEquals(await json(daemon, "ack", "1", "--consumer", "default"), { acked_seq: 1 });
  assertEquals((await json(daemon, "inbox", "--consumer", "other")).next_seq, 2);
});

Deno.test("a payload of - comes from stdin, line breaks and all", async () => {
  await using daemon = await startTestDaemon();
  const args = ["send", "notify", "-", "--dir", daemon.directory];
  const { code } = await postern(args, { stdin: '{\n  "text": "ä",\r\n  "n": 1.50\n}\n' });
  assertEquals(code, 0);
  const { stdout } = await run(daemon, "inbox");
  assert(stdout.includes('{"text":"ä","n":1.5}'), stdout);
});

Deno.test("a payload nested too deep is refused with the rule, and the command ends", async () => {
  await using daemon = await startTestDaemon();
  const deep = "[".repeat(200) + "]".repeat(200);
  const { code, stdout, stderr } = await run(daemon, "send", "notify", deep);
  assertEquals([code, stdout], [1, ""]);
  assert(stderr.includes("at most 128 levels"), stderr);
});

Deno.test("a dedup key stores once and says so", async () => {
  await using daemon = await startTestDaemon();
  const first = await json(daemon, "send", "notify", "1", "--dedup-key", "k");
  const again = await run(daemon, "send", "notify", "1", "--dedup-key", "k");
  assertEquals(again.stdout, `stored before as 1  ${first.msg_id}\n`);
});

Deno.test("control characters of others are shown, not obeyed", async () => {
  await using daemon = await startTestDaemon();
  await postern(["send", "notify", "-", "--dir", daemon.directory], {
    stdin: JSON.stringify("\u009b31m\u202e\u007f"),
  });
  const { stdout } = await run(daemon, "inbox");
  assert(stdout.includes("\\u009b31m\\u202e\\u007f"), stdout);
});

Deno.test("status, whoami, peers, version and call answer for programs", async () => {
  await using daemon = await startTestDaemon();
  const status = await json(daemon, "status");
  assertEquals([status.running, status.directory], [true, daemon.directory]);
  assertEquals((await json(daemon, "whoami")).agent_id, daemon.agentId);
  assertEquals(await json(daemon, "peers"), { peers: [] });
  const { client, daemon: running } = await json(daemon, "version");
  assertEquals(client, running);
  assertEquals((await json(daemon, "call", "system.ping")).pong, true);
  assertEquals(await json(daemon, "call", "event.read", '{"after":0}'), {
    events: [],
    has_more: false,
  });
});

Deno.test("call has an identity with --as, which what needs one can be called with", async () => {
  await using daemon = await startTestDaemon();
  const acquire = ["call", "lease.acquire", '{"name":"build","ttl_secs":60}'];
  const refused = await run(daemon, ...acquire);
  assertEquals(
    [refused.code, refused.stderr.includes("here: --as KIND")],
    [4, true],
    refused.stderr,
  );
  assertEquals((await json(daemon, ...acquire, "--as", "cli")).fence, 1);
  assertEquals((await json(daemon, "call", "permission.list", "--as", "cli")).pending, []);
  const { code, stderr } = await run(daemon, ...acquire, "--as", "../x");
  assertEquals([code, stderr.includes("--as: must be 1 to 64 of")], [2, true], stderr);
});

Deno.test("status, whoami, peers and version answer for people, without colour in a pipe", async () => {
  await using daemon = await startTestDaemon();
  for (
    const [command, says] of [
      ["status", "running"],
      ["whoami", daemon.agentId],
      ["peers", "no peers"],
      ["version", "daemon"],
    ] as const
  ) {
    const { code, stdout } = await run(daemon, command);
    assertEquals(code, 0);
    assert(stdout.includes(says), stdout);
    assert(!stdout.includes("\x1b"), stdout);
  }
});

for (
  const [args, code, says] of [
    [["ack", "7"], 1, "7"],
    [["send", "nonsense", "1"], 1, "nonsense"],
    [["send", "notify", "1", "--to", "ed25519.ff"], 1, "ed25519.ff"],
    [["send", "notify", "1", "--topic", "turn.x"], 4, "turn"],
    [["call", "no.such"], 1, "no.such"],
    [["tail", "--since", "99"], 1, "99"],
  ] as [string[], number, string][]
) {
  Deno.test(`postern ${args.join(" ")} fails with ${code}`, async () => {
    await using daemon = await startTestDaemon();
    const finished = await run(daemon, ...args);
    assertEquals([finished.code, finished.stdout], [code, ""]);
    assert(finished.stderr.includes(says), finished.stderr);
  });
}

Deno.test("a wrong token is refused with exit code 4, and the token is not shown", async () => {
  await using daemon = await startTestDaemon();
  const token = "cd".repeat(32);
  Deno.writeTextFileSync(`${daemon.directory}/wrong`, token);
  const finished = await postern(["whoami", "--dir", daemon.directory], {
    env: { POSTERN_TOKEN_FILE: `${daemon.directory}/wrong` },
  });
  assertEquals(finished.code, 4);
  assert(!finished.stderr.includes(token));
});

Deno.test("POSTERN_DIR and POSTERN_SOCKET_PATH lead to the daemon", async () => {
  await using daemon = await startTestDaemon();
  const byDir = await postern(["whoami"], { env: { POSTERN_DIR: daemon.directory } });
  assertEquals(byDir.code, 0);
  const bySocket = await postern(["call", "system.ping"], {
    env: {
      POSTERN_DIR: "/nowhere",
      POSTERN_SOCKET_PATH: daemon.socketPath,
      POSTERN_TOKEN_FILE: daemon.tokenPath,
    },
  });
  assertEquals(bySocket.code, 0);
});

Deno.test("tail brings what came since, then what comes, and moves no cursor", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(2, { topic: "a.b" });
  const args = ["tail", "--since", "1", "--topic", "a.>", "--json", "--dir", daemon.directory];
  const child = posternCommand(args).spawn();
  const lines = new LinesOf(child);
  assertEquals(JSON.parse(await lines.next() ?? "").seq, 2);
  await daemon.fill(1, { topic: "other" });
  await daemon.fill(1, { topic: "a.c" });
  const live = JSON.parse(await lines.next() ?? "");
  assertEquals([live.seq, live.replay, live.envelope.topic], [4, false, "a.c"]);
  child.kill("SIGINT");
  assertEquals(await lines.next(), null);
  assertEquals((await child.status).code, 0);
  await child.stderr.cancel();
  const page = await json(daemon, "inbox");
  assertEquals((page.messages as { seq: number }[]).map(({ seq }) => seq), [1, 2, 3, 4]);
});

Deno.test("tail ends with 1 when the daemon goes, and says so", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(1);
  const child = posternCommand(["tail", "--since", "0", "--dir", daemon.directory]).spawn();
  const lines = new LinesOf(child);
  await lines.next();
  await daemon.stop();
  assertEquals(await lines.next(), null);
  assertEquals((await child.status).code, 1);
  assert((await new Response(child.stderr).text()).includes("the daemon"));
  await daemon.start();
});

Deno.test("tail ends quietly when its reader has enough", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(20_000);
  const child = posternCommand(["tail", "--since", "0", "--dir", daemon.directory]).spawn();
  const lines = new LinesOf(child);
  assert((await lines.next())?.startsWith("1  "));
  await lines.hangUp();
  // It writes on into the closed pipe, and finds out.
  const { code } = await child.status;
  assertEquals(code, 0);
  assertEquals(await new Response(child.stderr).text(), "");
});

Deno.test("send --stdin stores every line in order, blank ones apart", async () => {
  await using daemon = await startTestDaemon();
  const stdin = Array.from({ length: 3000 }, (_, n) => `{"payload":${n}}\n`).join("\n") +
    '{"kind":"query"}';
  const args = ["send", "--stdin", "--topic", "in.x", "--dir", daemon.directory];
  const { code, stdout, stderr } = await postern(args, { stdin });
  assertEquals([code, stdout, stderr], [0, "3001 sent as 1 to 3001\n", ""]);
  const last = await json(daemon, "call", "event.read", '{"after":2999}');
  const events = last.events as { envelope: Record<string, unknown> }[];
  assertEquals(events.map(({ envelope }) => [envelope.kind, envelope.topic, envelope.payload]), [
    ["notify", "in.x", 2999],
    ["query", "in.x", null],
  ]);
});

Deno.test("send --stdin names each line that is not stored, and stores the others", async () => {
  await using daemon = await startTestDaemon();
  const stdin = [
    '{"payload":1}',
    "",
    "{oops",
    '{"payload":2,"colour":"red"}',
    '{"kind":"nonsense"}',
    `{"payload":"${"x".repeat(1_200_000)}"}`,
    '{"payload":3}',
    '{"topic":"turn.x"}',
  ].join("\n");
  const args = ["send", "--stdin", "--dir", daemon.directory];
  const text = await postern(args, { stdin });
  assertEquals([text.code, text.stdout], [1, "2 sent as 1 to 2, 5 not stored\n"]);
  const named = text.stderr.trimEnd().split("\n").map((line) =>
    line.match(/^postern: line (\d+):/)?.[1]
  );
  assertEquals(named.sort(), ["3", "4", "5", "6", "8"]);
  const forPrograms = await postern([...args, "--json"], { stdin });
  const lines = jsonLines(forPrograms.stdout);
  const summary = lines.pop();
  assertEquals([summary?.sent, summary?.refused, summary?.unknown], [2, 5, 0]);
  const stored = lines.filter((line) => "seq" in line).map(({ line, seq }) => [line, seq]);
  assertEquals(stored, [[1, 3], [7, 4]]);
  const refused = lines.filter((line) => "error" in line).map(({ line }) => line as number);
  assertEquals(refused.sort(), [3, 4, 5, 6, 8]);
});

Deno.test("send --stdin names the first ten bad lines and counts the others", async () => {
  await using daemon = await startTestDaemon();
  const args = ["send", "--stdin", "--dir", daemon.directory];
  const bad = await postern(args, { stdin: "{oops\n".repeat(3000) });
  assertEquals([bad.code, bad.stdout], [1, "0 sent, 3000 not stored\n"]);
  const said = bad.stderr.trimEnd().split("\n");
  assertEquals(said.length, 11);
  assert(said[0]!.startsWith("postern: line 1: "), bad.stderr);
  assert(said[10]!.startsWith("postern: and 2990 more lines like these"), bad.stderr);
  const ten = await postern(args, { stdin: "{oops\n".repeat(10) });
  assertEquals(ten.stderr.trimEnd().split("\n").length, 10);
});

for (
  const [args, meant] of [
    [["send", "notfy", "1"], "notify"],
    [["send", "--stdin", "qery"], "query"],
    [["inbox", "--kind", "query,notfy"], "notify"],
    [["tail", "--kind", "resutl"], "result"],
  ] as [string[], string][]
) {
  Deno.test(`postern ${args.join(" ")} asks whether ${meant} was meant`, async () => {
    await using daemon = await startTestDaemon();
    const { code, stderr } = await postern([...args, "--dir", daemon.directory], {
      stdin: '{"payload":1}\n',
    });
    assertEquals(code, 1);
    assert(stderr.includes(`did you mean ${meant}?`), stderr);
  });
}

Deno.test("a refusal for another reason asks about no kind", async () => {
  await using daemon = await startTestDaemon();
  const { stderr } = await run(daemon, "send", "notify", "1", "--topic", "turn.x");
  assert(!stderr.includes("did you mean"), stderr);
});

Deno.test("short flags do what the long ones do", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  assertEquals(await json(daemon, "inbox", "-n", "2"), await json(daemon, "inbox", "--limit", "2"));
  assertEquals(await json(daemon, "inbox", "-n2"), await json(daemon, "inbox", "--limit=2"));
  assertEquals((await postern(["-V"])).stdout, (await postern(["--version"])).stdout);
  for (const args of [["tail", "-f"], ["tail", "--follow"]]) {
    const child = posternCommand([...args, "--since", "2", "--dir", daemon.directory]).spawn();
    const lines = new LinesOf(child);
    assert((await lines.next())?.startsWith("3  "));
    child.kill("SIGINT");
    assertEquals((await child.status).code, 0);
    await lines.hangUp();
    await child.stderr.cancel();
  }
});

Deno.test("send --file does the same from a file", async () => {
  await using daemon = await startTestDaemon();
  const path = `${daemon.directory}/lines.ndjson`;
  Deno.writeTextFileSync(path, '{"payload":1}\n{"payload":2}\n');
  const { code, stdout } = await run(daemon, "send", "--file", path, "query");
  assertEquals([code, stdout], [0, "2 sent as 1 to 2\n"]);
});

Deno.test("when the daemon goes, send --stdin ends at once and accounts for every line it read", async () => {
  await using daemon = await startTestDaemon();
  const args = ["send", "--stdin", "--json", "--dir", daemon.directory];
  const child = posternCommand(args, { piped: true }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode('{"payload":1}\n'));
  const lines = new LinesOf(child);
  assertEquals(JSON.parse(await lines.next() ?? "").seq, 1);
  await daemon.stop();
  // Its stdin stays open: it must not wait for more.
  const summaryOrLine = JSON.parse(await lines.next() ?? "");
  assertEquals([summaryOrLine.sent, summaryOrLine.unread_from], [1, 2]);
  assertEquals((await child.status).code, 1);
  await writer.close().catch(() => {});
  await lines.hangUp();
  await child.stderr.cancel();
  await daemon.start();
});

Deno.test("a daemon of another version is pointed out by version, status and start", async () => {
  await using daemon = new FakeDaemon(
    polite(({ cmd, req_id }) =>
      line({
        ok: true,
        req_id,
        ...(/whoami$/.test(String(cmd)) ? { version: "0.0.1" } : { uptime_secs: 1 }),
      })
    ),
  );
  Deno.writeTextFileSync(`${daemon.directory}/daemon.json`, '{"version":"0.0.1"}');
  for (const command of ["version", "status", "start"]) {
    const { code, stdout, stderr } = await postern([command, "--dir", daemon.directory]);
    assertEquals(code, 0);
    assert(stdout.includes("0.0.1"), stdout);
    assert(`${stdout}${stderr}`.includes("postern restart"), command);
  }
});

Deno.test("start waits for a daemon that is slow, and starts no second one", async () => {
  await using daemon = new FakeDaemon(() => "");
  const { code, stderr } = await postern(["start", "--timeout", "1", "--dir", daemon.directory]);
  assertEquals(code, 1);
  assert(stderr.includes("may still"), stderr);
  assertEquals([...Deno.readDirSync(daemon.directory)].map(({ name }) => name), ["postern.sock"]);
});
