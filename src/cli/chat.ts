/**
 * A conversation with a session: lines from a terminal, from a pipe, or one text; the turns' output as it comes.
 *
 * One turn at a time. On a terminal the text of others is made harmless; in a pipe it is passed on as it is. Ctrl-C
 * cancels the turn that runs; where none runs, and a second time, it ends the conversation. So does SIGTERM, which
 * cancels before.
 */

import { PosternError } from "../client/errors.ts";
import type { Client, InboundEvent } from "../client/mod.ts";
import type { Context } from "./command.ts";
import { EXIT, exitCodeOf } from "./exit_codes.ts";
import { InputLines, type Line } from "./input_lines.ts";
import { type Interrupt, onSignals, SIGNAL_EXITS } from "./interrupt.ts";
import { OutputClosed, printable } from "./output.ts";
import { followTurn, type TurnOutcome } from "./turn_follower.ts";

/** What the daemon takes of one message. */
const MAX_LINE_BYTES = 48 * 1024;
const PROMPT = "> ";
/** How long a cancellation may take before SIGTERM ends the conversation without it. */
const CANCEL_MS = 2000;
const EXITS: Readonly<Record<TurnOutcome, number>> = {
  completed: EXIT.ok,
  failed: EXIT.failed,
  // By whomever.
  cancelled: EXIT.interrupted,
};

/** One conversation. */
export class Chat {
  readonly #client: Client;
  readonly #context: Context;
  readonly #sessionId: string;
  readonly #left = Promise.withResolvers<null>();
  /** The turn that runs; `""` from when it is sent until its id is known. */
  #turnId: string | null = null;
  #wantsCancel = false;
  #signal: Interrupt | null = null;
  /** Whether what was printed last ended with its line. */
  #isAtStart = true;
  #hasText = false;
  #isClosed = false;

