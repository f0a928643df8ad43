/** `run`: real programs as the runner of sessions, against a real daemon. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Client, connect, type InboundEvent } from "../../src/client/mod.ts";
import { postern, RUN } from "../support/cli.ts";
import { CliProcess } from "../support/cli_process.ts";
import { eventually } from "../support/eventually.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

/** `postern run` once it is attached. */
async function running(
  daemon: TestDaemon,
  options: readonly string[],
  ...program: string[]
): Promise<CliProcess> {
  const args = ["run", "--dir", daemon.directory, "--name", "r", ...options, "--", ...program];
  const process = new CliProcess(args);
  await process.until(({ stderr }) => stderr.includes("runner r is attached"));
  return process;
}

function runningShell(daemon: TestDaemon, script: string, ...options: string[]) {
  return running(daemon, options, "sh", "-c", script);
}

type Payload = { turn_id: string; data?: Record<string, unknown>; code?: string; reason?: string };

/** A turn that was asked for, event by event. */
class Turn {
  readonly id: string;
  text = "";
  readonly #stream: AsyncIterator<InboundEvent>;

  private constructor(id: string, stream: AsyncIterator<InboundEvent>) {
    this.id = id;
    this.#stream = stream;
  }

  static async ask(client: Client, session: string, text: string): Promise<Turn> {
    const stream = client.subscribe({ topics: ["turn.>"], replay: false, consumer: null });
    await stream.started;
    await client.call("session.create", { session_id: session, runner: "r" });
    const { turn_id } = await client.call("session.send", { session_id: session, text });
    return new Turn(turn_id, stream);
  }

  /** Reads on to the next of these topics; what the program writes is in `text`. */
  async until(...topics: string[]): Promise<{ topic: string; payload: Payload }> {
    for (;;) {
      const { value } = await this.#stream.next();
      const { topic = "", payload } = value!.envelope as { topic?: string; payload: Payload };
      if (payload.turn_id !== this.id) continue;
      if (topic === "turn.delta") this.text += payload.data!.text;
      if (topics.includes(topic)) return { topic, payload };
    }
  }

  ended() {
    return this.until("turn.completed", "turn.failed", "turn.cancelled");
  }
}

function clientOf(daemon: TestDaemon): Promise<Client> {
  return connect({ dir: daemon.directory, clientKind: "tester" });
}

/** Whether a process is there; one that only waits to be reaped is not. */
function isAlive(pid: string): boolean {
  const { stdout } = new Deno.Command("ps", { args: ["-o", "stat=", "-p", pid] }).outputSync();
  const state = new TextDecoder().decode(stdout).trim();
  return state !== "" && !state.startsWith("Z");
}

const gone = (pids: string[]) => eventually(() => !pids.some(isAlive), `the end of ${pids}`);

Deno.test("a program is told the text on stdin, and each line that it writes is a delta", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  await using _run = await running(daemon, [], "cat");
  const turn = await Turn.ask(client, "s", "one\ntwo\n\nthree ä");
  const deltas: unknown[] = [];
  for (let topic = ""; topic !== "turn.completed";) {
    const event = await turn.until("turn.delta", "turn.completed", "turn.failed");
    topic = event.topic;
    deltas.push(event.payload.data);
  }
  assertEquals(deltas, [
    { text: "one\n" },
    { text: "two\n" },
    { text: "\n" },
    { text: "three ä" },
    undefined,
  ]);
});

Deno.test("what is not UTF-8 is replaced, and a line of 100,000 characters is whole again", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  const script = `printf 'a\\377b\\n'; head -c 100000 /dev/zero | tr '\\0' '\\1'`;
  await using _run = await runningShell(daemon, script);
  const turn = await Turn.ask(client, "s", "");
  assertEquals((await turn.ended()).topic, "turn.completed");
  assertEquals(turn.text, `a\ufffdb\n${"\x01".repeat(100_000)}`);
});

Deno.test("an exit code fails the turn, with the end of what the program complained of", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  await using run = await runningShell(daemon, "echo out; echo no such luck >&2; exit 3");
  const turn = await Turn.ask(client, "s", "");
  const { topic, payload } = await turn.ended();
  assertEquals([topic, turn.text], ["turn.failed", "out\n"]);
  assertEquals(payload.data, { reason: "exit code 3: no such luck", exit_code: 3 });
  await run.until(({ stderr }) => stderr.includes("no such luck\n"));
});

Deno.test("a signal fails the turn as well", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  await using _run = await runningShell(daemon, "kill -ABRT $$");
  const { payload } = await (await Turn.ask(client, "s", "")).ended();
  assertEquals(payload.data, { reason: "ended by SIGABRT", signal: "SIGABRT" });
});

