/** What `run` is made of: pieces of output, groups of processes, the command line of the one that runs programs. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Client, type ErrorCode, PosternError } from "../../src/client/mod.ts";
import { controlBy, type EndingSignal, ProgramGroups } from "../../src/cli/runner/control.ts";
import { MAX_PIECE_CHARS, OutputPieces } from "../../src/cli/runner/output_pieces.ts";
import { findProgram, isThere } from "../../src/cli/runner/program.ts";
import { TurnTeller } from "../../src/cli/runner/turn_teller.ts";
import { runnerCommand } from "../../src/client/spawn_runner.ts";

/** All pieces of output that comes in chunks of this size. */
function pieces(bytes: Uint8Array, chunk: number): string[] {
  const output = new OutputPieces();
  const all: string[] = [];
  for (let at = 0; at < bytes.length; at += chunk) {
    all.push(...output.push(bytes.subarray(at, at + chunk)));
  }
  return [...all, ...output.end()];
}

Deno.test("output is cut into lines whatever the chunks, and long lines into pieces that fit an emit", () => {
  const text = `one\n\n${"\u{1f600}".repeat(9000)}\ntwo\r\n${"x".repeat(MAX_PIECE_CHARS)}`;
  const bytes = new TextEncoder().encode(text);
  for (const chunk of [1, 7, 4096, bytes.length]) {
    const found = pieces(bytes, chunk);
    assertEquals(found.join(""), text);
    assertEquals(found.slice(0, 2), ["one\n", "\n"]);
    assert(found.every((piece) => piece.length <= MAX_PIECE_CHARS));
    assert(found.every((piece) => piece.isWellFormed()));
  }
});

Deno.test("the largest piece there can be fits 48 KiB as JSON", () => {
  const [piece = ""] = pieces(new Uint8Array(20_000).fill(1), 20_000);
  assertEquals(piece.length, MAX_PIECE_CHARS);
  assert(JSON.stringify({ text: piece }).length <= 48 * 1024);
});

Deno.test("only groups that were told of are signalled, and those left are ended", () => {
  const signalled: [number, EndingSignal][] = [];
  const groups = new ProgramGroups((pid, signal) => signalled.push([pid, signal]));
  const tell = controlBy((line) => groups.take(line.trimEnd()));
  tell.started(100);
  tell.started(200);
  tell.signal(100, "SIGTERM");
  tell.signal(300, "SIGTERM");
  tell.ended(100);
  tell.signal(100, "SIGKILL");
  for (const line of ["started 1", "SIGKILL 1", "started -5", "nonsense", "SIGHUP 200", ""]) {
    groups.take(line);
  }
  assertEquals(signalled, [[-100, "SIGTERM"]]);
  groups.endAll();
  assertEquals(signalled, [[-100, "SIGTERM"], [-200, "SIGKILL"]]);
});

Deno.test("a control that nobody reads says so", () => {
  const control = controlBy(() => {
    throw new Deno.errors.BrokenPipe();
  });
  control.started(100);
  assertEquals(control.signal(100, "SIGTERM"), false);
});

/** A client that refuses what it is asked with these codes, one after the other, and then nothing. */
function refusing(...codes: ErrorCode[]): { client: Client; told: unknown[] } {
  const told: unknown[] = [];
  const call = (_operation: string, { type, data }: { type: string; data: unknown }) => {
    const code = codes.shift();
    told.push([type, data, code ?? "ok"]);
    return code === undefined ? Promise.resolve({}) : Promise.reject(new PosternError(code, code));
  };
  return { client: { call, closed: new Promise(() => {}) } as unknown as Client, told };
}

Deno.test("the end of a turn is told until it is taken, or until there is nothing to end", async () => {
  const passing = refusing("storage_full");
  await new TurnTeller(passing.client, "t").end(null);
  assertEquals(passing.told, [["completed", undefined, "storage_full"], [
    "completed",
    undefined,
    "ok",
  ]]);
  const over = refusing("conflict");
  await new TurnTeller(over.client, "t").end(null);
  assertEquals(over.told.length, 1);
});

Deno.test("a turn of which a piece was refused does not complete", async () => {
  const { client, told } = refusing("storage_full");
  const teller = new TurnTeller(client, "t");
  await teller.delta("x");
  await teller.end(null);
  const reason = "its output could not be told: storage_full";
  assertEquals(told, [["delta", { text: "x" }, "storage_full"], ["failed", { reason }, "ok"]]);
  await assertRejects(() => teller.delta("y"), PosternError, "storage_full");
});

const WANTED = {
  directory: "/x/d",
  socketPath: "/x/d/postern.sock",
  tokenPath: "/x/d/ipc-token",
  program: "/bin/cat",
  args: ["run-turns"],
};
const ENVIRONMENT = { PATH: "/bin", LD_PRELOAD: "/x.so", DYLD_LIBRARY_PATH: "/y", OWN: "1" };

Deno.test("the process that runs programs has the rights of a client, and that of running one", () => {
  const runtime = { standalone: false, execPath: "/x/deno", root: "/x/program" };
  const { path, args, env } = runnerCommand(WANTED, runtime, ENVIRONMENT);
  assertEquals([path, ...args.slice(-2)], ["/x/deno", "/x/program/main.ts", "run-turns"]);
  const rights = args.filter((arg) => arg.startsWith("--allow") && !arg.startsWith("--allow-env"));
  assertEquals(rights, [
    "--allow-net=unix:/x/d/postern.sock,unix:/x/d/http.sock",
    "--allow-read=/x/d,/x/d/ipc-token,/x/program",
    "--allow-write=/x/d/clients,/x/d/postern.sock,/x/d/http.sock",
    "--allow-sys=uid",
    "--allow-run=/bin/cat",
  ]);
  assertEquals(env, { PATH: "/bin", OWN: "1" });
});

Deno.test("the binary runs itself, with all of the environment", () => {
  const runtime = { standalone: true, execPath: "/x/postern", root: "" };
  assertEquals(runnerCommand(WANTED, runtime, ENVIRONMENT), {
    path: "/x/postern",
    args: ["run-turns"],
    env: ENVIRONMENT,
  });
});

Deno.test("a program is found by PATH, or by its path; what cannot be run is none", () => {
  const place = Deno.makeTempDirSync({ prefix: "postern_" });
  try {
    Deno.mkdirSync(`${place}/bin`);
    Deno.mkdirSync(`${place}/bin/folder`);
    Deno.writeTextFileSync(`${place}/bin/tool`, "", { mode: 0o700 });
    Deno.writeTextFileSync(`${place}/bin/text`, "", { mode: 0o600 });
    const find = (name: string) => findProgram(name, `:/nowhere:${place}/bin`, place);
    assertEquals(find("tool"), `${place}/bin/tool`);
    assertEquals(find("./bin/tool"), `${place}/bin/tool`);
    assertEquals(findProgram("tool", "bin", place), `${place}/bin/tool`);
    assertEquals(find(`${place}/bin/tool`), `${place}/bin/tool`);
    for (const none of ["text", "folder", "bin/none", "nothing"]) assertEquals(find(none), null);
    const isFound = (name: string) => isThere(name, `:/nowhere:${place}/bin`, place);
    for (const there of ["text", "./bin/text", "./bin", "bin/text/below"]) assert(isFound(there));
    for (const none of ["folder", "bin/none", "nothing"]) assert(!isFound(none));
  } finally {
    Deno.removeSync(place, { recursive: true });
  }
});
