/** The build: what it asks of deno, what must be in the binary, and what it says when it cannot be made. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { readOptions } from "../../scripts/build.ts";
import { bundle } from "../../scripts/build/bundle.ts";
import { BuildError, type Finished, type RunDeno, runDeno } from "../../scripts/build/command.ts";
import { compile, compileArguments, ENTRIES, tryOut } from "../../scripts/build/compile.ts";
import { embeddedFiles, problemsWith } from "../../scripts/build/embedded.ts";
import { neededByProgram } from "../../scripts/build/graph.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const TARGET = "aarch64-apple-darwin";

const LIST = `Compile main.ts to dist/postern

Embedded Files

postern
├─┬ .deno_compile_node_modules (8.44MB - 8.36MB unique)
│ └─┬ localhost (8.44MB - 8.36MB unique)
│   ├── @logtape/logtape/* (1.14MB - 1.14MB unique)
│   └── zod/4.6.7/* (5.93MB - 5.86MB unique)
├── main.ts (618B)
└─┬ src (920.42KB)
  ├─┬ daemon (230.18KB)
  │ └── worker.ts (875B)
  └── store/* (63.07KB)

Files: 9.38MB
Metadata: 2.43KB
`;
const LISTED = [
  ".deno_compile_node_modules/localhost/@logtape/logtape/*",
  ".deno_compile_node_modules/localhost/zod/4.6.7/*",
  "main.ts",
  "src/daemon/worker.ts",
  "src/store/*",
];
const NEEDED = {
  files: ["main.ts", "src/daemon/worker.ts", "src/store/kv_store.ts"],
  packages: ["@logtape/logtape", "zod"],
};

function deno(finished: Partial<Finished>): RunDeno {
  return () => Promise.resolve({ success: false, stdout: "", stderr: "", ...finished });
}

Deno.test("the list of embedded files is read from what deno compile prints", () => {
  assertEquals(embeddedFiles(LIST), LISTED);
});

Deno.test("a list with the whole program and nothing else has no problems", () => {
  assertEquals(problemsWith(LISTED, NEEDED, ROOT), []);
});

Deno.test("a Worker that is not embedded is a problem", () => {
  const listed = LISTED.filter((path) => !path.includes("worker"));
  assertEquals(problemsWith(listed, NEEDED, ROOT), ["src/daemon/worker.ts is not embedded"]);
});

Deno.test("an empty list is a problem: deno may come to print it differently", () => {
  assertEquals(problemsWith(embeddedFiles("Compile main.ts"), NEEDED, ROOT).length, 3);
});

Deno.test("tests, pages, the repository's history and unknown packages are no part of the program", () => {
  const foreign = [
    "tests/a_test.ts",
    "docs/*",
    ".git/config",
    "src/notes.md",
    "src/std.d.ts",
    ".deno_compile_node_modules/localhost/other/1.0.0/*",
  ];
  const problems = problemsWith(
    [...LISTED, ...foreign.filter((it) => it !== "docs/*")],
    NEEDED,
    ROOT,
  );
  assertEquals(problems.length, foreign.length - 1, problems.join("\n"));
  assert(problemsWith([...LISTED, "docs/*"], NEEDED, ROOT).length > 0);
});

Deno.test("the program needs its Worker's files, and none that are only types or only tests", async () => {
  const { files, packages } = await neededByProgram(ENTRIES, runDeno);
  for (const file of ["main.ts", "src/daemon/worker.ts", "src/daemon/worker_run.ts"]) {
    assert(files.includes(file), file);
  }
  assert(files.includes("src/cli/commands/send.ts"), "what is loaded when it is used");
  for (const file of ["src/daemon/worker_messages.ts", "src/std.d.ts"]) {
    assert(!files.includes(file), file);
  }
  assert(!files.some((file) => file.startsWith("tests/")));
  assertEquals(packages, ["@logtape/logtape", "deno-std", "zod"]);
});

Deno.test("compiling asks for the Worker, no prompt, the bound of the heap and named rights", () => {
  const args = compileArguments({ target: TARGET, output: "/x/postern" });
  for (
    const wanted of [
      "--no-prompt",
      "--no-remote",
      "--cached-only",
      "--v8-flags=--max-old-space-size=1024",
      "--include=src/daemon/worker.ts",
      `--target=${TARGET}`,
      "--output=/x/postern",
    ]
  ) assert(args.includes(wanted), `${wanted} in ${args.join(" ")}`);
  for (const right of ["-A", "--allow-all", "--allow-ffi", "--allow-import"]) {
    assert(!args.includes(right), right);
  }
  assertEquals(args.at(-1), "main.ts");
});

Deno.test("a base binary is given to deno, and none is when there is none", async () => {
  const seen: unknown[] = [];
  const run: RunDeno = (args, env) => {
    seen.push(env);
    return deno({ stderr: args.join(" ") })(args);
  };
  const job = { target: TARGET, output: "/x/postern" };
  await assertRejects(() => compile({ ...job, base: "/x/denort" }, run), BuildError);
  await assertRejects(() => compile(job, run), BuildError);
  assertEquals(seen, [{ DENORT_BIN: "/x/denort" }, {}]);
});

Deno.test("without a base binary and without network the build says what to do", async () => {
  const run = deno({ stderr: "error: Setting up base binary.\nerror sending request for url (…)" });
  const error = await assertRejects(
    () => compile({ target: TARGET, output: "/x/postern" }, run),
    BuildError,
  );
  assert(error.message.includes(`compiling for ${TARGET}`), error.message);
  assert(error.message.includes("DENORT_BIN"), error.message);
});

Deno.test("without the bundler and without network the build says what is missing", async () => {
  const run = deno({ stderr: "error sending request for url (…)" });
  const error = await assertRejects(() => bundle("/x/postern.js", run), BuildError);
  assert(error.message.includes("npm registry"), error.message);
});

Deno.test("another failure of deno is shown as it is", async () => {
  const run = deno({ stderr: "TS2304 [ERROR]: Cannot find name 'x'." });
  const error = await assertRejects(
    () => compile({ target: TARGET, output: "/x/postern" }, run),
    BuildError,
  );
  assert(error.message.includes("TS2304"), error.message);
  assert(!error.message.includes("DENORT_BIN"), error.message);
});

Deno.test("a binary that is deno itself is not taken for the program", async () => {
  const error = await assertRejects(() => tryOut(Deno.execPath()), BuildError);
  assert(error.message.includes("DENORT_BIN"), error.message);
});

Deno.test("the build is for this machine, for named targets, or the bundle", () => {
  const chosen = (...args: string[]) => readOptions(args).targets;
  assertEquals(chosen(), [Deno.build.target]);
  assertEquals(chosen("--target", TARGET, "--target=x86_64-apple-darwin"), [
    TARGET,
    "x86_64-apple-darwin",
  ]);
  assertEquals(chosen("--bundle"), []);
});

Deno.test("what cannot be built is refused before anything is done", () => {
  const refused = (args: string[], denort?: string) =>
    assertThrows(() => readOptions(args, denort), BuildError).message;
  assert(refused(["--target", "vax"]).includes('not "vax"'));
  assert(refused(["--taget"]).includes("no such argument: --taget"));
  assert(refused(["--check", "--bundle"]).includes("goes alone"));
  assert(refused([], "/nowhere/denort").includes("names no file"));
  const two = ["--target", TARGET, "--target", "x86_64-apple-darwin"];
  assert(refused(two, Deno.execPath()).includes("one target, not of 2"));
});
