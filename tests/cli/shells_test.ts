/** Completions in the shells themselves, and the manual page in its own reader. */

import { assert, assertEquals } from "@std/assert";
import { COMMAND_NAMES, loadCommand } from "../../src/cli/commands.ts";
import { postern } from "../support/cli.ts";

async function isInstalled(program: string): Promise<boolean> {
  try {
    const found = await new Deno.Command(program, { args: ["--version"], stdout: "null" }).output();
    return found.success;
  } catch {
    return false;
  }
}

/** Whether a test of `program` can run; says so where it cannot. */
async function installed(program: string): Promise<boolean> {
  const found = await isInstalled(program);
  if (!found) console.log(`ignored: ${program} is not installed, its tests do not run`);
  return found;
}

const [bash, zsh, fish, groff] = await Promise.all(["bash", "zsh", "fish", "groff"].map(installed));

const LOGS_OPTIONS = [
  "--lines",
  "-n",
  "--follow",
  "-f",
  "--dir",
  "--token-file",
  "--json",
  "--help",
  "-h",
];

async function script(shell: string): Promise<string> {
  const { code, stdout, stderr } = await postern(["completions", shell]);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

async function runIn(program: string, args: string[], cwd?: string): Promise<string> {
  const command = new Deno.Command(program, { args, cwd, stdin: "null" });
  const { stdout, stderr, code } = await command.output();
  const decoder = new TextDecoder();
  assertEquals([code, decoder.decode(stderr)], [0, ""]);
  return decoder.decode(stdout);
}

/** What bash offers for the last of these words. */
async function offered(words: string[], cwd?: string): Promise<string[]> {
  const program = `${await script("bash")}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _postern; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const text = await runIn("bash", ["-uc", program, "bash", "postern", ...words], cwd);
  return text.split("\n").filter(Boolean);
}

Deno.test({
  name: "bash completes commands, options, values, files and what a command can do",
  ignore: !bash,
  async fn() {
    const directory = Deno.makeTempDirSync({ prefix: "postern_" });
    Deno.mkdirSync(`${directory}/state dir`);
    Deno.writeTextFileSync(`${directory}/state.ndjson`, "");
    try {
      assertEquals(await offered([""]), [...COMMAND_NAMES, "help"]);
      assertEquals(await offered(["ta"]), ["tail"]);
      assertEquals(await offered(["tail", "--p"]), ["--pretty"]);
      assertEquals(await offered(["logs", "-"]), LOGS_OPTIONS);
      assertEquals(await offered(["consumers", "-h", ""]), ["rm"]);
      assertEquals(await offered(["inbox", "-n", ""]), []);
      assertEquals(await offered(["tail", "--kind", "not"]), ["notify"]);
      assertEquals(await offered(["tail", "--kind", "=", "not"]), ["notify"]);
      assertEquals(await offered(["tail", "--since", ""]), []);
      assertEquals(await offered(["config", ""]), ["check", "show"]);
      assertEquals(await offered(["--dir", "x", "config", "s"]), ["show"]);
      assertEquals(await offered(["config", "show", ""]), []);
      assertEquals(await offered(["consumers", "--dir", "x", ""]), ["rm"]);
      assertEquals(await offered(["help", "whoa"]), ["whoami"]);
      assertEquals(await offered(["--dir", "sta"], directory), ["state dir"]);
      assertEquals(await offered(["send", "--file", "state."], directory), ["state.ndjson"]);
      assertEquals(await offered(["run", "--name", "x", "--", "coproc"]), ["coproc"]);
      assertEquals(await offered(["with-lease", "x", "--", "cat", "state."], directory), [
        "state.ndjson",
      ]);
      assertEquals(await offered(["run", "--", "cat", "--n"]), []);
      assertEquals(await offered(["nonsense", "--"]), ["--dir", "--json", "--help", "--version"]);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test({
  name: "zsh accepts its script and registers the completion",
  ignore: !zsh,
  async fn() {
    const program = `autoload -Uz compinit && compinit -D -u\n${await script("zsh")}
print -r -- "$_comps[postern]"`;
    assertEquals(await runIn("zsh", ["-fc", program]), "_postern\n");
  },
});

Deno.test({
  name: "fish completes commands, options and values",
  ignore: !fish,
  async fn() {
    const program = await script("fish");
    const offered = async (line: string) =>
      (await runIn("fish", ["--no-config", "-c", `${program}\ncomplete -C '${line}'`]))
        .split("\n").filter(Boolean).map((row) => row.split("\t")[0]);
    assertEquals(await offered("postern ta"), ["tail"]);
    assertEquals(await offered("postern tail --pre"), ["--pretty"]);
    assertEquals(await offered("postern tail --kind not"), ["notify"]);
    assertEquals(await offered("postern config "), ["check", "show"]);
  },
});

for (const shell of ["bash", "zsh", "fish"]) {
  Deno.test(`the ${shell} script knows every command and every option`, async () => {
    const text = await script(shell);
    for (const name of COMMAND_NAMES) {
      assert(text.includes(name), name);
      for (const option of (await loadCommand(name)).options) {
        const spelling = shell === "fish" ? `-l ${option.name} ` : `--${option.name}`;
        assert(text.includes(spelling), `${name} ${option.name}`);
        const { short } = option;
        if (short === undefined) continue;
        const shortSpelling = shell === "fish" ? ` -s ${short} ` : `-${short}`;
        assert(text.includes(shortSpelling), `${name} -${short}`);
      }
    }
  });
}

Deno.test("a shell that has no script is a usage error", async () => {
  const { code, stderr } = await postern(["completions", "tcsh"]);
  assertEquals(code, 2);
  assert(stderr.includes("bash, zsh, fish"), stderr);
});

Deno.test("the manual page has a section for every command, with every option and example", async () => {
  const { code, stdout } = await postern(["man"]);
  assertEquals(code, 0);
  assert(stdout.startsWith(".TH POSTERN 1 "), stdout.slice(0, 80));
  for (const name of COMMAND_NAMES) {
    const [, behind] = stdout.split(`\n.SS "${name.replaceAll("-", "\\-")}"\n`);
    assert(behind !== undefined, name);
    const section = behind.split("\n.S")[0]!;
    const { options, examples } = await loadCommand(name);
    for (const option of options) {
      assert(section.includes(`\\-\\-${option.name.replaceAll("-", "\\-")}`), option.name);
      const { short } = option;
      assert(short === undefined || section.includes(`\\-${short}\\fR, `), `-${short}`);
    }
    assert(section.split("\npostern ").length > examples.length, name);
  }
});

Deno.test({
  name: "groff formats the manual page without a warning, and shows what was meant",
  ignore: !groff,
  async fn() {
    const directory = Deno.makeTempDirSync({ prefix: "postern_" });
    try {
      const path = `${directory}/postern.1`;
      Deno.writeTextFileSync(path, (await postern(["man"])).stdout);
      const text = await runIn("groff", ["-man", "-Tutf8", "-ww", "-P-cbou", path]);
      assert(text.includes("postern send notify '{\"ok\": true}' --topic build.done"), text);
      assert(text.includes("EXIT STATUS"), text);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
