/**
 * What `postern run` starts, with the right to run one program: the client that runs the turns.
 *
 * Not for people. Its stdin brings the order, a line of JSON, and ends when it is to end; its stdout tells of the
 * processes that run.
 */

import { connect } from "../../client/mod.ts";
import type { Command } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { ENDING_SIGNALS, onSignals } from "../interrupt.ts";
import { printable } from "../output.ts";
import { controlBy } from "../runner/control.ts";
import { RUNNER_COMMAND, type RunnerOrder } from "../runner/supervisor.ts";
import { runTurns } from "../runner/turn_runner.ts";

export const command: Command = {
  name: RUNNER_COMMAND,
  usage: [""],
  summary: "What run starts; not for people.",
  options: [],
  examples: [RUNNER_COMMAND],
  arguments: [0, 0],
  async run({ values, out }) {
    const stopped = new AbortController();
    const { job, kind, token } = await readOrder(() => stopped.abort());
    const encoder = new TextEncoder();
    await onSignals(ENDING_SIGNALS, () => stopped.abort(), () =>
      runTurns({
        job,
        signal: stopped.signal,
        control: controlBy((line) => Deno.stdout.writeSync(encoder.encode(line))),
        connect: () =>
          connect({ dir: values.text("dir"), token, clientKind: kind, reconnect: false }),
        note: (text) => out.note(printable(text)),
        complain: writeAll,
      }));
    return EXIT.ok;
  },
};

/** Reads the first line, and watches for the end of stdin. */
async function readOrder(onEnd: () => void): Promise<RunnerOrder> {
  const reader = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) throw new UsageError(`it is started by "postern run"`);
    text += value;
  }
  (async () => {
    while (!(await reader.read()).done);
  })().catch(() => {}).finally(onEnd);
  return JSON.parse(text);
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += await Deno.stderr.write(bytes.subarray(at));
  } catch {
    // Nobody listens there.
  }
}
