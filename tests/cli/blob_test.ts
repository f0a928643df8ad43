/** `postern blob` puts a file into a daemon and gets it back. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path/posix";
import { command } from "../../src/cli/commands/blob.ts";
import { UsageError } from "../../src/cli/exit_codes.ts";
import { Output } from "../../src/cli/output.ts";
import { Values } from "../../src/cli/values.ts";
import { postern } from "../support/cli.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

const TEXT = "line\u0000\u00ff\n";
const HASH = /^[0-9a-f]{64}$/;

function run(daemon: TestDaemon, args: string[], stdin?: string) {
  return postern(["blob", ...args, "--dir", daemon.directory], { stdin });
}

Deno.test("blob put prints the hash, and get brings the content to stdout or a file", async () => {
  await using daemon = await startTestDaemon();
  const source = join(daemon.directory, "source.bin");
  Deno.writeTextFileSync(source, TEXT);
  const put = await run(daemon, ["put", source]);
  const hash = put.stdout.trimEnd();
  assertEquals([put.code, HASH.test(hash)], [0, true], put.stderr);
  assertEquals((await run(daemon, ["put", "-"], TEXT)).stdout, put.stdout);
  assertEquals((await run(daemon, ["get", hash])).stdout, TEXT);
  const target = join(daemon.directory, "target.bin");
  const got = await run(daemon, ["get", hash, "-o", target]);
  assertEquals([got.code, got.stdout], [0, ""]);
  assertEquals(Deno.readTextFileSync(target), TEXT);
  const bytes = new TextEncoder().encode(TEXT).length;
  const json = await run(daemon, ["put", source, "--json"]);
  assertEquals(JSON.parse(json.stdout), { blob: { hash, bytes, url: `/blobs/${hash}` } });
  const saved = await run(daemon, ["get", hash, "-o", target, "--json"]);
  assertEquals(JSON.parse(saved.stdout), { hash, bytes, file: target });
});

Deno.test("a blob that is not there leaves no file, and one that is too large is refused", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { blob_bytes: 3 } } });
  const target = join(daemon.directory, "target.bin");
  const missing = await run(daemon, ["get", "0".repeat(64), "-o", target]);
  assertEquals(missing.code, 1);
  assertMatch(missing.stderr, /there is no blob of that hash/);
  const large = await run(daemon, ["put", "-"], "four");
  assertEquals(large.code, 1);
  assertMatch(large.stderr, /at most 3 bytes \(limits\.blob_bytes\)/);
  const left = [...Deno.readDirSync(daemon.directory)].map(({ name }) => name);
  assert(!left.some((name) => name.startsWith("target")), `${left}`);
});

Deno.test("a blob whose content is not what its hash says fails and leaves no file", async () => {
  await using daemon = await startTestDaemon();
  const hash = (await run(daemon, ["put", "-"], "good")).stdout.trimEnd();
  Deno.writeTextFileSync(join(daemon.directory, "blobs", hash), "evil");
  const target = join(daemon.directory, "target.bin");
  const { code, stderr } = await run(daemon, ["get", hash, "-o", target]);
  assertEquals(code, 1);
  assertMatch(stderr, /what came is not what has the hash/);
  assert(![...Deno.readDirSync(daemon.directory)].some(({ name }) => name.startsWith("target")));
});

Deno.test("blob get leaves every other file alone, whether it succeeds or not", async () => {
  await using daemon = await startTestDaemon();
  const hash = (await run(daemon, ["put", "-"], "good")).stdout.trimEnd();
  const target = join(daemon.directory, "target.bin");
  Deno.writeTextFileSync(`${target}.part`, "somebody's");
  const names = () =>
    [...Deno.readDirSync(daemon.directory)].map(({ name }) => name)
      .filter((name) => name.startsWith("target")).sort();
  assertEquals((await run(daemon, ["get", hash, "-o", target])).code, 0);
  assertEquals(names(), ["target.bin", "target.bin.part"]);
  Deno.writeTextFileSync(join(daemon.directory, "blobs", hash), "evil");
  assertEquals((await run(daemon, ["get", hash, "-o", target])).code, 1);
  assertEquals(names(), ["target.bin", "target.bin.part"]);
  assertEquals(Deno.readTextFileSync(`${target}.part`), "somebody's");
  assertEquals(Deno.readTextFileSync(target), "good");
});

Deno.test("wrong uses of blob are usage errors that name the rule", async () => {
  await using daemon = await startTestDaemon();
  const wrong: [string[], RegExp][] = [
    [["take", "x"], /put or get/],
    [["get", "abc"], /64 hex digits/],
    [["put", "-", "-o", "x"], /--output goes with get/],
    [["get", "0".repeat(64), "--json"], /--json needs --output/],
    [["put", daemon.directory], /no regular file/],
  ];
  for (const [args, rule] of wrong) {
    const { code, stderr } = await run(daemon, args);
    assertEquals(code, 2, stderr);
    assertMatch(stderr, rule);
  }
});

Deno.test("blob get writes no binary to a terminal", async () => {
  const sink = { write: (bytes: Uint8Array) => Promise.resolve(bytes.length) };
  const terminal = { ...sink, isTerminal: () => true };
  const out = new Output(terminal, terminal);
  const context = { args: ["get", "0".repeat(64)], values: new Values({}), out };
  const error = await command.run(context).catch((error) => error);
  assert(error instanceof UsageError && /terminal/.test(error.message), `${error}`);
});

Deno.test("blob says so where the daemon serves no HTTP, and where there is none", async () => {
  await using daemon = await startTestDaemon({ config: { http: { enabled: false } } });
  const off = await run(daemon, ["put", "-"], "x");
  assertEquals(off.code, 1);
  assertMatch(off.stderr, /serves no HTTP here/);
  const none = await postern(["blob", "put", "-", "--dir", "/nowhere/at/all"], { stdin: "x" });
  assertEquals(none.code, 3, none.stderr);
});
