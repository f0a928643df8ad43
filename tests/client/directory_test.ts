/** Where the runtime directory is looked for. */

import { assertEquals, assertThrows } from "@std/assert";
import { type DirectoryOptions, PosternError, resolveDirectory } from "../../src/client/mod.ts";

const ALL = {
  POSTERN_DIR: "/nowhere/named",
  XDG_STATE_HOME: "/nowhere/state",
  HOME: "/nowhere/home",
};

function resolved(env: Record<string, string>, options: DirectoryOptions = {}): string {
  return resolveDirectory({ os: "linux", ...options, env: new Map(Object.entries(env)) });
}

Deno.test("--dir wins over POSTERN_DIR, that over XDG_STATE_HOME, that over HOME", () => {
  const { POSTERN_DIR: _1, ...withoutDir } = ALL;
  const { XDG_STATE_HOME: _2, ...homeOnly } = withoutDir;
  assertEquals(resolved(ALL, { dir: "/nowhere/flag" }), "/nowhere/flag");
  assertEquals(resolved(ALL), "/nowhere/named");
  assertEquals(resolved(withoutDir), "/nowhere/state/postern/default");
  assertEquals(resolved(homeOnly), "/nowhere/home/.local/state/postern/default");
});

Deno.test("macOS keeps it in Application Support, whatever XDG says", () => {
  const env = { XDG_STATE_HOME: "/nowhere/state", HOME: "/nowhere/home" };
  assertEquals(
    resolved(env, { os: "darwin", instance: "work" }),
    "/nowhere/home/Library/Application Support/postern/work",
  );
});

Deno.test("a relative XDG_STATE_HOME is no place, and neither is an empty one", () => {
  for (const XDG_STATE_HOME of ["state", ""]) {
    assertEquals(
      resolved({ XDG_STATE_HOME, HOME: "/nowhere/home" }),
      "/nowhere/home/.local/state/postern/default",
    );
  }
});

Deno.test("a relative --dir counts from the working directory, and an empty one is none", () => {
  assertEquals(resolved({}, { dir: "x" }), `${Deno.realPathSync(Deno.cwd())}/x`);
  assertEquals(resolved(ALL, { dir: "" }), "/nowhere/named");
});

Deno.test("without any rule that applies the message names the way out", () => {
  assertThrows(() => resolved({}), PosternError, "--dir");
});

for (const instance of ["", "../up", "a/b", "ä", "x".repeat(65)]) {
  Deno.test(`an instance of another form is refused: ${JSON.stringify(instance)}`, () => {
    assertThrows(() => resolved({ HOME: "/nowhere" }, { instance }), PosternError);
  });
}

Deno.test("links above the directory are followed, a link in its place is not", () => {
  const base = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    Deno.mkdirSync(`${base}/real`);
    Deno.symlinkSync(`${base}/real`, `${base}/link`);
    assertEquals(resolved({}, { dir: `${base}/link/state` }), `${base}/real/state`);
    assertEquals(resolved({}, { dir: `${base}/link` }), `${base}/link`);
  } finally {
    Deno.removeSync(base, { recursive: true });
  }
});
