/** The log: its lines, its level, its rotation. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { defaultConfig } from "../../src/daemon/config.ts";
import { LaunchLog } from "../../src/daemon/launch_log.ts";
import { openLog } from "../../src/daemon/logging.ts";
import { TestDirectory } from "../support/process.ts";

type Settings = ReturnType<typeof defaultConfig>["log"];

async function open(change: Partial<Settings> = {}) {
  const directory = new TestDirectory();
  Deno.mkdirSync(directory.at("log"), { mode: 0o700 });
  const log = await openLog(directory.path, { ...defaultConfig().log, ...change }, Deno.uid());
  return {
    directory,
    log,
    lines: () => directory.log.split("\n").slice(0, -1),
    files: () => [...Deno.readDirSync(directory.at("log"))].map(({ name }) => name).sort(),
    async [Symbol.asyncDispose]() {
      await log.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a line has the time, the level, the message and its fields", async () => {
  await using test = await open();
  test.log.warn("a {brace} stays", { count: 3, path: "/a b", list: ["x"] });
  assertMatch(
    test.lines()[0]!,
    /^\d{4}-\d\d-\d\dT[\d:.]+Z WARN {2}a \{brace\} stays count=3 path="\/a b" list="\[\\"x\\"\]"$/,
  );
});

Deno.test("input with newlines and control characters cannot forge a line", async () => {
  await using test = await open();
  test.log.info("got\n2026-01-01T00:00:00.000Z ERROR forged", { by: "a\r\nb\u001b[2J\u2028c" });
  assertEquals(test.lines().length, 1);
  assertEquals(/[\p{Cc}\u2028]/u.test(test.lines()[0]!), false);
});

Deno.test("a line is bounded whatever it is given", async () => {
  await using test = await open();
  const fields = Object.fromEntries(
    Array.from({ length: 1000 }, (_, index) => [`f${index}`, "x".repeat(10_000)]),
  );
  test.log.error("y".repeat(1_000_000), fields);
  assert(test.lines()[0]!.length < 50_000);
});

Deno.test("lines below the level are not written, and the level may change while it is open", async () => {
  await using test = await open({ level: "warn" });
  test.log.info("unseen");
  test.log.error("seen");
  test.log.configure({ ...defaultConfig().log, level: "debug" });
  test.log.debug("seen as well");
  assertEquals(test.lines().map((line) => line.slice(31)), ["seen", "seen as well"]);
});

Deno.test("the log is rotated while it runs, and there are never more files than allowed", async () => {
  await using test = await open({ max_bytes: 4096, files: 3 });
  for (let index = 0; index < 500; index++) test.log.info("line", { index });
  assertEquals(test.files(), ["daemon.log", "daemon.log.1", "daemon.log.2"]);
  const texts = ["daemon.log.2", "daemon.log.1", "daemon.log"]
    .map((name) => test.directory.read("log", name));
  for (const text of texts) assert(text.length <= 4096);
  const numbers = [...texts.join("").matchAll(/index=(\d+)/g)].map((found) => Number(found[1]));
  const first = numbers[0]!;
  assertEquals(numbers, Array.from({ length: 500 - first }, (_, index) => first + index));
  for (const name of test.files()) {
    assertEquals((Deno.lstatSync(test.directory.at("log", name)).mode ?? 0) & 0o777, 0o600);
  }
});

Deno.test("fewer files from the configuration take the surplus away", async () => {
  await using test = await open({ max_bytes: 4096, files: 5 });
  for (let index = 0; index < 500; index++) test.log.info("line", { index });
  assertEquals(test.files().length, 5);
  test.log.configure({ ...defaultConfig().log, max_bytes: 4096, files: 1 });
  for (let index = 0; index < 100; index++) test.log.info("line", { index });
  assertEquals(test.files(), ["daemon.log"]);
});

Deno.test("the launcher's line is in the current file even after a rotation", async () => {
  await using test = await open({ max_bytes: 4096, files: 2 });
  const launcher = new LaunchLog(test.directory.path, Deno.uid());
  for (let index = 0; index < 200; index++) test.log.info("line", { index });
  launcher.write("error", "the daemon ends");
  launcher.close();
  assertMatch(test.lines().at(-1)!, /ERROR the daemon ends$/);
});

Deno.test("a link in a rotated file's place is not written through", async () => {
  await using test = await open({ max_bytes: 4096, files: 3 });
  const target = test.directory.beside("target");
  Deno.writeTextFileSync(target, "precious\n", { mode: 0o600 });
  Deno.symlinkSync(target, test.directory.at("log", "daemon.log.1"));
  for (let index = 0; index < 500; index++) test.log.info("line", { index });
  assertEquals(Deno.readTextFileSync(target), "precious\n");
});

Deno.test("a rotation whose copy is refused leaves the rotated files as they are", async () => {
  await using test = await open({ max_bytes: 4096, files: 3 });
  for (let index = 0; index < 500; index++) test.log.info("line", { index });
  const rotated = () => [1, 2].map((n) => test.directory.read("log", `daemon.log.${n}`));
  const before = rotated();
  const obstacle = test.directory.at("log", "daemon.log.new");
  Deno.mkdirSync(obstacle);
  for (let index = 0; index < 100; index++) test.log.info("refused", { index });
  assertEquals(rotated(), before);
  Deno.removeSync(obstacle);
  test.log.info("after");
  assertEquals(rotated()[1], before[0], "the next one succeeds");
  assertMatch(test.lines().at(-1)!, /after$/);
});

Deno.test("a second log in the same thread is refused", async () => {
  await using test = await open();
  await assertRejects(
    () => openLog(test.directory.path, defaultConfig().log, Deno.uid()),
    PosternError,
    "a log is open in this thread",
  );
});
