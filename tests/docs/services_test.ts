/** The program of docs/services.md provides what the page says, where Python is installed. */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { postern } from "../support/cli.ts";
import { HttpClient } from "../support/http_client.ts";
import { startProcess, TestDirectory } from "../support/process.ts";
import { missingTools, readPrograms, startProgram } from "./programs.ts";

const PAGE = fromFileUrl(new URL("../../docs/services.md", import.meta.url));
const MAX_LINES = 24;

const [program] = readPrograms(Deno.readTextFileSync(PAGE));

Deno.test("docs/services.md prints a service of some twenty lines", () => {
  assertEquals(program?.name, "upper_service.py");
  assert(program!.lines <= MAX_LINES, `it has ${program!.lines}`);
});

const missing = missingTools(program!);
const name = "the service of docs/services.md serves calls, by its own name and as a route" +
  (missing.length === 0 ? "" : ` [needs ${missing.join(", ")}]`);
if (missing.length > 0) console.log(`ignored: ${name}`);

Deno.test({ name, ignore: missing.length > 0 }, async () => {
  await using directory = new TestDirectory();
  await using daemon = await startProcess(directory.path).ready();
  await using service = await startProgram(program!, directory.path);
  await service.says(/'id': 2.*'providers': 1/);
  const call = ["call", "text.upper", '{"text":"quiet"}', "--dir", directory.path];
  const { code, stdout } = await postern(call);
  assertEquals([code, JSON.parse(stdout)], [0, "QUIET"]);
  for (const wrong of ["{}", '{"text":5}']) {
    const refused = await postern(["call", "text.upper", wrong, "--dir", directory.path]);
    assertEquals([refused.code, refused.stdout], [1, ""], "and the service goes on");
  }
  using http = new HttpClient(directory.at("http.sock"), directory.read("ipc-token").trim());
  const answer = await http.ask("/api/upper/gr%C3%BC%C3%9Fe");
  assertEquals([answer.status, answer.body], [200, "GRÜSSE"]);
  const bad = await http.ask("/api/upper/%FF");
  assertEquals([bad.status, bad.body.error.code], [400, "invalid_params"]);
  daemon.signal("SIGTERM");
  assertEquals(await service.end(), 0, "it ends when the daemon hangs up");
});
