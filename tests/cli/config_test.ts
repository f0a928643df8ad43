/** `config` and `init`: what holds, where it comes from, and a file to begin with. */

import { assert, assertEquals } from "@std/assert";
import { ABOUT, configTemplate } from "../../src/cli/config_template.ts";
import { flattened } from "../../src/cli/config_sources.ts";
import { defaultConfig, parseConfig } from "../../src/daemon/config.ts";
import { type Finished, postern } from "../support/cli.ts";

class Place implements AsyncDisposable {
  readonly base = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "postern_" }));
  readonly directory = `${this.base}/state`;
  readonly file = `${this.directory}/config.jsonc`;

  run(args: string[], env: Record<string, string> = {}): Promise<Finished> {
    return postern([...args, "--dir", this.directory], { env });
  }

  write(text: string): void {
    Deno.mkdirSync(this.directory, { mode: 0o700 });
    Deno.writeTextFileSync(this.file, text, { mode: 0o600 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.base, { recursive: true });
  }
}

Deno.test("the template names every key with its default, and changes nothing as it is", () => {
  const text = configTemplate();
  assertEquals(parseConfig(text, "the template"), defaultConfig());
  const uncommented = text.replaceAll(/^( +)\/\/ "/gm, '$1"');
  assertEquals(parseConfig(uncommented, "all of it"), defaultConfig());
  const keys = flattened(defaultConfig()).map(([key]) => key);
  assertEquals(flattened(JSON.parse(JSON.stringify(defaultConfig()))).length, keys.length);
  assertEquals(Object.keys(ABOUT).sort(), keys.sort());
  const shown = uncommented.match(/^ +"\w+": [^{]/gm) ?? [];
  assertEquals(shown.length, keys.length);
  for (const line of text.split("\n")) assert(line.length <= 100, line);
});

Deno.test("init writes the template for the owner alone, and never over a file that is there", async () => {
  await using place = new Place();
  const first = await place.run(["init"]);
  assertEquals([first.code, first.stdout], [0, `written: ${place.file}\n`]);
  assertEquals(Deno.readTextFileSync(place.file), configTemplate());
  assertEquals(Deno.statSync(place.file).mode! & 0o777, 0o600);
  assertEquals(Deno.statSync(place.directory).mode! & 0o777, 0o700);
  Deno.writeTextFileSync(place.file, "{}");
  const again = await place.run(["init"]);
  assertEquals([again.code, again.stdout], [1, ""]);
  assert(again.stderr.includes(place.file), again.stderr);
  assertEquals(Deno.readTextFileSync(place.file), "{}");
  assertEquals((await place.run(["init", "--print"])).stdout, configTemplate());
});

Deno.test("config check says what a start would say", async () => {
  await using place = new Place();
  const without = await place.run(["config", "check"]);
  assertEquals(without.code, 0);
  assert(without.stdout.includes("the defaults hold"), without.stdout);
  place.write('{ "ipc": { "bufer_size": 1 } }');
  const wrong = await place.run(["config", "check"]);
  assertEquals([wrong.code, wrong.stdout], [1, ""]);
  assert(wrong.stderr.includes('nearest is "ipc.buffer_size"'), wrong.stderr);
  assertEquals((await place.run(["config", "show"])).code, 1);
  const other = `${place.base}/other.jsonc`;
  Deno.writeTextFileSync(other, '{ /* fine */ "name": "x", }');
  const named = await place.run(["config", "check", other, "--json"]);
  assertEquals(JSON.parse(named.stdout), { ok: true, file: other });
  const env = { POSTERN_AUTO_START: "perhaps" };
  Deno.writeTextFileSync(place.file, "{}");
  const { code, stderr } = await place.run(["config", "check"], env);
  assertEquals(code, 1);
  assert(stderr.includes("POSTERN_AUTO_START"), stderr);
});

Deno.test("config check refuses the directory that start refuses, in the same words", async () => {
  await using place = new Place();
  place.write("{}");
  Deno.chmodSync(place.directory, 0o755);
  const { code, stdout, stderr } = await place.run(["config", "check"]);
  assertEquals([code, stdout], [4, ""]);
  const [, reason] = stderr.match(/^postern: (checking the directory: .* 0755.*)\n$/) ?? [];
  assert(reason !== undefined, stderr);
  const start = await place.run(["start"]);
  assertEquals(start.code, 1);
  assert(start.stderr.includes(reason), start.stderr);
  assertEquals([...Deno.readDirSync(place.directory)].map(({ name }) => name), ["config.jsonc"]);
});

Deno.test("config check looks at what lies in the directory, as start does", async () => {
  await using place = new Place();
  place.write("{}");
  for (const name of ["log", "clients"]) {
    Deno.mkdirSync(`${place.directory}/${name}`, { mode: 0o700 });
  }
  assertEquals((await place.run(["config", "check"])).code, 0);
  Deno.symlinkSync("/nowhere", `${place.directory}/log/daemon.log`);
  const { code, stderr } = await place.run(["config", "check"]);
  assertEquals(code, 4);
  assert(stderr.includes("symbolic link"), stderr);
});

Deno.test("config check makes and changes nothing, where start would", async () => {
  await using place = new Place();
  assertEquals((await place.run(["config", "check"])).code, 0);
  assertEquals([...Deno.readDirSync(place.base)], []);
  Deno.mkdirSync(place.directory);
  Deno.chmodSync(place.directory, 0o755);
  assertEquals((await place.run(["config", "check"])).code, 0);
  assertEquals(Deno.statSync(place.directory).mode! & 0o777, 0o755);
  assertEquals([...Deno.readDirSync(place.directory)], []);
});

Deno.test("config show gives each value and where it comes from", async () => {
  await using place = new Place();
  place.write('{ "limits": { "rate": { "send": 7 } }, "daemon": { "auto_start": true } }');
  const env = { POSTERN_AUTO_START: "no", POSTERN_SOCKET_PATH: "/nowhere/s.sock" };
  const { stdout } = await place.run(["config", "show"], env);
  const rows = new Map(
    stdout.trimEnd().split("\n").map((row) => {
      const [key, value, from] = row.split(/ {2,}/);
      return [key, [value, from]];
    }),
  );
  assertEquals(rows.get("limits.rate.send"), ["7", "config.jsonc"]);
  assertEquals(rows.get("limits.rate.read"), ["0", "default"]);
  assertEquals(rows.get("daemon.auto_start"), ["false", "POSTERN_AUTO_START"]);
  assertEquals(rows.get("(socket)"), ["/nowhere/s.sock", "POSTERN_SOCKET_PATH"]);
  const shown = JSON.parse((await place.run(["config", "show", "--json"], env)).stdout);
  assertEquals([shown.config.limits.rate.send, shown.sources["limits.rate.send"]], [
    7,
    "config.jsonc",
  ]);
  assertEquals([shown.file, shown.socket_path], [place.file, "/nowhere/s.sock"]);
  assertEquals(flattened(shown.config).map(([key]) => key), Object.keys(shown.sources));
});
