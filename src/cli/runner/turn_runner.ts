/**
 * The runner of all sessions that name it: a program for each turn, over one connection after the other.
 *
 * Invariants: a session's turns run one after the other, also when one was cancelled and its program takes its time;
 * at most `concurrency` programs run; when the connection is lost or the runner is to stop, every program ends, and
 * only then is another connection made. What waits is bounded by the daemon: one turn of each session runs.
 */

import { PosternError } from "../../client/errors.ts";
import type { Client, InboundEvent, Subscription } from "../../client/mod.ts";
import { attemptUntil, toPolicy } from "../../client/reconnect.ts";
import type { ProgramControl } from "./control.ts";
import { Program } from "./program.ts";
import { TurnTeller } from "./turn_teller.ts";

/** What runs, for whom. */
export interface RunnerJob {
  /** The runner's name. */
  readonly name: string;
  /** Absolute. */
  readonly program: string;
  readonly args: readonly string[];
  /** How many programs run at once. */
  readonly concurrency: number;
  readonly graceMs: number;
}

/** What a runner needs of the world. */
export interface RunnerParts {
  readonly job: RunnerJob;
  readonly control: ProgramControl;
  /** Ends the runner. */
  readonly signal: AbortSignal;
  /** A client that does not reconnect by itself. */
  connect(): Promise<Client>;
  /** Says a line to whoever watches. */
  note(text: string): Promise<void>;
  /** Passes on what a program says on stderr. */
  complain(bytes: Uint8Array): Promise<void>;
}

const RECONNECT = { minDelayMs: 100, maxDelayMs: 5000 };

/**
 * Runs turns until the signal.
 *
 * @throws what the first attempt to attach fails with, and what later ones do when there is no hope.
 */
export async function runTurns(parts: RunnerParts): Promise<void> {
  const { signal, job, note } = parts;
  const policy = toPolicy(RECONNECT)!;
  let attachment = await Attachment.open(parts);
  for (;;) {
    await note(`-- runner ${job.name} is attached; turns that waited: ${attachment.queued}`);
    const reason = await attachment.serve();
    if (signal.aborted) return;
    await note(`-- the connection is lost (${reason}); attaching again`);
    try {
      attachment = await attemptUntil(() => Attachment.open(parts), { policy, signal });
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
  }
}

interface Started {
  readonly turnId: string;
  readonly sessionId: string;
  readonly text: string;
}

/** One connection that is attached. */
class Attachment {
  readonly queued: number;
  readonly #parts: RunnerParts;
  readonly #client: Client;
  readonly #stream: Subscription;
  #waiting: Started[] = [];
  /** By the session that each turn belongs to. */
  readonly #running = new Map<string, { turnId: string; program: Program; done: Promise<void> }>();

  private constructor(
    parts: RunnerParts,
    { client, stream, queued }: { client: Client; stream: Subscription; queued: number },
  ) {
    this.#parts = parts;
    this.#client = client;
    this.#stream = stream;
    this.queued = queued;
  }

  static async open(parts: RunnerParts): Promise<Attachment> {
    const client = await parts.connect();
    try {
      // First, so that no start is missed.
      const stream = client.subscribe({ topics: ["turn.>"], replay: false, consumer: null });
      await stream.started;
      const { queued } = await client.call("session.attach", { runner: parts.job.name });
      return new Attachment(parts, { client, stream, queued });
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  /** Serves until the connection or the runner ends, and all programs with it. @returns why */
  async serve(): Promise<string> {
    const { signal } = this.#parts;
    const close = () => void this.#client.close();
    signal.addEventListener("abort", close, { once: true });
    if (signal.aborted) close();
    this.#client.closed.then(() => this.#stream.close());
    try {
      for await (const event of this.#stream) {
        // A start that was missed would never end.
        if (event.gap !== undefined) return "events were lost";
        this.#take(event);
      }
      return (await this.#client.closed).reason;
    } catch (error) {
      return (error as Error).message;
    } finally {
      signal.removeEventListener("abort", close);
      await this.#client.close();
      await this.#endAll();
    }
  }

  #take({ envelope: { topic, payload } }: InboundEvent): void {
    const told = payload as Record<string, unknown>;
    const turnId = String(told.turn_id);
    const sessionId = String(told.session_id);
    if (topic === "turn.started" && told.runner === this.#parts.job.name) {
      this.#waiting.push({ turnId, sessionId, text: String(told.text) });
      return this.#next();
    }
    if (!/^turn\.(completed|failed|cancelled)$/.test(topic ?? "")) return;
    this.#waiting = this.#waiting.filter((turn) => turn.turnId !== turnId);
    const running = this.#running.get(sessionId);
    if (running?.turnId === turnId) running.program.stop();
  }

  /** Starts what can be started: those of sessions that have no program running, in their order. */
  #next(): void {
    const { concurrency } = this.#parts.job;
    while (this.#running.size < concurrency) {
      const at = this.#waiting.findIndex(({ sessionId }) => !this.#running.has(sessionId));
      if (at < 0) return;
      const [turn] = this.#waiting.splice(at, 1);
      this.#start(turn!);
    }
  }

  #start(turn: Started): void {
    const { job, control } = this.#parts;
    const env = {
      POSTERN_SESSION_ID: turn.sessionId,
      POSTERN_TURN_ID: turn.turnId,
      POSTERN_DIR: this.#client.target.directory,
    };
    const { program: path, args, graceMs } = job;
    const program = new Program({ path, args, env, text: turn.text, graceMs }, control);
    const done = this.#carryOut(turn, program).finally(() => {
      this.#running.delete(turn.sessionId);
      this.#next();
    });
    this.#running.set(turn.sessionId, { turnId: turn.turnId, program, done });
  }

  async #carryOut(turn: Started, program: Program): Promise<void> {
    const teller = new TurnTeller(this.#client, turn.turnId);
    try {
      if (!await this.#isOurs(turn)) return;
      const failure = await program.run({
        told: (text) => teller.delta(text),
        complained: (bytes) => this.#parts.complain(bytes),
      });
      if (program.isStopped) return;
      await teller.end(failure);
    } catch (error) {
      await teller.end({ reason: `its output could not be told: ${(error as Error).message}` });
    }
  }

  /** What a runner of the same name had begun when this one was attached has failed with that one. */
  async #isOurs({ sessionId, turnId }: Started): Promise<boolean> {
    try {
      const { turns } = await this.#client.call("session.get", { session_id: sessionId });
      return turns[0]?.turn_id === turnId && turns[0].state === "running";
    } catch (error) {
      if (error instanceof PosternError && error.code === "not_found") return false;
      throw error;
    }
  }

  async #endAll(): Promise<void> {
    this.#waiting = [];
    const running = [...this.#running.values()];
    for (const { program } of running) program.stop();
    await Promise.all(running.map(({ done }) => done));
  }
}
