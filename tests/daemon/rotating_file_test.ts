/** A file that loses its name, and rotation that is refused: what is left behind, when it is tried again, and what is on disk in which order. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path/posix";
import { RotatingFile, type RotatingFileOptions } from "../../src/daemon/rotating_file.ts";
import { failing, fileCalls } from "../support/file_calls.ts";
import { TestDirectory } from "../support/process.ts";
import { canMount, SMALL_DISK_BYTES, SmallDisk } from "../support/small_disk.ts";

const needsRoot = canMount ? "" : " [needs root]";
const MEBIBYTE = 1024 * 1024;
/** Longer than the pause after a rotation that failed. */
const PAUSE_MS = 60_000;

class Rotated implements Disposable {
  nowMs = 0;
  readonly file: RotatingFile;
  readonly path: string;

  constructor(directory: string, options: Partial<RotatingFileOptions>) {
    this.path = join(directory, "lines");
    this.file = new RotatingFile(this.path, {
      uid: Deno.uid(),
      maxBytes: 4096,
      files: 2,
      now: () => this.nowMs,
      ...options,
    });
  }

  get text(): string {
    return Deno.readTextFileSync(this.path);
  }

  get names(): string[] {
    return [...Deno.readDirSync(dirname(this.path))].map(({ name }) => name).sort();
  }

  [Symbol.dispose](): void {
    this.file.close();
  }
}

Deno.test("half a line that a crash left is ended, and swallows no other", async () => {
  await using directory = new TestDirectory();
  const path = directory.at("lines");
  for (const [before, after] of [["", "one\n"], ["whole\n", "whole\none\n"], ["ha", "ha\none\n"]]) {
    Deno.writeTextFileSync(path, before!, { mode: 0o600 });
    using test = new Rotated(directory.path, {});
    test.file.append("one\n");
    assertEquals(test.text, after);
  }
});

for (const isShared of [true, false]) {
  const way = isShared ? "copied" : "renamed";

  Deno.test(`lines that cannot be written are counted and told after a pause, in a file that is ${way}`, async () => {
    await using directory = new TestDirectory();
    using test = new Rotated(directory.path, { isShared });
    Deno.mkdirSync(`${test.path}.1/in`, { recursive: true });
    for (let index = 0; index < 200; index++) test.file.append(`${index} ${"x".repeat(50)}\n`);
    assertEquals(test.names, ["lines", "lines.1"], "no copy is left behind");
    const full = test.text;
    Deno.removeSync(`${test.path}.1`, { recursive: true });
    test.file.append("too early\n");
    assertEquals(test.text, full);
    test.nowMs += PAUSE_MS;
    test.file.append("after\n");
    assertMatch(test.text, /lines could not be written count=\d+\nafter\n$/);
    assertEquals(Deno.readTextFileSync(`${test.path}.1`), full);
    const lost = Number(/count=(\d+)/.exec(test.text)![1]);
    assertEquals(full.split("\n").length - 1 + lost, 201);
  });
}

/** What the files hold, by their names. */
function textsOf(test: Rotated): Record<string, string> {
  const read = (name: string) => Deno.readTextFileSync(join(dirname(test.path), name));
  return Object.fromEntries(test.names.map((name) => [name, read(name)]));
}

