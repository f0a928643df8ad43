/** `logs`: the daemon's own log by the real program, and its reader through rotation. */

import { assert, assertEquals } from "@std/assert";
import { lastLines } from "../../src/cli/log_lines.ts";
import { RotatingFile } from "../../src/daemon/rotating_file.ts";
import { jsonLines, LinesOf, postern, posternCommand } from "../support/cli.ts";

/** A directory with a log that a daemon might write. */
class Place implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "postern_" });
  readonly path = `${this.directory}/log/daemon.log`;
  #next = 1;

  constructor() {
    Deno.mkdirSync(`${this.directory}/log`);
  }

  rotating(maxBytes: number, files: number): RotatingFile {
    return new RotatingFile(this.path, { maxBytes, files, uid: Deno.uid() });
  }

  /** Writes lines called `line 1`, `line 2` and so on. */
  write(file: RotatingFile, count: number): void {
    for (let n = 0; n < count; n++) file.append(`line ${this.#next++}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

function named(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, n) => `line ${from + n}`);
}

Deno.test("logs shows the last lines, and those of the rotated files before them", async () => {
  await using place = new Place();
  using file = place.rotating(100, 4);
  place.write(file, 30);
  const run = async (...args: string[]) =>
    (await postern(["logs", ...args, "--dir", place.directory])).stdout.trimEnd().split("\n");
  assertEquals(await run("--lines", "2"), named(29, 30));
  assertEquals(await run("--lines", "25"), named(6, 30));
  assertEquals(await run("--lines", "0"), [""]);
  assertEquals(lastLines(place.path, 1000).lines.at(-1), "line 30");
});

Deno.test("logs reads the end of a long log without its beginning", async () => {
  await using place = new Place();
  const lines = Array.from({ length: 20_000 }, (_, n) => `line ${n} ${"ä".repeat(20)}`);
  Deno.writeTextFileSync(place.path, `${lines.join("\n")}\nunfinished`);
  for (const count of [1, 7, 3000, 20_000]) {
    assertEquals(lastLines(place.path, count).lines, lines.slice(-count));
  }
});

Deno.test("a follower gets every line once through any number of rotations", async () => {
  await using place = new Place();
  using file = place.rotating(200, 5);
  place.write(file, 3);
  const { lines, follower } = lastLines(place.path, 2);
  const seen = [...lines];
  let last = 3;
  for (let round = 0; round < 60; round++) {
    const count = round % 37;
    place.write(file, count);
    last += count;
    // After a rotation the first look only notes it.
    for (let look = 0; look < 2; look++) seen.push(...[...follower.news()].flat());
  }
  assertEquals(seen, named(2, last));
  assertEquals(follower.missed, false);
});

Deno.test("a follower repeats nothing when it looks between the copy and the emptying", async () => {
  await using place = new Place();
  Deno.writeTextFileSync(place.path, "one\ntwo\n");
  const { follower } = lastLines(place.path, 0);
  Deno.writeTextFileSync(place.path, "three\n", { append: true });
  Deno.copyFileSync(place.path, `${place.path}.1`);
  assertEquals([...follower.news()], []);
  Deno.writeTextFileSync(place.path, "four\n");
  assertEquals([...follower.news()].flat(), ["three", "four"]);
  assertEquals(follower.missed, false);
});

Deno.test("a follower goes on where a log is emptied without a copy, and says that lines may be missing", async () => {
  await using place = new Place();
  Deno.writeTextFileSync(place.path, "one\ntwo\n");
  const { follower } = lastLines(place.path, 0);
  Deno.writeTextFileSync(place.path, "three\n");
  assertEquals([...follower.news()], [["three"]]);
  assertEquals(follower.missed, true);
});

Deno.test("a follower waits for the end of a line", async () => {
  await using place = new Place();
  Deno.writeTextFileSync(place.path, "one\ntw");
  const { lines, follower } = lastLines(place.path, 5);
  assertEquals(lines, ["one"]);
  assertEquals([...follower.news()], []);
  Deno.writeTextFileSync(place.path, "o\n", { append: true });
  assertEquals([...follower.news()], [["two"]]);
});

for (const flag of ["--follow", "-f"]) {
  Deno.test(`logs ${flag} goes on through a rotation until it is interrupted`, async () => {
    await using place = new Place();
    using file = place.rotating(100, 3);
    place.write(file, 1);
    const child = posternCommand(["logs", flag, "--dir", place.directory]).spawn();
    const lines = new LinesOf(child);
    assertEquals(await lines.next(), "line 1");
    for (let n = 2; n < 40; n += 2) {
      place.write(file, 2);
      assertEquals([await lines.next(), await lines.next()], named(n, n + 1));
      if (n > 14) break;
    }
    child.kill("SIGINT");
    assertEquals(await lines.next(), null);
    assertEquals((await child.status).code, 0);
    assertEquals(await new Response(child.stderr).text(), "");
  });
}

Deno.test("logs --json gives the daemon's lines as fields, and any other line as text", async () => {
  await using place = new Place();
  const lines = ["2026-01-02T03:04:05.678Z WARN  late by=3", "a crash said this"];
  Deno.writeTextFileSync(place.path, `${lines.join("\n")}\n`);
  const { stdout } = await postern(["logs", "--json", "--dir", place.directory]);
  assertEquals(jsonLines(stdout), [
    { ts: "2026-01-02T03:04:05.678Z", level: "warn", text: "late by=3" },
    { ts: null, level: null, text: "a crash said this" },
  ]);
});

Deno.test("logs without a log says where it would be", async () => {
  await using place = new Place();
  const { code, stdout, stderr } = await postern(["logs", "--dir", place.directory]);
  assertEquals([code, stdout], [1, ""]);
  assert(stderr.includes(`${place.directory}/log/daemon.log`), stderr);
});
