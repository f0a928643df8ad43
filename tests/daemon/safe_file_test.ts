/** Opening a file of ours: what stands in its place is told from it, and never changed. */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import {
  openOwnFile,
  readOwnFile,
  replaceOwnFile,
  storageRefusal,
} from "../../src/daemon/safe_file.ts";
import { fileCalls } from "../support/file_calls.ts";
import { TestDirectory } from "../support/process.ts";

const uid = Deno.uid();
const isRoot = uid === 0;
const PRECIOUS = "precious\n";

interface Foreign {
  make(path: string, target: string): void;
  says: RegExp;
  ignore?: boolean;
}

/** What may stand in a file's place, and what is said of it. */
const FOREIGN: Record<string, Foreign> = {
  "a symbolic link": {
    make: (path, target) => Deno.symlinkSync(target, path),
    says: /it is a symbolic link/,
  },
  "a link to nothing": {
    make: (path, target) => Deno.symlinkSync(`${target}-missing`, path),
    says: /it is a symbolic link/,
  },
  "a hard link": {
    make: (path, target) => Deno.linkSync(target, path),
    says: /it has 2 hard links/,
  },
  "a directory": {
    make: (path) => Deno.mkdirSync(path),
    says: /it is no regular file/,
  },
  "a pipe": {
    make: (path) => void new Deno.Command("mkfifo", { args: [path] }).outputSync(),
    says: /it is no regular file/,
  },
  "a file that others may read": {
    make: (path) => {
      Deno.writeTextFileSync(path, PRECIOUS);
      Deno.chmodSync(path, 0o644);
    },
    says: /it has mode 0644, at most 0600/,
  },
  [`another user's file${isRoot ? "" : " (ignored: needs root to make one)"}`]: {
    make: (path) => {
      Deno.writeTextFileSync(path, PRECIOUS, { mode: 0o600 });
      Deno.chownSync(path, 65534, 65534);
    },
    says: /it belongs to user 65534/,
    ignore: !isRoot,
  },
};

Deno.test("what is no file of ours is refused by every way to open it, and stays as it was", async (test) => {
  for (const [what, { make, says, ignore = false }] of Object.entries(FOREIGN)) {
    const fn = async () => {
      await using directory = new TestDirectory();
      const path = directory.at("file");
      const target = directory.beside("target");
      Deno.writeTextFileSync(target, PRECIOUS, { mode: 0o600 });
      make(path, target);
      for (
        const open of [
          () => openOwnFile(path, { uid }),
          () => openOwnFile(path, { uid, append: true }),
          () => readOwnFile(path, { uid }),
          () => replaceOwnFile(path, "new\n", { uid }),
        ]
      ) assertMatch(assertThrows(open, PosternError).message, says);
      assertEquals(Deno.readTextFileSync(target), PRECIOUS);
      assertEquals(directory.names(), ["file"]);
    };
    await test.step({ name: what, ignore, fn });
  }
});

Deno.test("a file of ours is opened with its content, and one that is missing is made private", async () => {
  await using directory = new TestDirectory();
  openOwnFile(directory.at("file"), { uid }).close();
  assertEquals((Deno.lstatSync(directory.at("file")).mode ?? 0) & 0o777, 0o600);
  Deno.writeTextFileSync(directory.at("file"), PRECIOUS);
  openOwnFile(directory.at("file"), { uid }).close();
  assertEquals(directory.read("file"), PRECIOUS);
});

Deno.test("a missing file reads as nothing, and one that is too large is refused", async () => {
  await using directory = new TestDirectory();
  assertEquals(readOwnFile(directory.at("file"), { uid }), null);
  replaceOwnFile(directory.at("file"), "12345", { uid });
  assertEquals(readOwnFile(directory.at("file"), { uid, limit: 5 }), "12345");
  const read = () => readOwnFile(directory.at("file"), { uid, limit: 4 });
  assertEquals(assertThrows(read, PosternError).code, "too_large");
});

Deno.test("a file that was replaced is on disk under its name: text, rename and directory, in this order", async () => {
  await using directory = new TestDirectory();
  const calls = fileCalls(() => replaceOwnFile(directory.at("own"), "text", { uid }));
  assertEquals(calls, ["truncate", "sync file", "rename own", "sync directory"]);
});

Deno.test("what a full disk says is told without the path", () => {
  const said = "No space left on device (os error 28): open '/secret/blobs/upload-1.new'";
  const { code, message } = storageRefusal("POST /blobs", new Error(said))!;
  assertEquals(code, "storage_full");
  assertEquals(
    message,
    "POST /blobs: the disk takes no more: No space left on device (os error 28)",
  );
  assertEquals(storageRefusal("POST /blobs", new Error("os error 5")), null);
});
