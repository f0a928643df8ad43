/**
 * Shows on real input what Postern promises: an acknowledged event survives `kill -9`, and a consumer goes
 * on where it acknowledged.
 *
 * Drives the command line as a person would, says how to do each step by hand, and fails with the first
 * thing that is not as promised. Leaves nothing behind.
 *
 * `--program FILE` drives a binary or a bundle instead of this repository's main.ts.
 */

import { parseArgs } from "@std/cli/parse-args";
import {
  type DaemonProcess,
  makeRuntimeDirectory,
  POSTERN,
  type Program,
  programAt,
  startDaemonProcess,
} from "./daemon_process.ts";
import { type Material, type Message, readMaterial, toNdjson } from "./demo/history.ts";
import { Postern, type RunningCommand } from "./demo/postern.ts";

const CONSUMER = "demo";
/** The daemon is killed once so many of the further sends are acknowledged. */
const KILL_AFTER = 1_500;
/** Enough that the sender is still at it then, whatever the machine. */
const MAX_FURTHER = 60_000;
/** Lines written to the sender at once. */
const CHUNK = 500;
const READ_LIMIT_MS = 15_000;

/** An event as its sender learned that it is on disk. */
interface Acknowledged {
  readonly seq: number;
  readonly msgId: string;
  readonly message: Message;
}

if (import.meta.main) Deno.exitCode = await main(readProgram(Deno.args));

function readProgram(args: readonly string[]): Program {
  const { program } = parseArgs(args, {
    string: ["program"],
    unknown: (arg: string) => {
      throw new Error(`no such argument: ${arg}; usage: deno task demo [--program FILE]`);
    },
  });
  return program ? programAt(program) : POSTERN;
}

async function main(program: Program): Promise<number> {
  const begun = performance.now();
  const directory = makeRuntimeDirectory("postern-demo-");
  const daemons: DaemonProcess[] = [];
  try {
    await demonstrate({ directory, program }, daemons);
    console.log(`\nAs promised, in ${((performance.now() - begun) / 1_000).toFixed(1)} s.`);
    return 0;
  } catch (error) {
    console.error(`\nNOT AS PROMISED: ${(error as Error).message}`);
    return 1;
  } finally {
    for (const daemon of daemons) await daemon.kill();
    Deno.removeSync(directory, { recursive: true });
  }
}

async function demonstrate(
  { directory, program }: { directory: string; program: Program },
  daemons: DaemonProcess[],
): Promise<void> {
  const postern = new Postern(program, directory);
  const launch = async () => {
    const daemon = await startDaemonProcess(directory, program);
    daemons.push(daemon);
    return daemon;
  };
  console.log(
    `By hand: export POSTERN_DIR=${directory} (or any other) in each terminal, then the lines marked with $ (without Deno: npx -y deno@2.9.6 task for deno task).`,
  );
  if (program !== POSTERN) {
    console.log(`Driven is: ${[program.path, ...program.args].join(" ")}`);
  }
  const first = await startFirst(launch);
  const material = await readMaterial();
  const history = await sendHistory(postern, material);
  const ackedSeq = await readHalf(postern, history.length);
  const further = await sendUntilKilled(postern, material.messages, first);
  const second = await startAgain(launch);
  await showThatAllAreThere(postern, [...history, ...further]);
  await showThatConsumerGoesOn(postern, ackedSeq);
  await stop(second);
}

function step(title: string, byHand: string): void {
  console.log(`\n${title}\n  $ ${byHand}`);
}

function say(text: string): void {
  console.log(`  ${text}`);
}

function promise(holds: boolean, broken: string): asserts holds {
  if (!holds) throw new Error(broken);
}

async function startFirst(launch: () => Promise<DaemonProcess>): Promise<DaemonProcess> {
  step("1. Start a daemon", "deno task postern daemon   # in another terminal");
  const daemon = await launch();
  say(`process ${daemon.pid} answered after ${Math.round(daemon.startMs)} ms`);
  return daemon;
}

async function sendHistory(postern: Postern, material: Material): Promise<Acknowledged[]> {
  const { messages, source, byHand } = material;
  step("2. Send real input", `${byHand} | deno task postern send --stdin`);
  say(source);
  const sender = postern.start(["send", "--stdin"]);
  const writing = sender.write(toNdjson(messages)).then(() => sender.endInput());
  const acknowledged = await collect(sender, messages);
  await writing;
  promise(await sender.code === 0, `sending the history ended with ${await sender.code}`);
  promise(
    acknowledged.length === messages.length,
    `${acknowledged.length} of ${messages.length} events were acknowledged`,
  );
  say(`${messages.length} sent, ${acknowledged.length} acknowledged: they are on disk`);
  return acknowledged;
}

/** The sender's answers, each with the message of the line that it answers. */
async function collect(
  sender: RunningCommand,
  messages: readonly Message[],
  onAnswer: (count: number) => void = () => {},
): Promise<Acknowledged[]> {
  const acknowledged: Acknowledged[] = [];
  for await (const { line, seq, msg_id } of sender.lines) {
    // Its last line sums up, and answers none.
    if (typeof line !== "number" || typeof seq !== "number" || typeof msg_id !== "string") continue;
    const message = messages[(line - 1) % messages.length]!;
    acknowledged.push({ seq, msgId: msg_id, message });
    onAnswer(acknowledged.length);
  }
  return acknowledged;
}

