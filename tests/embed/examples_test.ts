/** The programs of docs/examples do what their pages say, run as a person runs them. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path/posix";
import { Stage } from "./stage.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
/** A program that hangs is ended after this; none takes a tenth of it. */
const LIMIT_MS = 60_000;
const MAX_CLIENT_LINES = 60;

function programOf(example: string): string {
  return join(ROOT, "docs", "examples", `remote-access-${example}`, "main.ts");
}

function command(example: string, args: readonly string[], env: Record<string, string> = {}) {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--no-remote", programOf(example), ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(LIMIT_MS),
  });
}

async function run(example: string, args: readonly string[], env?: Record<string, string>) {
  const { code, stdout, stderr } = await command(example, args, env).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("docs/examples: the client reads and watches what the basic program publishes", async () => {
  await using stage = new Stage();
  const { socketPath } = stage;
  await using program = command("basic", [socketPath]).spawn();
  const said = await firstLine(program.stdout);
  assertEquals(said, `publishing on ${socketPath}; Ctrl-C ends it`);
  const { code, stdout, stderr } = await run("client", [socketPath, "SensorData", "2"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const reading = String.raw`\{"celsius":[\d.]+,"humidity":0\.4\}`;
  assertMatch(
    stdout,
    new RegExp(
      String.raw`^postern/\S+ grants read, subscribe\n` +
        `record SensorData: single_latest of 1\nrecord UserEvents: spmc_ring of 10\n` +
        String.raw`record aimx\.metrics: single_latest of 1\n` +
        String.raw`SensorData is ${reading}\n(update ${reading} *\n){2}$`,
    ),
  );
  program.kill("SIGTERM");
  const [errors, status] = await Promise.all([program.stderr.text(), program.status]);
  assertEquals({ errors, code: status.code }, { errors: "", code: 0 });
  assertEquals([...Deno.readDirSync(stage.directory)], []);
});

Deno.test("docs/examples: the client ends with the reason where nobody listens", async () => {
  await using stage = new Stage();
  const { code, stderr } = await run("client", [stage.socketPath]);
  assertEquals(code, 1);
  assertMatch(stderr, /NotFound/);
});

Deno.test("docs/examples: the client is shorter than it is said to be", async () => {
  const { length } = (await Deno.readTextFile(programOf("client"))).trimEnd().split("\n");
  assert(length < MAX_CLIENT_LINES, `it has ${length} lines`);
});

Deno.test("docs/examples: the secure program refuses one client and takes a setting from another", async () => {
  const page = await Deno.readTextFile(join(programOf("secure"), "..", "README.md"));
  const [, shown] = /```text\n(.*?)```/s.exec(page) ?? [];
  const { code, stdout, stderr } = await run("secure", [], { AIMX_TOKEN: "the token" });
  assertEquals({ code, stderr, stdout }, { code: 0, stderr: "", stdout: shown });
});

async function firstLine(stdout: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  // The rest is read as well, so that the program never writes into a closed pipe.
  const [first, rest] = stdout.tee();
  void rest.pipeTo(new WritableStream()).catch(() => {});
  for await (const part of first.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.includes("\n")) break;
  }
  return text.split("\n", 1)[0]!;
}
