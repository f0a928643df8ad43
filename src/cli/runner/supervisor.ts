/**
 * Starts the process that runs programs, with the right to run that one program, and outlives it.
 *
 * That process ends when its stdin does, so that nothing runs on when this one is killed; and this one ends the
 * programs when that one is killed.
 */

import type { RunnerJob } from "./turn_runner.ts";
import { ProgramGroups } from "./control.ts";
import { runnerProcess } from "../../client/spawn_runner.ts";
import { ENDING_SIGNALS, onSignals } from "../interrupt.ts";
import { EXIT } from "../exit_codes.ts";
import type { Output } from "../output.ts";

/** What the process is told, as the first line of its stdin. */
export interface RunnerOrder {
  readonly job: RunnerJob;
  /** Under which kind of client it is known. */
  readonly kind: string;
  /** The token to show, where it is not the one of the directory. */
  readonly token?: string;
}

/** The name of the command that is that process. */
export const RUNNER_COMMAND = "run-turns";

/** Runs turns for a directory until interrupted. @returns the exit code */
export async function supervise(
  order: RunnerOrder,
  { directory, socketPath, tokenPath }: {
    readonly directory: string;
    readonly socketPath: string;
    readonly tokenPath: string;
  },
  out: Output,
): Promise<number> {
  const args = [RUNNER_COMMAND, "--dir", directory, ...out.json ? ["--json"] : []];
  const files = { directory, socketPath, tokenPath };
  const child = runnerProcess({ ...files, program: order.job.program, args }).spawn();
  const stdin = child.stdin.getWriter();
  const groups = new ProgramGroups();
  const stop = () => void stdin.close().catch(() => {});
  return await onSignals(ENDING_SIGNALS, stop, async () => {
    await stdin.write(new TextEncoder().encode(`${JSON.stringify(order)}\n`)).catch(() => {});
    for await (const line of linesOf(child.stdout)) groups.take(line);
    const { code, signal } = await child.status;
    groups.endAll();
    if (signal === null) return code;
    await out.note(`postern: the process that ran the turns was ended by ${signal}`);
    return EXIT.failed;
  });
}

/** Lines are short, and none is left unfinished by whoever ends in order. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