  constructor(client: Client, context: Context, sessionId: string) {
    this.#client = client;
    this.#context = context;
    this.#sessionId = sessionId;
    client.closed.then(() => this.#isClosed = true);
  }

  /** One text. @returns the exit code */
  async once(text: string): Promise<number> {
    return await this.#interruptible(async () => {
      const code = await this.#turn(text);
      return this.#signal === "SIGTERM" ? EXIT.terminated : code;
    });
  }

  /** Each line a turn, until the end of the input. @returns the exit code */
  async lines(input: ReadableStream<Uint8Array>, isTerminal: boolean): Promise<number> {
    return await this.#interruptible(async () => {
      const lines = readLines(input);
      let exit: number = EXIT.ok;
      for (;;) {
        if (isTerminal) await this.#prompt();
        const next = await Promise.race([lines.next(), this.#left.promise]);
        if (next === null || next.done) break;
        const code = await this.#line(next.value);
        if (!isTerminal && code !== EXIT.ok) exit = code;
        if (this.#signal === "SIGTERM" || (!isTerminal && this.#signal !== null)) break;
      }
      if (isTerminal) await this.#context.out.line("");
      const wasLeft = isTerminal && this.#signal === "SIGINT";
      return this.#signal === null || wasLeft ? exit : SIGNAL_EXITS[this.#signal];
    });
  }

  async #line(line: Line): Promise<number> {
    if (typeof line !== "string") {
      await this.#complain(`a line that is ${line.fault} is not sent`);
      return EXIT.failed;
    }
    if (line.trim() === "") return EXIT.ok;
    try {
      const code = await this.#turn(line);
      await this.#endLine();
      return code;
    } catch (error) {
      if (this.#isClosed || error instanceof OutputClosed) throw error;
      await this.#complain((error as Error).message);
      return exitCodeOf(error);
    }
  }

  async #turn(text: string): Promise<number> {
    const { out } = this.#context;
    this.#turnId = "";
    this.#hasText = false;
    this.#wantsCancel = false;
    try {
      const outcome = await followTurn(this.#client, { sessionId: this.#sessionId, text }, {
        accepted: (turnId) => {
          this.#turnId = turnId;
          if (this.#wantsCancel) this.#cancel();
        },
        told: (event) => this.#told(event),
      });
      if (out.isTerminal && !out.json) await this.#endLine();
      return EXITS[outcome];
    } finally {
      this.#turnId = null;
    }
  }

  async #told(event: InboundEvent): Promise<void> {
    const { out } = this.#context;
    const { seq, buffered_at_ms, replay, gap, envelope } = event;
    if (out.json) return await out.object({ seq, buffered_at_ms, replay, gap, envelope });
    const payload = envelope.payload as Readonly<Record<string, unknown>>;
    const { data } = payload;
    if (envelope.topic === "turn.delta") await this.#print(textOf(data) ?? JSON.stringify(data));
    if (envelope.topic === "turn.completed" && !this.#hasText) {
      await this.#print(textOf(data) ?? "");
    }
    if (envelope.topic === "turn.failed") await this.#end(`the turn failed: ${reasonOf(payload)}`);
    if (envelope.topic === "turn.cancelled") await this.#end(`the turn is ${reasonOf(payload)}`);
    if (envelope.topic === "turn.tool_start") await this.#tool(data);
  }

  async #print(text: string | undefined): Promise<void> {
    if (text === undefined || text === "") return;
    const { out } = this.#context;
    this.#hasText = true;
    this.#isAtStart = text.endsWith("\n");
    await out.raw(out.isTerminal ? harmless(text) : text);
  }

  /** What the runner does meanwhile interests a person only. */
  async #tool(data: unknown): Promise<void> {
    const { out } = this.#context;
    if (!out.isTerminal || data === undefined) return;
    await this.#endLine();
    await out.line(out.dim(`-- ${printable(JSON.stringify(data))}`));
  }

  async #end(reason: string): Promise<void> {
    await this.#endLine();
    await this.#complain(reason);
  }

  async #endLine(): Promise<void> {
    if (!this.#isAtStart && !this.#context.out.json) await this.#context.out.raw("\n");
    this.#isAtStart = true;
  }

  async #complain(text: string): Promise<void> {
    await this.#context.out.note(`postern: ${harmless(text)}`);
  }

  async #prompt(): Promise<void> {
    if (!this.#context.out.json) await this.#context.out.raw(PROMPT);
  }

  async #interruptible(work: () => Promise<number>): Promise<number> {
    try {
      return await onSignals(["SIGINT", "SIGTERM"], (signal) => this.#interrupt(signal), work);
    } catch (error) {
      if (this.#signal === null || !this.#isClosed) throw error;
      return SIGNAL_EXITS[this.#signal];
    }
  }

  #interrupt(signal: Interrupt): void {
    const isIdle = this.#turnId === null;
    // Of several the gravest counts.
    if (this.#signal !== "SIGTERM") this.#signal = signal;
    if (isIdle || signal === "SIGTERM") this.#left.resolve(null);
    if (isIdle) return;
    if (this.#wantsCancel) return void this.#client.close();
    this.#wantsCancel = true;
    if (signal === "SIGINT") this.#sayCancelling();
    if (this.#turnId !== "") this.#cancel();
  }

  /** Whoever sees that the first Ctrl-C arrived knows what a second one does. */
  async #sayCancelling(): Promise<void> {
    const { out } = this.#context;
    if (!out.isWatched) return;
    await this.#endLine();
    await out.note(out.dim("-- cancelling the turn; Ctrl-C again leaves it"));
  }

  /** That it is cancelled is told as an event; that it has ended before is no mistake. */
  async #cancel(): Promise<void> {
    try {
      const params = { turn_id: this.#turnId! };
      await this.#client.call("session.cancel", params, { timeoutMs: CANCEL_MS });
    } catch (error) {
      if (this.#signal === "SIGTERM") await this.#client.close();
      else if (isTold(error)) await this.#complain((error as Error).message);
    }
  }
}

/** Whether a cancellation failed, and not because the turn has ended. */
function isTold(error: unknown): boolean {
  return !(error instanceof PosternError && ["conflict", "not_found"].includes(error.code));
}

/** What a runner tells as text. */
function textOf(data: unknown): string | undefined {
  if (typeof data === "string") return data;
  const text = (data as { readonly text?: unknown } | null | undefined)?.text;
  return typeof text === "string" ? text : undefined;
}

function reasonOf({ reason, data }: Readonly<Record<string, unknown>>): string {
  const own = (data as { readonly reason?: unknown } | null | undefined)?.reason;
  return String(reason ?? own ?? JSON.stringify(data) ?? "no reason is given");
}

function harmless(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

async function* readLines(input: ReadableStream<Uint8Array>): AsyncGenerator<Line, undefined> {
  const lines = new InputLines(MAX_LINE_BYTES);
  for await (const chunk of input) yield* lines.push(chunk);
  const last = lines.end();
  if (last !== null) yield last;
}