Deno.test("a program knows its session, turn and directory, and its client may ask for the turn", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  const script = 'echo "$POSTERN_SESSION_ID $POSTERN_TURN_ID $POSTERN_DIR"; exec sleep 1000';
  await using _run = await runningShell(daemon, script);
  const turn = await Turn.ask(client, "s.1", "");
  await turn.until("turn.delta");
  assertEquals(turn.text, `s.1 ${turn.id} ${daemon.directory}\n`);
  const request = { tool: "Bash", input: "rm", turn_id: turn.id };
  await using same = await connect({ dir: daemon.directory, clientKind: "runner" });
  const { originator } = await same.call("permission.request", request);
  assertEquals(originator, client.originator);
  await using other = await connect({ dir: daemon.directory, clientKind: "other" });
  const refused = await other.call("permission.request", request).catch(({ code }) => code);
  assertEquals(refused, "not_found");
});

Deno.test("a program may ask whoever sent the message for permission", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  await using _run = await runningShell(
    daemon,
    `${Deno.execPath()} ${RUN.join(" ")} ask --as runner --turn "$POSTERN_TURN_ID" \
      --tool Bash --input '"rm -rf build"' > /dev/null 2>&1; echo "$?"`,
  );
  for (const [approve, code] of [[true, "0\n"], [false, "4\n"]] as const) {
    const asked = client.subscribe({
      topics: ["permission.requested"],
      replay: false,
      consumer: null,
    });
    await asked.started;
    const turn = await Turn.ask(client, "s", "");
    const { payload } = (await asked.next()).value!.envelope;
    const { request_id, originator } = payload as Record<string, string>;
    assertEquals(originator, client.originator);
    await client.call("permission.answer", { request_id: request_id!, result: { approve } });
    await turn.ended();
    assertEquals(turn.text, code);
    asked.close();
  }
});

Deno.test("of a cancelled turn nothing is left, even if it ignores SIGTERM; then the next one runs", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  const script = `[ "$(cat)" = next ] && exit 0
    trap '' TERM; sh -c 'trap "" TERM; echo $$; while :; do sleep 1000; done' & echo $$
    while :; do sleep 1000; done`;
  await using _run = await runningShell(daemon, script, "--grace", "1s");
  const first = await Turn.ask(client, "s", "first");
  const next = await Turn.ask(client, "s", "next");
  await first.until("turn.delta");
  await first.until("turn.delta");
  const pids = first.text.trim().split("\n");
  assert(pids.every(isAlive));
  await client.call("session.cancel", { turn_id: first.id });
  assertEquals((await first.ended()).topic, "turn.cancelled");
  assertEquals((await next.ended()).topic, "turn.completed");
  assertEquals(pids.map(isAlive), [false, false]);
});

Deno.test("a program that writes without end is held back, and can be cancelled", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  await using _run = await runningShell(daemon, "echo $PPID; exec yes");
  const turn = await Turn.ask(client, "s", "");
  while (turn.text.length < 20_000) await turn.until("turn.delta");
  const pid = turn.text.split("\n")[0];
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const megabytes = Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024;
  await client.call("session.cancel", { turn_id: turn.id });
  assertEquals((await turn.ended()).topic, "turn.cancelled");
  assert(megabytes < 300, `${megabytes} MiB`);
  const next = await Turn.ask(client, "s", "");
  await next.until("turn.delta");
});

Deno.test("sessions run beside each other, as many as --concurrency allows", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  const place = Deno.makeTempDirSync({ prefix: "postern_" });
  try {
    const script = `mkdir "${place}/$POSTERN_SESSION_ID"
      until [ -d "${place}/a" ] && [ -d "${place}/b" ]; do sleep 0.02; done
      ls "${place}"; until [ -d "${place}/go" ]; do sleep 0.02; done`;
    await using _run = await runningShell(daemon, script, "--concurrency", "2");
    const [a, b, c] = [
      await Turn.ask(client, "a", ""),
      await Turn.ask(client, "b", ""),
      await Turn.ask(client, "c", ""),
    ];
    await a.until("turn.delta");
    await b.until("turn.delta");
    assertEquals([a.text, b.text], ["a\n", "a\n"]);
    Deno.mkdirSync(`${place}/go`);
    for (const turn of [a, b, c]) assertEquals((await turn.ended()).topic, "turn.completed");
  } finally {
    Deno.removeSync(place, { recursive: true });
  }
});

Deno.test("kill -9 of run fails its turn, and ends the program", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  await using run = await runningShell(daemon, "echo $$; exec sleep 1000");
  const turn = await Turn.ask(client, "s", "");
  await turn.until("turn.delta");
  run.kill("SIGKILL");
  const { topic, payload } = await turn.ended();
  assertEquals([topic, payload.code], ["turn.failed", "service_unavailable"]);
  await gone([turn.text.trim()]);
});

