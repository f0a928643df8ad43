/**
 * The program as one file, moved away from the repository: it does what the demo promises, and finds its own
 * file again for the Worker and for the daemon in the background. Other ways to be started are simulated.
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path/posix";
import { bundle } from "../../scripts/build/bundle.ts";
import { makeRuntimeDirectory, programAt } from "../../scripts/daemon_process.ts";
import { daemonCommand, programCall, runtimeOf } from "../../src/client/spawn.ts";

const DEMO = fromFileUrl(new URL("../../scripts/demo.ts", import.meta.url));
const HERE = "file:///x/program/src/client/spawn.ts";

const place = makeRuntimeDirectory("postern-bundle-");
globalThis.addEventListener("unload", () => Deno.removeSync(place, { recursive: true }));
const file = join(place, "postern.js");
/** Deno fetches its bundler when it first bundles: without network there may be none. */
const missing = await bundle(file).then(() => null, (error: Error) => error.message);
const ignore = missing?.includes("npm registry") ?? false;
if (ignore) console.log(`ignored: the tests of the bundle, for want of it: ${missing}`);

async function run(path: string, args: readonly string[]) {
  const { code, stdout, stderr } = await new Deno.Command(path, {
    args: [...args],
    cwd: "/",
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function postern(...args: string[]) {
  const program = programAt(file);
  return await run(program.path, [...program.args, ...args]);
}

Deno.test({
  name: "the bundle keeps what the demo promises",
  ignore,
  fn: async () => {
    assertEquals(missing, null);
    const args = ["run", "-A", "--no-prompt", "--no-remote", DEMO, "--program", file];
    const { code, stdout, stderr } = await run(Deno.execPath(), args);
    assertEquals(code, 0, stdout + stderr);
    assert(stdout.includes("Driven is: ") && stdout.includes(file), stdout);
    assert(stdout.includes("As promised"), stdout);
  },
});

Deno.test({
  name: "the bundle starts itself in the background, and says how when nothing runs",
  ignore,
  fn: async () => {
    const directory = join(place, "daemon");
    const none = await postern("inbox", "--dir", directory);
    assertEquals(none.code, 3, none.stderr);
    assert(none.stderr.includes(`${file} start --dir ${directory}`), none.stderr);
    const started = await postern("start", "--dir", directory);
    try {
      assertEquals(started.code, 0, started.stderr);
      const sent = await postern("send", "notify", "{}", "--topic", "a.b", "--dir", directory);
      assertEquals(sent.code, 0, sent.stderr);
    } finally {
      assertEquals((await postern("stop", "--dir", directory)).code, 0);
    }
  },
});

Deno.test("a bundle's daemon may read the bundle and needs no configuration beside it", () => {
  const platform = { standalone: false, execPath: "/x/deno", bundleUrl: "file:///x/y/postern.js" };
  const runtime = runtimeOf(platform.bundleUrl, platform);
  const { path, args } = daemonCommand("/x/d", runtime);
  assertEquals(path, "/x/deno");
  assert(args.includes("--allow-read=/x/d,/x/y/postern.js"), args.join(" "));
  for (const flag of ["--no-config", "--no-npm", "--unstable-kv", "--unstable-worker-options"]) {
    assert(args.includes(flag), flag);
  }
  assert(!args.some((arg) => arg.startsWith("--config")), args.join(" "));
  assertEquals(args.slice(-6, -4), ["/x/y/postern.js", "daemon"]);
  assert(programCall(runtime).endsWith(" /x/y/postern.js"));
});

Deno.test("the compiled binary starts itself, whatever its modules' URLs are in it", () => {
  const runtime = runtimeOf(HERE, { standalone: true, execPath: "/x/bin/postern" });
  assertEquals(daemonCommand("/x/d", runtime), {
    path: "/x/bin/postern",
    args: ["daemon", "--dir", "/x/d", "--mode", "background"],
  });
  assertEquals(programCall(runtime), "postern");
});

Deno.test("from its files the program is run with its own configuration", () => {
  const runtime = runtimeOf(HERE, { standalone: false, execPath: "/x/deno" });
  const { args } = daemonCommand("/x/d", runtime);
  assert(args.includes("--config=/x/program/deno.json"), args.join(" "));
  assert(args.includes("/x/program/main.ts"), args.join(" "));
  assertEquals(programCall(runtime), "deno task postern");
});
