/**
 * Runs the daemon's tests a second time as a user without rights, which root cannot stand in for: root
 * walks through every file mode.
 *
 * Needs root to become somebody else; without it, it says so and leaves with success. Whoever runs the
 * tests as an ordinary user has already seen what this is for. Everything the other user needs (deno,
 * the packages of deno.lock, the tree) is copied to a directory of theirs, which is removed afterwards.
 *
 * Arguments are passed on to `deno test` instead of `tests/daemon`.
 */

import { fromFileUrl, join } from "@std/path/posix";

const ROOT = fromFileUrl(new URL("..", import.meta.url));
/** What ends a test that hangs. */
const TIME_LIMIT = "tests/support/time_limit.ts";
/** `nobody` nearly everywhere; no files belong to it. */
const NOBODY = 65_534;
const TREE = ["deno.json", "deno.lock", "main.ts", "src", "tests", "scripts", "docs", "README.md"];

if (import.meta.main) Deno.exitCode = await main(Deno.args);

async function main(args: readonly string[]): Promise<number> {
  if (Deno.build.os === "windows" || Deno.uid() !== 0) {
    console.log("skipped: the second run of the daemon's tests needs root to run as another user");
    return 0;
  }
  const stage = Deno.makeTempDirSync({ prefix: "postern-unprivileged-" });
  try {
    await prepare(stage);
    console.log(`running as uid ${NOBODY}`);
    return await test(stage, args.length === 0 ? ["tests/daemon"] : args);
  } finally {
    Deno.removeSync(stage, { recursive: true });
  }
}

async function prepare(stage: string): Promise<void> {
  for (const name of ["bin", "tree", "home", "tmp"]) Deno.mkdirSync(join(stage, name));
  Deno.copyFileSync(Deno.execPath(), join(stage, "bin", "deno"));
  for (const name of TREE) copy(join(ROOT, name), join(stage, "tree", name));
  // The other user's run gets no network, so the packages must be there before they are copied.
  await run(Deno.execPath(), ["install", "--quiet"]);
  copyPackages(await denoDirectory(), join(stage, "cache"));
  await run("chown", ["-R", `${NOBODY}:${NOBODY}`, stage]);
}

async function test(stage: string, paths: readonly string[]): Promise<number> {
  const flags = ["-A", "--no-prompt", "--cached-only", "--no-remote", `--preload=${TIME_LIMIT}`];
  const { code } = await new Deno.Command(join(stage, "bin", "deno"), {
    args: ["test", ...flags, ...paths],
    cwd: join(stage, "tree"),
    uid: NOBODY,
    gid: NOBODY,
    clearEnv: true,
    env: {
      PATH: `${join(stage, "bin")}:/usr/bin:/bin`,
      HOME: join(stage, "home"),
      TMPDIR: join(stage, "tmp"),
      DENO_DIR: join(stage, "cache"),
      DENO_NO_UPDATE_CHECK: "1",
      ...Deno.noColor ? { NO_COLOR: "1" } : {},
    },
    stdin: "null",
  }).spawn().status;
  return code;
}

async function denoDirectory(): Promise<string> {
  return JSON.parse(await run(Deno.execPath(), ["info", "--json"])).denoDir;
}

/** Only what deno.lock names: a developer's cache holds far more. */
function copyPackages(denoDir: string, target: string): void {
  const lock = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.lock")));
  const wanted: string[] = [...Object.keys(lock.npm), ...lock.workspace.dependencies];
  const names = wanted.map((id) => id.replace(/^npm:/, "").replace(/(?<=.)@.*$/, ""));
  const registries = [...Deno.readDirSync(join(denoDir, "npm"))].filter((it) => it.isDirectory);
  for (const registry of registries) {
    for (const name of new Set(names)) {
      copy(join(denoDir, "npm", registry.name, name), join(target, "npm", registry.name, name));
    }
  }
}

/** Copies a file or a whole folder; what is not there is left out. */
function copy(from: string, to: string): void {
  const info = statOrNull(from);
  if (info === null) return;
  if (!info.isDirectory) return Deno.copyFileSync(from, to);
  Deno.mkdirSync(to, { recursive: true });
  for (const entry of Deno.readDirSync(from)) copy(join(from, entry.name), join(to, entry.name));
}

function statOrNull(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd: ROOT,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`running ${command} failed: ${text(stderr).trim()}`);
  return text(stdout);
}
