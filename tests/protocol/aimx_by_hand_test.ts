/** The commands that docs/protocol/aimx.md prints to be typed, run as they stand where their tool is installed. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";

const PAGE = new URL("../../docs/protocol/aimx.md", import.meta.url);

/** What tells a tool of that name from others of the same name. */
const TOOLS = { socat: "command -v socat", nc: "nc -h 2>&1 | grep -q OpenBSD" } as const;

function without(tool: keyof typeof TOOLS): string {
  const { success } = new Deno.Command("sh", { args: ["-c", TOOLS[tool]], stdout: "null" })
    .outputSync();
  if (success) return "";
  console.log(`ignored: a test of docs/protocol/aimx.md needs ${tool}`);
  return ` (ignored: ${tool} is not installed)`;
}

/** The lines that a tool prints whose input the page has somebody type. */
async function typed(directory: string, commands: string): Promise<string[]> {
  const shell = new Deno.Command("sh", {
    args: ["-c", commands],
    env: { dir: directory },
    stdout: "piped",
    stderr: "piped",
  });
  const { stdout, stderr } = await shell.output();
  assertEquals(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

function expectWalkThrough(lines: string[]): void {
  assertEquals(lines.length, 3);
  assertMatch(lines[0]!, /^\{"welcome":\{"version":"1\.0",/);
  assertMatch(lines[1]!, /^\{"id":1,"result":\[\{"name":"aimx\.metrics",/);
  assertMatch(lines[2]!, /^\{"id":2,"result":\{"value":\{"connections":1,/);
}

async function commandsOfPage(): Promise<string> {
  const [, commands = ""] = /^```sh\n(.*?)^```$/ms.exec(await Deno.readTextFile(PAGE)) ?? [];
  assert(commands.includes("socat"), "the page prints a command");
  return commands;
}

const noSocat = without("socat");
Deno.test({
  name: `the commands of docs/protocol/aimx.md answer what the page says${noSocat}`,
  ignore: noSocat !== "",
  async fn() {
    await using daemon = await startTestDaemon();
    expectWalkThrough(await typed(daemon.directory, await commandsOfPage()));
  },
});

const noNc = without("nc");
Deno.test({
  name: `the same lines into nc -U, as the specification has it, answer the same${noNc}`,
  ignore: noNc !== "",
  async fn() {
    await using daemon = await startTestDaemon();
    const commands = await commandsOfPage();
    const withNc = commands.replace(/socat .*$/m, 'nc -N -U "$dir/postern.sock"');
    assert(withNc.includes("nc -N -U"));
    expectWalkThrough(await typed(daemon.directory, withNc));
  },
});