async function readHalf(postern: Postern, total: number): Promise<number> {
  const half = Math.ceil(total / 2);
  const consumer = ["--consumer", CONSUMER];
  step(
    `3. Read half of it as the consumer "${CONSUMER}", and acknowledge that`,
    `deno task postern inbox --consumer ${CONSUMER} --limit ${half}\n` +
      `  $ deno task postern ack ${half} --consumer ${CONSUMER}`,
  );
  const { messages } = await postern.ask(["inbox", ...consumer, "--limit", String(half)]);
  const read = messages as { seq: number }[];
  promise(read.length === half, `the inbox gave ${read.length} events instead of ${half}`);
  const { acked_seq } = await postern.ask(["ack", String(read.at(-1)!.seq), ...consumer]);
  say(`${half} of ${total} read, acknowledged up to seq ${acked_seq}`);
  return Number(acked_seq);
}

async function sendUntilKilled(
  postern: Postern,
  messages: readonly Message[],
  daemon: DaemonProcess,
): Promise<Acknowledged[]> {
  step("4. Kill the daemon in the middle of further sends", `kill -9 ${daemon.pid}`);
  const sender = postern.start(["send", "--stdin"]);
  let killing: Promise<void> | undefined;
  const writing = writeOnAndOn(sender, messages);
  const acknowledged = await collect(sender, messages, (count) => {
    if (count >= KILL_AFTER) killing ??= daemon.kill();
  });
  promise(killing !== undefined, `the sends ended after ${acknowledged.length}, before the kill`);
  await killing;
  const written = await writing;
  promise(await sender.code !== 0, "the sender did not notice that the daemon was gone");
  const unanswered = written - acknowledged.length;
  promise(unanswered > 0, "every send had been answered already when the daemon was killed");
  say(`${acknowledged.length} acknowledged, then killed; ${unanswered} lines got no answer`);
  return acknowledged;
}

/** Writes the messages again and again until the sender is gone; returns how many lines it took. */
async function writeOnAndOn(
  sender: RunningCommand,
  messages: readonly Message[],
): Promise<number> {
  let written = 0;
  while (written < MAX_FURTHER) {
    const chunk = Array.from(
      { length: CHUNK },
      (_, i) => messages[(written + i) % messages.length]!,
    );
    if (!await sender.write(toNdjson(chunk))) break;
    written += CHUNK;
  }
  await sender.endInput();
  return written;
}

async function startAgain(launch: () => Promise<DaemonProcess>): Promise<DaemonProcess> {
  step("5. Start it again", "deno task postern daemon");
  const daemon = await launch();
  say(`process ${daemon.pid} answered after ${Math.round(daemon.startMs)} ms`);
  const report = daemon.stderr().split("\n").filter((line) => line.trim() !== "");
  for (const line of report.slice(0, 6)) say(`| ${line}`);
  return daemon;
}

async function showThatAllAreThere(
  postern: Postern,
  acknowledged: readonly Acknowledged[],
): Promise<void> {
  step("6. Look for every acknowledged event", "deno task postern tail --since 0 --json");
  const found = await readLog(postern, acknowledged.at(-1)!.seq);
  for (const { seq, msgId, message } of acknowledged) {
    const envelope = found.get(seq);
    promise(envelope !== undefined, `the acknowledged event ${seq} is gone`);
    promise(envelope.id === msgId, `event ${seq} is ${envelope.id}, and ${msgId} was acknowledged`);
    const same = JSON.stringify(envelope.payload) === JSON.stringify(message.payload);
    promise(same, `event ${seq} does not hold what was sent`);
  }
  say(`${acknowledged.length} acknowledged, ${acknowledged.length} there, each with what was sent`);
}

/** The envelopes of the log by seq, up to `lastSeq`, checked to come in order and without a hole. */
async function readLog(
  postern: Postern,
  lastSeq: number,
): Promise<Map<number, Record<string, unknown>>> {
  const tail = postern.start(["tail", "--since", "0"]);
  const giveUp = setTimeout(() => tail.interrupt(), READ_LIMIT_MS);
  const found = new Map<number, Record<string, unknown>>();
  for await (const { seq, envelope, gap } of tail.lines) {
    promise(gap === undefined || gap === null, `the log reports a gap before event ${seq}`);
    promise(seq === found.size + 1, `event ${seq} came where ${found.size + 1} was expected`);
    found.set(Number(seq), envelope as Record<string, unknown>);
    if (seq === lastSeq) break;
  }
  clearTimeout(giveUp);
  tail.interrupt();
  await tail.code;
  return found;
}

async function showThatConsumerGoesOn(postern: Postern, ackedSeq: number): Promise<void> {
  step(
    `7. Go on as the consumer "${CONSUMER}"`,
    `deno task postern inbox --consumer ${CONSUMER} --limit 3`,
  );
  const args = ["inbox", "--consumer", CONSUMER, "--limit", "3"];
  const messages = (await postern.ask(args)).messages as { seq: number }[];
  const seqs = messages.map(({ seq }) => seq);
  promise(
    seqs.join() === [1, 2, 3].map((n) => ackedSeq + n).join(),
    `the consumer had acknowledged ${ackedSeq} and is given ${seqs.join(", ")}`,
  );
  say(`it had acknowledged ${ackedSeq}, and is given ${seqs.join(", ")}`);
}

async function stop(daemon: DaemonProcess): Promise<void> {
  step("8. Stop it", "deno task postern stop");
  const code = await daemon.stop();
  promise(code === 0, `the daemon ended with ${code}`);
  say("it ended with 0");
}
