/** The commands that docs/protocol/aimx.md prints to be typed, run as they stand where their tool is installed. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";

const PAGE = new URL("../../docs/protocol/aimx.md", import.meta.url);
const missing = hasTool("socat") ? "" : " (ignored: socat is not installed)";
if (missing !== "") console.log(`ignored: the commands of docs/protocol/aimx.md need socat`);

function hasTool(name: string): boolean {
  return new Deno.Command("sh", { args: ["-c", `command -v ${name}`], stdout: "null" })
    .outputSync().success;
}

Deno.test({
  name: `the commands of docs/protocol/aimx.md answer what the page says${missing}`,
  ignore: missing !== "",
  async fn() {
    const [, commands = ""] = /^```sh\n(.*?)^```$/ms.exec(await Deno.readTextFile(PAGE)) ?? [];
    assert(commands.includes("socat"), "the page prints a command");
    await using daemon = await startTestDaemon();
    const shell = new Deno.Command("sh", {
      args: ["-c", commands],
      env: { dir: daemon.directory },
      stdout: "piped",
      stderr: "piped",
    });
    const { stdout, stderr } = await shell.output();
    assertEquals(new TextDecoder().decode(stderr), "");
    const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
    assertEquals(lines.length, 3);
    assertMatch(lines[0]!, /^\{"welcome":\{"version":"1\.0",/);
    assertMatch(lines[1]!, /^\{"id":1,"result":\[\{"name":"aimx\.metrics",/);
    assertMatch(lines[2]!, /^\{"id":2,"result":\{"value":\{"connections":1,/);
  },
});
