/** What does not belong in the directory keeps the daemon from starting, and stays as it was. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { startProcess, TestDirectory } from "../support/process.ts";

const FILES = [
  "daemon.lock",
  "daemon.pid",
  "daemon.json",
  "ipc-token",
  "identity.key",
  "identity.pub",
  "events.kv",
  "events.head",
  "config.jsonc",
  "log/daemon.log",
];
const PRECIOUS = "precious\n";
const isRoot = Deno.uid() === 0;
if (!isRoot) console.log("ignored: what needs another user's files needs root to make them");

/** A start that is refused with exit code 1; what it says on stderr. */
async function refusal(directory: TestDirectory): Promise<string> {
  await using process = startProcess(directory.path);
  assertEquals(await process.end(), 1);
  assertStringIncludes(process.stderr, "cannot start: ");
  return process.stderr;
}

function withSubdirectories(): TestDirectory {
  const directory = new TestDirectory();
  for (const name of ["log", "clients"]) Deno.mkdirSync(directory.at(name), { mode: 0o700 });
  return directory;
}

Deno.test("a symbolic link in a file's place is refused and not followed", async (test) => {
  for (const name of FILES) {
    await test.step(name, async () => {
      await using directory = withSubdirectories();
      const target = directory.beside("target");
      Deno.writeTextFileSync(target, PRECIOUS, { mode: 0o600 });
      Deno.symlinkSync(target, directory.at(name));
      assertMatch(await refusal(directory), /is refused: it is a symbolic link/);
      assertEquals(Deno.readTextFileSync(target), PRECIOUS);
    });
  }
});

Deno.test("a hard link in a file's place is refused and not written", async (test) => {
  for (const name of FILES) {
    await test.step(name, async () => {
      await using directory = withSubdirectories();
      const target = directory.beside("target");
      Deno.writeTextFileSync(target, PRECIOUS, { mode: 0o600 });
      Deno.linkSync(target, directory.at(name));
      assertMatch(await refusal(directory), /it has 2 hard links/);
      assertEquals(Deno.readTextFileSync(target), PRECIOUS);
    });
  }
});

Deno.test("a directory in a file's place is refused", async (test) => {
  for (const name of FILES) {
    await test.step(name, async () => {
      await using directory = withSubdirectories();
      Deno.mkdirSync(directory.at(name));
      assertMatch(await refusal(directory), /it is no regular file/);
    });
  }
});

Deno.test("a file that others may read is refused where a secret is kept", async (test) => {
  for (const name of ["ipc-token", "identity.key"]) {
    await test.step(name, async () => {
      await using directory = withSubdirectories();
      Deno.writeTextFileSync(directory.at(name), "a".repeat(64));
      Deno.chmodSync(directory.at(name), 0o640);
      assertMatch(await refusal(directory), /it has mode 0640, at most 0600 is allowed/);
      assertEquals(directory.read(name), "a".repeat(64));
      assertStringIncludes(directory.log, "it has mode 0640");
    });
  }
});

Deno.test("a configuration that others may change is refused, one that they may read is not", async () => {
  await using directory = withSubdirectories();
  Deno.writeTextFileSync(directory.at("config.jsonc"), "{}");
  Deno.chmodSync(directory.at("config.jsonc"), 0o664);
  assertMatch(await refusal(directory), /it has mode 0664, at most 0644 is allowed/);
  Deno.chmodSync(directory.at("config.jsonc"), 0o644);
  await using _process = await startProcess(directory.path).ready();
});

Deno.test({
  name: "another user's file is refused",
  ignore: !isRoot,
  fn: async (test) => {
    for (const name of FILES) {
      await test.step(name, async () => {
        await using directory = withSubdirectories();
        Deno.writeTextFileSync(directory.at(name), PRECIOUS, { mode: 0o600 });
        Deno.chownSync(directory.at(name), 65534, 65534);
        assertMatch(await refusal(directory), /it belongs to user 65534, not to user 0/);
        assertEquals(directory.read(name), PRECIOUS);
      });
    }
  },
});

Deno.test({
  name: "another user's directory is refused",
  ignore: !isRoot,
  fn: async () => {
    await using directory = new TestDirectory();
    Deno.chownSync(directory.path, 65534, 65534);
    assertMatch(await refusal(directory), /it belongs to user 65534/);
    assertEquals(directory.names(), []);
  },
});

Deno.test("a socket that is not the daemon's is refused", async () => {
  await using directory = new TestDirectory();
  using _listener = Deno.listen({ transport: "unix", path: directory.at("agent.sock") });
  assertMatch(
    await refusal(directory),
    /agent\.sock is refused: it is neither a file nor a socket/,
  );
});

Deno.test("a file in the socket's place is refused and kept", async () => {
  await using directory = new TestDirectory();
  Deno.writeTextFileSync(directory.at("postern.sock"), PRECIOUS, { mode: 0o600 });
  assertMatch(await refusal(directory), /postern\.sock is refused: it is no socket/);
  assertEquals(directory.read("postern.sock"), PRECIOUS);
});

Deno.test("a link in the directory's own place is refused", async () => {
  await using directory = new TestDirectory();
  const link = directory.beside("link");
  Deno.symlinkSync(directory.path, link);
  await using process = startProcess(link);
  assertEquals(await process.end(), 1);
  assertMatch(process.stderr, /link is refused: it is a symbolic link/);
  assertEquals(directory.names(), []);
});

Deno.test("a directory with files that others may enter is refused, an empty one is closed to them", async () => {
  await using directory = new TestDirectory();
  Deno.chmodSync(directory.path, 0o755);
  Deno.writeTextFileSync(directory.at("notes"), PRECIOUS);
  assertMatch(await refusal(directory), /it has mode 0755, 0700 is needed/);
  Deno.removeSync(directory.at("notes"));
  await using _process = await startProcess(directory.path).ready();
  assertEquals((Deno.lstatSync(directory.path).mode ?? 0) & 0o777, 0o700);
});

Deno.test("a missing directory is made private, with its parents", async () => {
  await using directory = new TestDirectory();
  const path = directory.at("deep", "er");
  await using _process = await startProcess(path).ready();
  for (const made of [path, directory.at("deep")]) {
    assertEquals((Deno.lstatSync(made).mode ?? 0) & 0o777, 0o700);
  }
  assert(Deno.lstatSync(`${path}/postern.sock`).isSocket);
});

Deno.test("a link is refused wherever in the directory it lies", async (test) => {
  for (const name of ["notes", "log/notes", "clients/editor.id"]) {
    await test.step(name, async () => {
      await using directory = withSubdirectories();
      Deno.symlinkSync("/", directory.at(name));
      assertMatch(await refusal(directory), /is a symbolic link, which may lead out/);
    });
  }
});