Deno.test("kill -9 of the process that runs the turns ends the program, and run with 1", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  await using run = await runningShell(daemon, "echo $$ $PPID; exec sleep 1000");
  const turn = await Turn.ask(client, "s", "");
  await turn.until("turn.delta");
  const [program, inner] = turn.text.trim().split(" ");
  Deno.kill(Number(inner), "SIGKILL");
  assertEquals((await turn.ended()).topic, "turn.failed");
  assertEquals(await run.ended(), 1);
  await gone([program!]);
});

Deno.test("after a restart of the daemon the program is gone, and run goes on", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  const script = `[ "$(cat)" = next ] && exit 0; echo $$; exec sleep 1000`;
  await using run = await runningShell(daemon, script);
  const turn = await Turn.ask(client, "s", "first");
  await turn.until("turn.delta");
  await daemon.restart();
  const { topic, payload } = await turn.ended();
  assertEquals([topic, payload.code], ["turn.failed", "service_unavailable"]);
  await run.until(({ stderr }) => stderr.split("is attached").length === 3);
  assertEquals(isAlive(turn.text.trim()), false);
  await using later = await clientOf(daemon);
  assertEquals((await (await Turn.ask(later, "s", "next")).ended()).topic, "turn.completed");
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  Deno.test(`${signal} ends run with 0: what runs has failed, what is queued waits`, async () => {
    await using daemon = await startTestDaemon();
    await using client = await clientOf(daemon);
    await using run = await runningShell(daemon, "echo $$; exec sleep 1000");
    const turn = await Turn.ask(client, "s", "");
    const next = await Turn.ask(client, "s", "");
    await turn.until("turn.delta");
    run.kill(signal);
    assertEquals(await run.ended(), 0);
    assertEquals((await turn.ended()).topic, "turn.failed");
    assertEquals(isAlive(turn.text.trim()), false);
    const { turns } = await client.call("session.get", { session_id: "s" });
    assertEquals(turns.map(({ turn_id, state }) => [turn_id, state]), [[next.id, "queued"]]);
  });
}

Deno.test("of a cancelled turn nothing is left that looks away and ignores SIGTERM", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  const stubborn = `trap "" TERM; echo up; exec >&- 2>&-; while :; do sleep 1000; done`;
  await using _run = await runningShell(daemon, `sh -c '${stubborn}' & echo $!; wait`);
  const turn = await Turn.ask(client, "s", "");
  while (!turn.text.includes("up")) await turn.until("turn.delta");
  const pid = turn.text.split("\n").find((line) => line !== "up")!;
  assert(isAlive(pid));
  await client.call("session.cancel", { turn_id: turn.id });
  await gone([pid]);
});

Deno.test("the process that runs the program may run it and nothing else", async () => {
  await using daemon = await startTestDaemon();
  await using client = await clientOf(daemon);
  await using _run = await runningShell(daemon, `tr '\\0' '\\n' < /proc/$PPID/cmdline`);
  const turn = await Turn.ask(client, "s", "");
  await turn.ended();
  const flags = turn.text.split("\n").filter((word) => /^-(A|-allow)/.test(word));
  assertEquals(flags.map((flag) => flag.split("=")[0]), [
    "--allow-net",
    "--allow-read",
    "--allow-write",
    "--allow-env",
    "--allow-sys",
    "--allow-run",
  ]);
  assert(/^--allow-run=\/[^,]*\/sh$/.test(flags.at(-1)!), flags.at(-1));
  assertStringIncludes(flags[2]!, `--allow-write=${daemon.directory}/clients,`);
});

Deno.test("a second runner of the same name, a program that is not there and no name are refused", async () => {
  await using daemon = await startTestDaemon();
  await using _run = await running(daemon, [], "cat");
  const dir = ["--dir", daemon.directory];
  const second = await postern(["run", ...dir, "--name", "r", "--", "cat"]);
  assertEquals(second.code, 1);
  assertStringIncludes(second.stderr, `another runner is attached as runner "r"`);
  const none = await postern(["run", ...dir, "--name", "x", "--", "no-such-program"]);
  assertEquals(none.code, 2);
  assertStringIncludes(none.stderr, `no program "no-such-program"`);
  assertEquals((await postern(["run", ...dir, "--", "cat"])).code, 2);
  await daemon.stop();
  const nobody = await postern(["run", ...dir, "--name", "r", "--", "cat"]);
  assertEquals(nobody.code, 3);
  await daemon.start();
});
