/** Finding a daemon by what it left in its directory. */

import { assertEquals, assertThrows } from "@std/assert";
import { findTarget, PosternError, readDiscovery } from "../../src/client/mod.ts";
import { readToken } from "../../src/client/discovery.ts";

function inDirectory(files: Record<string, string>, use: (directory: string) => void): void {
  const directory = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    for (const [name, text] of Object.entries(files)) {
      Deno.writeTextFileSync(`${directory}/${name}`, text);
    }
    use(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const NO_ENV = new Map<string, string>();

Deno.test("the discovery file says where socket and token are", () => {
  const file = {
    pid: 7,
    version: "9.9.9",
    sockets: { ndjson: "/run/x/postern.sock" },
    token_path: "t",
  };
  inDirectory({ "daemon.json": JSON.stringify(file) }, (dir) => {
    const target = findTarget({ dir, env: NO_ENV });
    assertEquals(target.socketPath, "/run/x/postern.sock");
    assertEquals(target.tokenPath, `${dir}/t`);
    assertEquals([target.discovery?.pid, target.discovery?.version], [7, "9.9.9"]);
  });
});

for (
  const text of [
    "",
    "{",
    "null",
    "[]",
    "7",
    "{}",
    '{"sockets":null,"token_path":5,"pid":"x"}',
    '{"sockets":{"ndjson":""}}',
    `{"pad":"${"x".repeat(100_000)}"}`,
  ]
) {
  Deno.test(`a discovery file that says nothing leaves the usual names: ${text.slice(0, 40)}`, () => {
    inDirectory({ "daemon.json": text }, (dir) => {
      const target = findTarget({ dir, env: NO_ENV });
      assertEquals(target.socketPath, `${dir}/postern.sock`);
      assertEquals(target.tokenPath, `${dir}/ipc-token`);
    });
  });
}

for (const token of ["/etc/hostname", "../other/ipc-token", "a/../../ipc-token", ".."]) {
  Deno.test(`a token is never taken from outside the directory: ${token}`, () => {
    inDirectory({ "daemon.json": JSON.stringify({ token_path: token }) }, (dir) => {
      assertEquals(findTarget({ dir, env: NO_ENV }).tokenPath, `${dir}/ipc-token`);
    });
  });
}

Deno.test("POSTERN_SOCKET_PATH and POSTERN_TOKEN_FILE win over the file, and options over both", () => {
  const env = new Map([["POSTERN_SOCKET_PATH", "/e/s"], ["POSTERN_TOKEN_FILE", "/e/t"]]);
  inDirectory({ "daemon.json": '{"sockets":{"ndjson":"a"},"token_path":"b"}' }, (dir) => {
    const byEnv = findTarget({ dir, env });
    assertEquals([byEnv.socketPath, byEnv.tokenPath], ["/e/s", "/e/t"]);
    const byOption = findTarget({ dir, env, socketPath: "/o/s", tokenPath: "/o/t" });
    assertEquals([byOption.socketPath, byOption.tokenPath], ["/o/s", "/o/t"]);
  });
});

Deno.test("no discovery file is no discovery", () => {
  inDirectory({}, (dir) => assertEquals(readDiscovery(dir), null));
});

Deno.test("a missing token file is no token, and one that holds something else is refused", () => {
  inDirectory({ good: `${"ab".repeat(32)}\n`, bad: "not a token\n", empty: "" }, (dir) => {
    assertEquals(readToken(`${dir}/good`), "ab".repeat(32));
    assertEquals(readToken(`${dir}/none`), null);
    for (const name of ["bad", "empty"]) {
      const error = assertThrows(() => readToken(`${dir}/${name}`), PosternError);
      assertEquals(error.code, "auth_failed");
    }
    const error = assertThrows(() => readToken(dir), PosternError);
    assertEquals(error.code, "permission_denied");
  });
});
