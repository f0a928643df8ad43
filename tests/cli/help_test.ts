/** `--help` and the table of commands: what every command owes its reader. */

import { assert, assertEquals } from "@std/assert";
import { COMMAND_NAMES, loadCommand, splitCommandLine } from "../../src/cli/commands.ts";
import { COMMON_OPTIONS } from "../../src/cli/command.ts";
import { commandHelp } from "../../src/cli/help.ts";
import { parseCommandLine } from "../../src/cli/values.ts";
import { postern } from "../support/cli.ts";

for (const name of COMMAND_NAMES) {
  Deno.test(`the help of ${name} fits on 40 lines of 100 characters`, async () => {
    const command = await loadCommand(name);
    assertEquals(command.name, name);
    const lines = commandHelp(command).split("\n");
    assert(lines.length <= 40, `${lines.length} lines`);
    for (const text of lines) assert(text.length <= 100, text);
  });

  Deno.test(`the examples of ${name} are command lines that it accepts`, async () => {
    const command = await loadCommand(name);
    assert(command.examples.length > 0);
    // In a pipe it may come behind another.
    const own = command.examples.map((example) => example.split(" | postern ").at(-1)!);
    for (const example of own) {
      const { name: found, rest } = splitCommandLine(words(example));
      parseCommandLine(await loadCommand(found ?? ""), rest);
    }
  });
}

/** As a shell would take an example apart, up to a pipe or a redirection. */
function words(example: string): string[] {
  const found = [...example.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) =>
    quoted ?? plain!
  );
  const end = found.findIndex((word) => ["|", "<", ">"].includes(word));
  return end < 0 ? found : found.slice(0, end);
}

Deno.test("no two options of a command have the same name or short form", async () => {
  for (const name of COMMAND_NAMES) {
    const options = [...COMMON_OPTIONS, ...(await loadCommand(name)).options];
    const spellings = options.flatMap((option) => [option.name, option.short ?? []]).flat();
    assertEquals(spellings.length, new Set(spellings).size, name);
    for (const { short } of options) assert(short === undefined || /^[A-Za-z]$/.test(short), name);
  }
});

Deno.test("--help names every command, and so do help and -h", async () => {
  const { code, stdout } = await postern(["--help"]);
  assertEquals(code, 0);
  assert(stdout.split("\n").length <= 48);
  for (const name of COMMAND_NAMES) assert(stdout.includes(`\n  ${name} `), name);
  assertEquals((await postern(["help"])).stdout, stdout);
  assertEquals((await postern(["-h"])).stdout, stdout);
});

Deno.test("the help of a command is the same in three ways of asking", async () => {
  const { code, stdout } = await postern(["send", "--help"]);
  assertEquals(code, 0);
  assert(stdout.includes("--dedup-key KEY"));
  assert(stdout.includes("-h, --help"));
  assertEquals((await postern(["help", "send"])).stdout, stdout);
  assertEquals((await postern(["--help", "send"])).stdout, stdout);
});
