/** `audit`: the daemon's audit file for people and for programs, by the real program. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { RotatingFile } from "../../src/daemon/rotating_file.ts";
import { jsonLines, LinesOf, postern, posternCommand } from "../support/cli.ts";
import { startTestDaemon } from "../support/in_process.ts";

Deno.test("audit shows who did what and what it came to, one line each", async () => {
  await using daemon = await startTestDaemon();
  const headers = { "x-client-kind": "editor", "x-rdv-user-id": "anna\u009b" };
  await daemon.http().rpc("token.revoke", { id: "nobody" }, { headers });
  using owner = await daemon.v2();
  await owner.ask({ cmd: "token.list" });
  const { code, stdout } = await postern(["audit", "--dir", daemon.directory]);
  assertEquals(code, 0);
  const told = stdout.trimEnd().split("\n").map((line) => line.split("  ").slice(1));
  const originator = told[1]![4];
  assertMatch(originator!, /^o-[0-9a-f]{32}$/);
  assertEquals(told, [
    ["ok", "auth.login", "owner", "http", "for anna\\u009b"],
    ["not_found", "token.revoke", "owner", "http", originator!, "for anna\\u009b"],
    ["ok", "auth.login", "owner", "socket"],
    ["ok", "token.list", "owner", "socket"],
  ]);
  const last = await postern(["audit", "-n", "1", "--json", "--dir", daemon.directory]);
  assertEquals(jsonLines(last.stdout), daemon.audit().slice(-1));
});

Deno.test("audit --follow goes on through rotations until it is interrupted", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "postern_" });
  try {
    Deno.mkdirSync(`${directory}/log`);
    const options = { maxBytes: 100, files: 3, uid: Deno.uid() };
    using file = new RotatingFile(`${directory}/log/audit.jsonl`, options);
    const write = (n: number) => file.append(`{"ts":"t${n}","op":"a.b","outcome":"ok"}\n`);
    write(1);
    const args = ["audit", "--follow", "--json", "--dir", directory];
    const child = posternCommand(args).spawn();
    const lines = new LinesOf(child);
    for (let n = 1; n < 10; n++) {
      assertEquals(JSON.parse(await lines.next() ?? "null").ts, `t${n}`);
      write(n + 1);
    }
    child.kill("SIGINT");
    while (await lines.next() !== null);
    assertEquals((await child.status).code, 0);
    assertEquals(await new Response(child.stderr).text(), "");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a line that is no entry of the audit is shown as it is", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "postern_" });
  try {
    Deno.mkdirSync(`${directory}/log`);
    Deno.writeTextFileSync(`${directory}/log/audit.jsonl`, "what\n7\n");
    const run = async (...args: string[]) =>
      (await postern(["audit", ...args, "--dir", directory])).stdout;
    assertEquals(await run(), "what\n7\n");
    assertEquals(jsonLines(await run("--json")), [{ text: "what" }, { text: "7" }]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a count is of refusals, and of lines where lines were lost", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "postern_" });
  try {
    Deno.mkdirSync(`${directory}/log`);
    const entries = [["auth.login", 1], ["audit.refused", 7], ["audit.lost", 1], ["audit.lost", 2]];
    const lines = entries.map(([op, count]) =>
      JSON.stringify({ ts: "t", op, outcome: "o", count })
    );
    Deno.writeTextFileSync(`${directory}/log/audit.jsonl`, `${lines.join("\n")}\n`);
    const { stdout } = await postern(["audit", "--dir", directory]);
    const told = stdout.trimEnd().split("\n").map((line) => line.split("  ").at(-1));
    assertEquals(told, ["1 refusal", "7 refusals", "1 line", "2 lines"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("audit without a file says where it would be", async () => {
  const { code, stdout, stderr } = await postern(["audit", "--dir", "/nowhere"]);
  assertEquals([code, stdout], [1, ""]);
  assert(stderr.includes("/nowhere/log/audit.jsonl"), stderr);
});
