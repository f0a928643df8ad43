/** The programs of docs/clients.md do what the page says, against a real daemon, where their tools are installed. */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import type { TestDaemon } from "../support/in_process.ts";
import { startProcess, TestDirectory } from "../support/process.ts";
import { AwkwardSocket } from "./awkward_socket.ts";
import { missingTools, type Program, readPrograms, runProgram } from "./programs.ts";

const MAX_LINES = 40;
const MAX_LIBRARY_LINES = 20;
/** Characters of one to four bytes, and two at which some line readers end a line. */
const AWKWARD_TEXT = 'a\u00fc\u20ac\u{1f600} \u2028 \u0085 \\ " %s $HOME';

const programs = readPrograms();
const talkers = programs.filter(({ name }) => name.startsWith("postern_client."));

Deno.test("docs/clients.md prints programs for Python, Node, the shell and TypeScript", () => {
  assertEquals(programs.map(({ name }) => name), [
    "postern_client.py",
    "postern_client.mjs",
    "postern_client.sh",
    "hundred_thousand.ts",
  ]);
});

Deno.test("no program of docs/clients.md is longer than it is said to be", () => {
  for (const { name, lines } of programs) {
    const limit = name.endsWith(".ts") ? MAX_LIBRARY_LINES : MAX_LINES;
    assert(lines <= limit, `${name} has ${lines} lines, at most ${limit} are allowed`);
  }
});

for (const program of talkers) {
  testOf(program, "finds a daemon, sends, prints what came and acks it", async () => {
    await using directory = new TestDirectory();
    await using _daemon = await startProcess(directory.path).ready();
    const first = await runProgram(program, directory.path, ["one", "two words"]);
    assertEquals(first, {
      code: 0,
      stdout: printed(first.stdout, 1, ["one", "two words"]),
      stderr: "",
    });
    const second = await runProgram(program, directory.path);
    assertEquals(second, { code: 0, stdout: printed(second.stdout, 3, ["hello"]), stderr: "" });
  });

  testOf(program, "prints what waited for it, in order, and acks all of it", async () => {
    await using daemon = await startTestDaemon();
    await daemon.fill(120, { topic: "chat.other" });
    await using socket = awkward(daemon);
    const { code, stdout } = await runProgram(program, socket.directory, ["mine"]);
    assertEquals(code, 0);
    const seqs = stdout.trimEnd().split("\n").map((line) => Number(line.split(" ")[0]));
    assertEquals(seqs, Array.from({ length: 121 }, (_, i) => i + 1));
    assertEquals(await cursors(daemon), [121]);
  });

  testOf(program, "puts lines together that come byte by byte", async () => {
    await using daemon = await startTestDaemon();
    await using socket = awkward(daemon);
    const { code, stdout, stderr } = await runProgram(program, socket.directory, [AWKWARD_TEXT]);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const [, payload = ""] = /^1 chat\.\w+ (.*)\n$/su.exec(stdout) ?? [];
    assertEquals(JSON.parse(payload), AWKWARD_TEXT);
  });

  testOf(program, "tells of a gap", async () => {
    await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 2 } } });
    await daemon.fill(5, { topic: "chat.other" });
    await using socket = awkward(daemon);
    const { code, stderr } = await runProgram(program, socket.directory);
    assertEquals(code, 0);
    const [, gap = ""] = /^lost to retention: (.*)$/m.exec(stderr) ?? [];
    assertEquals(JSON.parse(gap), { from_seq: 1, to_seq: 3 });
  });

  testOf(program, "ends with the reason when it is refused", async () => {
    await using daemon = await startTestDaemon();
    await using socket = awkward(daemon, { token: "0".repeat(64) });
    const { code, stdout, stderr } = await runProgram(program, socket.directory);
    assertNotEquals(code, 0);
    assertEquals(stdout, "");
    assertMatch(stderr, /auth_failed: /);
  });

  testOf(
    program,
    "ends with the reason when the daemon goes away in the middle of a line",
    async () => {
      await using daemon = await startTestDaemon();
      await using socket = awkward(daemon, { endsAfter: 30 });
      const { code, stderr } = await runProgram(program, socket.directory);
      assertNotEquals(code, 0);
      assertMatch(stderr, /the daemon hung up/);
    },
  );
}

for (const program of programs.filter(({ name }) => name.endsWith(".ts"))) {
  testOf(program, "publishes 100,000 events and consumes each of them", async () => {
    await using directory = new TestDirectory();
    await using _daemon = await startProcess(directory.path).ready();
    const { code, stdout, stderr } = await runProgram(program, directory.path);
    assertEquals({ code, stdout, stderr }, {
      code: 0,
      stdout: "published 100000, consumed 100000\n",
      stderr: "",
    });
  });
}

/** A test of one program, which is ignored, and says why, where a tool that it needs is missing. */
function testOf(program: Program, what: string, fn: () => Promise<void>): void {
  const missing = missingTools(program);
  const needs = missing.length === 0 ? "" : ` [needs ${missing.join(", ")}]`;
  const name = `docs/clients.md: ${program.name} ${what}${needs}`;
  if (missing.length > 0) console.log(`ignored: ${name}`);
  Deno.test({ name, ignore: missing.length > 0, fn });
}

function awkward(daemon: TestDaemon, options: { token?: string; endsAfter?: number } = {}) {
  return new AwkwardSocket({ socketPath: daemon.socketPath, token: daemon.token, ...options });
}

/** What a program prints of its own messages, on the topic that it really used. */
function printed(stdout: string, firstSeq: number, payloads: string[]): string {
  const topic = /chat\.\w+/.exec(stdout)?.[0];
  return payloads.map((it, i) => `${firstSeq + i} ${topic} ${JSON.stringify(it)}\n`).join("");
}

/** How far each consumer has acknowledged, but for the one that filled the log. */
async function cursors(daemon: TestDaemon): Promise<number[]> {
  using client = await daemon.v2("observer");
  const { consumers } = await client.ask({ cmd: "consumer.list" });
  return consumers
    .filter(({ name }: { name: string }) => ["python", "node", "shell"].includes(name))
    .map(({ acked_seq }: { acked_seq: number }) => acked_seq);
}
