/** A program of one's own outside of the project, with the rights that docs/client.md names and no more. */

import { assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path/posix";
import { startTestDaemon } from "../support/in_process.ts";
import { TestDirectory } from "../support/process.ts";

const CONFIG = fromFileUrl(new URL("../../deno.json", import.meta.url));
const PAGE = new URL("../../docs/client.md", import.meta.url);
const PROGRAM = `
import { connect } from "@postern/postern/client";
await using client = await connect({ clientKind: "test" });
await client.send({ kind: "notify", topic: "build.done", payload: { ok: true } });
const { messages } = await client.inbox();
await client.ack(messages.at(-1).seq);
console.log(messages.length);
`;

Deno.test("a program outside of the project sends, reads and acks with the rights of docs/client.md", async () => {
  await using daemon = await startTestDaemon();
  await using elsewhere = new TestDirectory();
  const program = join(elsewhere.path, "program.ts");
  Deno.writeTextFileSync(program, PROGRAM);
  const words = [...Deno.readTextFileSync(PAGE).matchAll(/`([A-Z_]{4,})`/g)].map(([, word]) =>
    word
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--cached-only",
      `--config=${CONFIG}`,
      `--allow-read=${daemon.directory}`,
      `--allow-write=${daemon.directory}`,
      `--allow-net=unix:${daemon.socketPath}`,
      `--allow-env=${words.join(",")}`,
      program,
    ],
    cwd: elsewhere.path,
    env: { POSTERN_DIR: daemon.directory },
    stdin: "null",
  }).output();
  assertEquals(
    [code, new TextDecoder().decode(stdout)],
    [0, "1\n"],
    new TextDecoder().decode(stderr),
  );
});