for (const isShared of [true, false]) {
  const way = isShared ? "copied" : "renamed";

  for (const loss of ["removed", "moved away", "replaced"]) {
    Deno.test(`a file that is ${loss} is made anew, and nothing that is numbered goes, in one that is ${way}`, async () => {
      await using directory = new TestDirectory();
      let told = 0;
      using test = new Rotated(directory.path, {
        isShared,
        files: 3,
        maxBytes: 100,
        onReplaced: () => told++,
      });
      for (const letter of "abc") test.file.append(letter.repeat(80) + "\n");
      const before = textsOf(test);
      assertEquals(Object.keys(before), ["lines", "lines.1", "lines.2"]);
      if (loss === "removed") Deno.removeSync(test.path);
      else Deno.renameSync(test.path, directory.beside("moved"));
      if (loss === "replaced") Deno.writeTextFileSync(test.path, "another\n", { mode: 0o600 });
      // As large as a line that would have the file rotated.
      test.file.append("d".repeat(80) + "\n");
      const start = loss === "replaced" ? "another\n" : "";
      assertEquals(textsOf(test), { ...before, lines: start + "d".repeat(80) + "\n" });
      assertEquals([told, test.file.failure], [1, undefined]);
      test.file.append("e".repeat(80) + "\n");
      assertEquals(textsOf(test), {
        "lines.2": before["lines.1"]!,
        "lines.1": start + "d".repeat(80) + "\n",
        lines: "e".repeat(80) + "\n",
      });
    });
  }

  for (const step of isShared ? ["sync directory", "truncate"] : ["rename lines"]) {
    Deno.test(`a rotation that fails at its last step (${step}) is undone, in a file that is ${way}`, async () => {
      await using directory = new TestDirectory();
      using test = new Rotated(directory.path, { isShared, files: 3, maxBytes: 100 });
      for (const letter of "abc") test.file.append(letter.repeat(80) + "\n");
      const before = textsOf(test);
      for (let tries = 1; tries <= 4; tries++) {
        const calls = failing(step, () => test.file.append("lost\n".repeat(10)));
        assert(calls.some((call) => call === step), `${step} was not come to: ${calls}`);
        assertEquals(textsOf(test), before);
        assertMatch(String(test.file.failure), /refused by the test/);
        test.nowMs += PAUSE_MS;
      }
      test.file.tellLost();
      const { lines, ...numbered } = textsOf(test);
      assertMatch(lines!, /could not be written count=4\n$/);
      const moved = { "lines.1": before.lines!, "lines.2": before["lines.1"]! };
      assertEquals([numbered, test.file.failure], [moved, undefined]);
    });
  }
}

Deno.test({
  name: `a copy that the disk has no room for leaves the disk as it was${needsRoot}`,
  ignore: !canMount,
  async fn() {
    await using disk = await SmallDisk.mount();
    Deno.mkdirSync(disk.directory);
    using test = new Rotated(disk.directory, { isShared: true, maxBytes: SMALL_DISK_BYTES });
    for (let written = 0; written < 4; written++) test.file.append("x".repeat(MEBIBYTE) + "\n");
    disk.fill();
    test.file.configure({ maxBytes: 4 * MEBIBYTE, files: 2 });
    for (let lost = 0; lost < 3; lost++) test.file.append("lost\n");
    assertEquals(test.names, ["lines"]);
    disk.free();
    test.file.append("lost\n");
    assertEquals(test.names, ["lines"], "not tried again at once");
    test.nowMs += PAUSE_MS;
    test.file.append("kept\n");
    assertEquals(test.names, ["lines", "lines.1"]);
    assertStringIncludes(test.text, "count=4\nkept\n");
  },
});

Deno.test({
  name: `a file of its own is rotated without room for a copy${needsRoot}`,
  ignore: !canMount,
  async fn() {
    await using disk = await SmallDisk.mount();
    Deno.mkdirSync(disk.directory);
    using test = new Rotated(disk.directory, { maxBytes: 4 * MEBIBYTE });
    for (let written = 0; written < 4; written++) {
      test.file.append("x".repeat(MEBIBYTE - 1) + "\n");
    }
    disk.fill();
    test.file.append("kept\n");
    assertEquals([test.text, test.names], ["kept\n", ["lines", "lines.1"]]);
  },
});

Deno.test("a copy and its name are on disk before the file is emptied", async () => {
  await using directory = new TestDirectory();
  using test = new Rotated(directory.path, { isShared: true });
  test.file.append("x".repeat(4000) + "\n");
  const calls = fileCalls(() => test.file.append("y".repeat(4000) + "\n"));
  const steps = ["truncate", "sync file", "rename lines.1", "sync directory", "truncate"];
  assertEquals(calls.filter((call) => !call.startsWith("write")), steps);
  assert(test.names.includes("lines.1"));
});
