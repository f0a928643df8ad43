/** `ask` and `approvals` as scripts use them: exit codes, lines, and what happens in between. */

import { assert, assertEquals } from "@std/assert";
import { LinesOf, postern, posternCommand } from "../support/cli.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

const INPUT = { command: "rm -rf build" };

/** An asker in a process of its own, and the id of its request as it tells it. */
class Asker implements AsyncDisposable {
  readonly child: Deno.ChildProcess;
  readonly #stderr: ReadableStreamDefaultReader<string>;
  #told = "";

  constructor(daemon: TestDaemon, ...args: string[]) {
    const asked = ["--tool", "Bash", "--input", JSON.stringify(INPUT), "--json"];
    this.child = posternCommand(["ask", ...asked, "--dir", daemon.directory, ...args]).spawn();
    this.#stderr = this.child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** What it says on stderr, until the condition holds or it ends. */
  async told(condition: (text: string) => boolean): Promise<string> {
    while (!condition(this.#told)) {
      const { done, value } = await this.#stderr.read();
      if (done) break;
      this.#told += value;
    }
    return this.#told;
  }

  async requestId(): Promise<string> {
    const told = await this.told((text) => text.includes("\n"));
    return JSON.parse(told.split("\n", 1)[0]!).waiting.request_id;
  }

  /** The exit code and the decision; `null` where none was printed. */
  async outcome() {
    const lines = new LinesOf(this.child);
    const line = await lines.next();
    await lines.hangUp();
    await this.told(() => false);
    const { code } = await this.child.status;
    return { code, decision: line === null ? null : JSON.parse(line) };
  }

  /** Ends a process that a failed test has left. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    if (!this.child.stdout.locked) await this.child.stdout.cancel();
    await this.#stderr.cancel();
    await this.child.status;
  }
}

function approvals(daemon: TestDaemon, ...args: string[]) {
  return postern(["approvals", ...args, "--dir", daemon.directory]);
}

/** Answers, and fails with what the program said if it is not taken. */
async function answered(daemon: TestDaemon, ...args: string[]): Promise<void> {
  const { code, stderr } = await approvals(daemon, ...args);
  assertEquals([code, stderr], [0, ""]);
}

/** What became of requests, as anybody sees it. */
async function outcomes(daemon: TestDaemon): Promise<[string, string | null][]> {
  using client = await daemon.v2();
  const { events } = await client.ask({
    cmd: "event.read",
    after: 0,
    topics: ["permission.resolved"],
  });
  return events.map((event: { envelope: { payload: { request_id: string; outcome: string } } }) => {
    const { request_id, outcome } = event.envelope.payload;
    return [request_id, outcome];
  });
}

Deno.test("ask waits for the approval of another process, and its exit code is 0", async () => {
  await using daemon = await startTestDaemon();
  await using asker = new Asker(daemon);
  const id = await asker.requestId();
  const approved = await approvals(daemon, "approve", id, "--reason", "go on");
  assertEquals([approved.code, approved.stdout], [0, `approved ${id}\n`]);
  const { code, decision } = await asker.outcome();
  assertEquals(code, 0);
  const { by, ...rest } = decision;
  assertEquals(rest, {
    request_id: id,
    decision: "approved",
    approved: true,
    answer: { approve: true, reason: "go on" },
  });
  assert(by.startsWith("o-"));
});

Deno.test("ask that is denied has the exit code 4", async () => {
  await using daemon = await startTestDaemon();
  await using asker = new Asker(daemon);
  const denied = await approvals(daemon, "deny", await asker.requestId(), "--json");
  assertEquals([denied.code, JSON.parse(denied.stdout).answer], [0, { approve: false }]);
  const { code, decision } = await asker.outcome();
  assertEquals([code, decision.decision, decision.approved], [4, "denied", false]);
});

Deno.test("ask that nobody answers in time has the exit code 4", async () => {
  await using daemon = await startTestDaemon();
  await using asker = new Asker(daemon, "--timeout", "1s");
  const { code, decision } = await asker.outcome();
  assertEquals([code, decision.decision, decision.by], [4, "timeout", null]);
});

Deno.test("ask is not approved by a reader that has gone away", async () => {
  await using daemon = await startTestDaemon();
  await using asker = new Asker(daemon);
  const id = await asker.requestId();
  await asker.child.stdout.cancel();
  await answered(daemon, "deny", id);
  assertEquals((await asker.child.status).code, 4);
});

Deno.test("two askers at once are told apart", async () => {
  await using daemon = await startTestDaemon();
  await using one = new Asker(daemon);
  await using other = new Asker(daemon);
  const [first, second] = [await one.requestId(), await other.requestId()];
  await answered(daemon, "deny", first);
  assertEquals((await one.outcome()).code, 4);
  await answered(daemon, "approve", second);
  assertEquals((await other.outcome()).code, 0);
});

Deno.test("clients of another kind see that there is a request, and may not answer it", async () => {
  await using daemon = await startTestDaemon();
  await using asker = new Asker(daemon, "--as", "agent");
  const id = await asker.requestId();
  const refused = await approvals(daemon, "approve", id);
  assertEquals(refused.code, 4, refused.stderr);
  await answered(daemon, "approve", id, "--as", "agent");
  assertEquals((await asker.outcome()).code, 0);
});

for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test(`${signal} withdraws what was asked, and ask ends with ${expected}`, async () => {
    await using daemon = await startTestDaemon();
    await using asker = new Asker(daemon);
    const id = await asker.requestId();
    asker.child.kill(signal);
    assertEquals(await asker.outcome(), { code: expected, decision: null });
    assertEquals(await outcomes(daemon), [[id, "cancelled"]]);
  });
}

Deno.test("a request is withdrawn when its asker is killed", async () => {
  await using daemon = await startTestDaemon();
  await using asker = new Asker(daemon);
  const id = await asker.requestId();
  using waiting = await daemon.v2();
  await waiting.send({ cmd: "permission.wait", req_id: "w", request_id: id });
  asker.child.kill("SIGKILL");
  assertEquals(JSON.stringify(await waiting.reply()).includes('"cancelled"'), true);
});

Deno.test("ask outlives a restart of the daemon, and can still be withdrawn or answered", async () => {
  await using daemon = await startTestDaemon();
  await using asker = new Asker(daemon);
  await using withdrawn = new Asker(daemon);
  const [id, other] = [await asker.requestId(), await withdrawn.requestId()];
  await daemon.restart();
  for (const each of [asker, withdrawn]) await each.told((text) => text.includes('"connected"'));
  await answered(daemon, "approve", id);
  assertEquals((await asker.outcome()).code, 0);
  withdrawn.child.kill("SIGINT");
  assertEquals((await withdrawn.outcome()).code, 130);
  assertEquals(await outcomes(daemon), [[id, "approved"], [other, "cancelled"]]);
});

Deno.test("ask does not wait for a daemon beyond the time of its request", async () => {
  await using daemon = await startTestDaemon();
  await using asker = new Asker(daemon, "--timeout", "1s");
  await asker.requestId();
  await daemon.stop();
  assertEquals(await asker.outcome(), { code: 1, decision: null });
  assert((await asker.told(() => false)).includes("the time of the request is over"));
  await daemon.start();
});

Deno.test("ask says what is wrong with its command line, with exit code 2", async () => {
  const wrong: [string[], string][] = [
    [["--input", "{}"], "--tool is missing"],
    [["--tool", "Bash"], "--input is missing"],
    [["--tool", "Bash", "--input", "{no"], "--input: JSON is expected"],
    [["--tool", "Bash", "--input", "1", "--timeout", "soon"], "--timeout is a time such as 90s"],
    [["--tool", "Bash", "--input", "1", "--as", "../x"], "--as: must be 1 to 64 of"],
  ];
  for (const [args, message] of wrong) {
    const { code, stderr } = await postern(["ask", ...args, "--dir", "/nowhere"]);
    assertEquals(code, 2, stderr);
    assert(stderr.includes(message), stderr);
  }
  const { code, stderr } = await postern(["ask", "--tool", "B", "--input", "-"], { stdin: "{" });
  assertEquals([code, stderr.includes("--input: JSON is expected")], [2, true]);
});

Deno.test("approvals says what is wrong with its command line, with exit code 2", async () => {
  const wrong: [string[], string][] = [
    [["aprove", "x"], "did you mean approve?"],
    [["approve"], "approve needs an ID"],
    [["--reason", "x"], "--reason is for approve and deny"],
  ];
  for (const [args, message] of wrong) {
    const { code, stderr } = await postern(["approvals", ...args, "--dir", "/nowhere"]);
    assertEquals([code, stderr.includes(message)], [2, true], stderr);
  }
});

Deno.test("approvals answers all that it can, and says what it could not", async () => {
  await using daemon = await startTestDaemon();
  await using asker = new Asker(daemon);
  const { code, stdout, stderr } = await approvals(
    daemon,
    "approve",
    "gone",
    await asker.requestId(),
  );
  assertEquals(code, 1);
  assert(stdout.startsWith("approved "), stdout);
  assert(stderr.includes("gone"), stderr);
  assertEquals((await asker.outcome()).code, 0);
});

Deno.test("in a pipe approvals writes a line for each request and for what became of it", async () => {
  await using daemon = await startTestDaemon();
  await using early = new Asker(daemon, "--rationale", "a clean build");
  const first = await early.requestId();
  const child = posternCommand(["approvals", "--dir", daemon.directory]).spawn();
  const lines = new LinesOf(child);
  const next = async () => JSON.parse(await lines.next() ?? "null");
  const { requester, requested_at: _at, expires_at: _until, ...pending } = await next();
  assertEquals(pending, {
    type: "pending",
    request_id: first,
    tool: "Bash",
    input: INPUT,
    rationale: "a clean build",
    turn_id: null,
  });
  // What another kind of client asks is not for us.
  await using foreign = new Asker(daemon, "--as", "agent");
  await foreign.requestId();
  await using late = new Asker(daemon);
  const second = await late.requestId();
  assertEquals((await next()).request_id, second);
  await approvals(daemon, "approve", second);
  const answer = { approve: true };
  const decided = { type: "decided", request_id: second, decision: "approved" };
  assertEquals(await next(), { ...decided, by: requester, answer });
  await daemon.restart();
  await approvals(daemon, "deny", first);
  const { request_id, decision } = await next();
  assertEquals([request_id, decision], [first, "denied"]);
  child.kill("SIGINT");
  assertEquals((await child.status).code, 0);
  await lines.hangUp();
  await child.stderr.cancel();
});
