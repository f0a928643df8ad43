/**
 * Runs the curl examples of docs/protocol/http.md, each block against a daemon of its own.
 *
 * In a block tagged `curl` a line that begins with `$ ` is a command, and the lines up to the next one are exactly
 * what it prints, but for line ends behind the last and placeholders: `<uuid>`, `<n>`, `<hex>`, `<version>` and `<text>`.
 */

import { assertEquals, assertGreater, assertMatch } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";

const PAGE = await Deno.readTextFile(new URL("../../docs/protocol/http.md", import.meta.url));
const PLACEHOLDERS: Record<string, string> = {
  uuid: "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
  n: "[0-9.]+",
  hex: "[0-9a-f]{64}",
  version: "\\d+\\.\\d+\\.\\d+",
  text: ".+",
};

interface Command {
  readonly line: string;
  readonly prints: string;
}

const blocks = [...PAGE.matchAll(/^```curl\n(.*?)^```$/gms)].map(([, text]) => commandsOf(text!));

function commandsOf(text: string): Command[] {
  return text.split(/^\$ /m).slice(1).map((part) => {
    const at = part.indexOf("\n");
    return { line: part.slice(0, at), prints: part.slice(at + 1).trimEnd() };
  });
}

/** A pattern for what is printed. */
function patternOf(prints: string): RegExp {
  const escaped = prints.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(
    `^${escaped.replaceAll(/<(\w+)>/g, (name, kind) => PLACEHOLDERS[kind] ?? name)}$`,
  );
}

async function curlKnowsHeaders(): Promise<boolean> {
  try {
    const { stdout } = await new Deno.Command("curl", { args: ["--version"] }).output();
    const [, major, minor] = /^curl (\d+)\.(\d+)/.exec(new TextDecoder().decode(stdout)) ?? [];
    // `%header{}` came with 7.84.
    return Number(major) > 7 || (Number(major) === 7 && Number(minor) >= 84);
  } catch {
    return false;
  }
}

Deno.test("docs/protocol/http.md has examples", () => assertGreater(blocks.length, 4));

const ignore = !await curlKnowsHeaders();
for (const [i, commands] of blocks.entries()) {
  Deno.test({
    name: `docs/protocol/http.md, example ${i + 1} (needs curl 7.84)`,
    ignore,
    async fn() {
      await using daemon = await startTestDaemon();
      for (const { line, prints } of commands) {
        const { stdout, stderr } = await new Deno.Command("sh", {
          args: ["-c", line],
          env: { sock: daemon.httpSocketPath, auth: `Authorization: Bearer ${daemon.token}` },
        }).output();
        assertEquals(new TextDecoder().decode(stderr), "", line);
        assertMatch(new TextDecoder().decode(stdout).trimEnd(), patternOf(prints), line);
      }
    },
  });
}
