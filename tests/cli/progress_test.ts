/** The progress of a long `send`: on a terminal only, after a while only, and gone in the end. */

import { assert, assertEquals } from "@std/assert";
import { Output, type Sink } from "../../src/cli/output.ts";
import { bytesOf, progressLine, withProgress } from "../../src/cli/progress.ts";

/** Collects what is written, as a terminal or as a pipe. */
class Written implements Sink {
  text = "";
  readonly #terminal: boolean;

  constructor(terminal: boolean) {
    this.#terminal = terminal;
  }

  write(bytes: Uint8Array): Promise<number> {
    this.text += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  }

  isTerminal(): boolean {
    return this.#terminal;
  }
}

/** Reads ten pieces, one every 300 ms of a clock made here, and returns the terminal's text. */
async function watch(out: Output, total: number | null): Promise<void> {
  let now = 0;
  const input = ReadableStream.from(Array.from({ length: 10 }, () => new Uint8Array(10)));
  const told = withProgress(input, { out, total, sent: () => 7, now: () => now });
  let length = 0;
  for await (const chunk of told) {
    length += chunk.length;
    now += 300;
  }
  assertEquals(length, 100);
}

Deno.test("a bar appears on a terminal after a second, and makes room for what is said", async () => {
  const [stdout, stderr] = [new Written(true), new Written(true)];
  const out = new Output(stdout, stderr, true);
  await watch(out, 100);
  const drawn = stderr.text.split("\r\x1b[K").filter(Boolean);
  assert(drawn.length >= 5 && drawn.length <= 7, stderr.text);
  assert(/^\[#+\.*\] \d+ %, 7 sent, \d+ a second, .* left$/.test(drawn[0]!), drawn[0]);
  stderr.text = "";
  await out.note("a word");
  await out.line("a result");
  assertEquals([stderr.text, stdout.text], ["\r\x1b[Ka word\n", "a result\n"]);
});

Deno.test("in a pipe, and with --json, nothing of it is written", async () => {
  const pipe = new Written(false);
  await watch(new Output(pipe, pipe, true), 100);
  const terminal = new Written(true);
  const out = new Output(new Written(false), terminal, true);
  out.json = true;
  await watch(out, 100);
  assertEquals([pipe.text, terminal.text], ["", ""]);
});

Deno.test("without a known length there is no bar, and no share beyond all of it", () => {
  const facts = { sent: 3000, ms: 61_000 };
  assertEquals(
    progressLine({ ...facts, read: 5, total: null }),
    "3000 sent, 49 a second, 1 min 1 s",
  );
  const full = `[${"#".repeat(24)}] 100 %, 3000 sent, 49 a second, 0 s left`;
  assertEquals(progressLine({ ...facts, read: 12, total: 10 }), full);
});

Deno.test("the length of a file is known, that of anything else is not", () => {
  const path = Deno.makeTempFileSync();
  Deno.writeTextFileSync(path, "12345");
  assertEquals([bytesOf(path), bytesOf("/dev/null"), bytesOf("/nowhere/x")], [5, null, null]);
  Deno.removeSync(path);
});
