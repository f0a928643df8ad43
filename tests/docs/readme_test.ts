/** What the README tells a reader to type is accepted, and its line for HTTP is answered. */

import { assert, assertEquals } from "@std/assert";
import { loadCommand, splitCommandLine } from "../../src/cli/commands.ts";
import { parseCommandLine } from "../../src/cli/values.ts";
import { startTestDaemon } from "../support/in_process.ts";

const PAGE = Deno.readTextFileSync(new URL("../../README.md", import.meta.url));
const LINES = [...PAGE.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block]) =>
  block!.split("\n")
);
const COMMANDS = LINES.flatMap((line) => /^deno task postern (.*)$/.exec(line)?.[1] ?? []);

Deno.test("the README shows the daemon, messages, records, permissions, runners and leases", () => {
  const names = new Set(COMMANDS.map((line) => line.split(" ")[0]));
  const shown = [
    "start",
    "tail",
    "send",
    "inbox",
    "ack",
    "record",
    "ask",
    "approvals",
    "run",
    "chat",
  ];
  assertEquals(shown.filter((name) => !names.has(name)), []);
});

for (const line of COMMANDS) {
  Deno.test(`the README's "${line.replace(/\s+#.*/, "")}" is a command line that is accepted`, async () => {
    const { name, rest } = splitCommandLine(words(line));
    parseCommandLine(await loadCommand(name ?? ""), rest);
  });
}

Deno.test("the README's line for HTTP answers that the daemon is healthy", async (test) => {
  const line = LINES.find((one) => one.startsWith("curl "));
  assert(line !== undefined);
  const hasCurl = await runs("curl", ["--version"]);
  if (!hasCurl) console.log("ignored: the README's line for HTTP [needs curl]");
  await using daemon = await startTestDaemon();
  await test.step({
    name: line,
    ignore: !hasCurl,
    async fn() {
      const args = ["-c", line.replace("curl ", "curl -s ")];
      const { stdout } = await new Deno.Command("sh", { args, env: { dir: daemon.directory } })
        .output();
      assertEquals(JSON.parse(new TextDecoder().decode(stdout)).status, "healthy");
    },
  });
});

/** As a shell would take a line apart, up to a comment or the next command. */
function words(line: string): string[] {
  const found = [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c!);
  const end = found.findIndex((word) => word === "#" || word === "&&" || word === "|");
  return end < 0 ? found : found.slice(0, end);
}

async function runs(command: string, args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output())
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
