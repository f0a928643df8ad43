/** `postern clients`, by the real program. */

import { assertEquals, assertMatch } from "@std/assert";
import { connect } from "../../src/client/mod.ts";
import { postern } from "../support/cli.ts";
import { startTestDaemon } from "../support/in_process.ts";

Deno.test("clients lists who is connected, with kind and public name, and itself last", async () => {
  await using daemon = await startTestDaemon();
  const dir = daemon.directory;
  await using editor = await connect({ dir, clientKind: "editor" });
  const { code, stdout } = await postern(["clients", "--dir", dir]);
  assertEquals(code, 0);
  const [head, first, own, ...rest] = stdout.trimEnd().split("\n");
  assertMatch(head!, /^KIND +ORIGINATOR +DIALECT +TRANSPORT +SUBSCRIPTIONS +FOR$/);
  assertMatch(first!, new RegExp(`^editor +${editor.originator} +axon +socket +0 +\\S`));
  assertMatch(own!, /^- +- +axon +socket +0 +\S/);
  assertEquals(rest, []);
  const json = JSON.parse((await postern(["clients", "--json", "--dir", dir])).stdout);
  assertEquals(json.clients[0].originator, editor.originator);
});
